"""A handler that writes down what it hears, and lets a test wait for it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from pallet.api.core import LEASES, Lease
from pallet.client import Backoff, Client
from pallet.informers.informer import Handler, SharedInformer
from pallet.informers.reflector import SILENCE, Scope
from pallet.loop_budget import LoopBudget

WAIT = 20.0
"""Seconds after which a test that waits has failed."""


class Recorder:
    """What was told, as `add a=x` with the lease's name and holder, `update a=x>y`, `delete a=y`."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.handler: Handler[Lease] = Handler(
            on_add=lambda lease: self._hear(f"add {_text(lease)}"),
            on_update=lambda old, new: self._hear(f"update {_text(old)}>{new.spec.holder_identity}"),
            on_delete=lambda lease: self._hear(f"delete {_text(lease)}"),
        )
        self._changed = anyio.Event()

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait for something that becomes true with a call of the handler."""
        with anyio.fail_after(WAIT):
            while not done():
                await self._changed.wait()

    async def until_heard(self, *last: str) -> None:
        """Wait until these have been heard, in any order."""
        await self.until(lambda: set(last) <= set(self.heard))

    def _hear(self, what: str) -> None:
        self.heard.append(what)
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


class WatchedLeases:
    """An informer of one namespace's leases at work, and what it told."""

    def __init__(self, informer: SharedInformer[Lease]) -> None:
        self.informer = informer
        self.recorder = Recorder()
        self.heard = self.recorder.heard
        self.until_heard = self.recorder.until_heard
        informer.add_handler(self.recorder.handler)

    @property
    def holders(self) -> dict[str, str]:
        """The store: holders by name."""
        return {lease.metadata.name: lease.spec.holder_identity for lease in self.informer.store.list()}


@asynccontextmanager
async def watched_leases(
    url: str, namespace: str, *, silence: float = SILENCE, synced: bool = True
) -> AsyncIterator[WatchedLeases]:
    """Run an informer of a namespace's leases against a server, almost without back-off."""
    async with Client.connect(master=url, qps=0) as client, anyio.create_task_group() as tasks:
        backoff = Backoff(initial=0.01, cap=0.01)
        informer = SharedInformer(
            client, LEASES, LoopBudget(), Scope(namespace), backoff=backoff, silence=silence
        )
        watched = WatchedLeases(informer)
        tasks.start_soon(informer.run)
        if synced:
            with anyio.fail_after(WAIT):
                await informer.synced.wait()
        yield watched
        tasks.cancel_scope.cancel()


def _text(lease: Lease) -> str:
    return f"{lease.metadata.name}={lease.spec.holder_identity}"
