"""Leader election in a thread of its own: what holds up the scheduler's event loop delays no renewal.

The elector runs on another event loop, with its own connections. Python hands the interpreter from thread to
thread every few milliseconds, so that a long callback slows a renewal and does not stop it; a call that
never lets go of the interpreter does stop it, and then the lease runs out and the fence closes by the clock.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, NoReturn, TypeVar

import anyio
import anyio.to_thread

from pallet.leaderelection.elector import LeaderElector
from pallet.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")

ABDICATION_SECONDS: Final = 5.0
"""How long the release of the lease may take in a process whose loop does not run any more."""

OpenElector = Callable[[], AbstractAsyncContextManager[LeaderElector]]
"""Opens an elector, with the connections that it uses, on the event loop that is running."""


class ElectionThread:
    """One elector, whose coroutines run in the thread. Open it with `ElectionThread.start`."""

    def __init__(self, elector: LeaderElector) -> None:
        self.elector = elector
        """For its fence and its checks, which any thread may ask."""
        self.word = ""
        """What the next leader is told when the lease is released."""
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._holding: Future[NoReturn] | None = None

    @classmethod
    @asynccontextmanager
    async def start(cls, open_elector: OpenElector) -> AsyncIterator["ElectionThread"]:
        """Start the thread, and end it when the block is left. Raise what the opening raises."""
        opened: Future[ElectionThread] = Future()

        async def live() -> None:
            try:
                async with open_elector() as elector:
                    election = cls(elector)
                    opened.set_result(election)
                    await election._ended.wait()
            except Exception as error:
                if opened.done():
                    raise
                opened.set_exception(error)

        thread = threading.Thread(target=lambda: asyncio.run(live()), name="election", daemon=True)
        thread.start()
        with anyio.CancelScope(shield=True):
            election = await asyncio.wrap_future(opened)
        try:
            yield election
        finally:
            election._loop.call_soon_threadsafe(election._ended.set)
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(thread.join)

    async def acquire(self, at_overdue: Callable[[], object] = lambda: None) -> bool:
        """Return when this process leads, as `LeaderElector.acquire`. From then on the lease is renewed.

        `at_overdue` is called on the loop of the caller.
        """
        loop = asyncio.get_running_loop()
        acquiring = self.elector.acquire(lambda: loop.call_soon_threadsafe(at_overdue))
        was_overdue = await asyncio.wrap_future(self._start(acquiring))
        self._holding = self._start(self.elector.hold())
        return was_overdue

    async def hold(self) -> NoReturn:
        """Wait. Raise LeadershipLostError when leadership is lost."""
        if self._holding is None:
            raise RuntimeError("acquire comes first")
        # Who waits may be cancelled, and the lease is held on: what is under way still needs it.
        [ended], _ = await asyncio.wait([asyncio.wrap_future(self._holding)])
        ended.result()
        raise AssertionError("the elector holds until it fails")

    async def release(self) -> None:
        """Renew no more, and give the lease up; see `LeaderElector.release`."""
        await asyncio.wrap_future(self._start(self._release(self.word)))

    def abdicate(self) -> None:
        """Do the same from a thread without an event loop, and wait for it, but not for long."""
        self.elector.fence.close()
        try:
            self._start(self._release()).result(ABDICATION_SECONDS)
        except (TimeoutError, CancelledError) as error:
            log.warning("Could not release the lease, it has to run out", error=error)

    def _start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _release(self, word: str = "") -> None:
        if self._holding is not None:
            self._holding.cancel()
        await self.elector.release(word)
