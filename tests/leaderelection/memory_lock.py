"""A lease in memory, behind a network that can be slow, broken or silent for one candidate."""

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count

import anyio
from msgspec.structs import replace

from pallet.api.core import Lease, LeaseSpec
from pallet.api.meta import ObjectMeta, Status
from pallet.client import AnswerLost, ApiError, Unreachable
from pallet.leaderelection.lock import annotated


@dataclass(slots=True)
class Api:
    """The one lease of all candidates."""

    lease: Lease | None = None
    changed: anyio.Event = field(default_factory=anyio.Event)
    _versions: "count[int]" = field(default_factory=lambda: count(1))

    def put(self, old: Lease | None, spec: LeaseSpec, word: str = "") -> Lease:
        """Write if it is still `old`, as the API server does; raise ApiError if not."""
        version = self.lease.metadata.resource_version if self.lease else ""
        if version != (old.metadata.resource_version if old else ""):
            raise ApiError(Status(code=409, reason="Conflict", message="it changed"), "update", "lease")
        self.lease = Lease(
            ObjectMeta(resource_version=str(next(self._versions)), annotations=annotated({}, word)), spec
        )
        changed, self.changed = self.changed, anyio.Event()
        changed.set()
        return self.lease

    def delete(self) -> None:
        """Delete the lease as if by kubectl."""
        self.lease = None

    def change(self, **fields: object) -> None:
        """Change the record as if by kubectl."""
        assert self.lease
        self.put(self.lease, replace(self.lease.spec, **fields))


def at_once() -> float:
    """No delay."""
    return 0.0


@dataclass(slots=True)
class MemoryLock:
    """One candidate's way to the lease. Every request takes `delay()` seconds there, and as many back."""

    api: Api
    delay: Callable[[], float] = at_once
    refuses: bool = False
    """Requests are refused."""
    silent: bool = False
    """Requests get lost on the way there, and no answer comes."""
    watches: bool = False
    """Changes are told; else the lease is only found changed when it is read."""
    loses_answers: bool = False
    """Requests arrive, their answers do not."""

    def __str__(self) -> str:
        return "planner-system/scheduler"

    async def get(self) -> Lease | None:
        """Read it."""
        await self._go()
        lease = self.api.lease
        await self._come_back()
        return lease

    async def write(self, old: Lease | None, spec: LeaseSpec, word: str = "") -> Lease:
        """Replace or create it."""
        await self._go()
        lease = self.api.put(old, spec, word)
        await self._come_back()
        return lease

    async def changes(self) -> AsyncIterator[None]:
        """Watch it, where that is allowed."""
        if not self.watches:
            await anyio.sleep_forever()
        while True:
            await self.api.changed.wait()
            yield

    async def _go(self) -> None:
        if self.refuses:
            raise Unreachable("https://api", "connection refused")
        if self.silent:
            await anyio.sleep_forever()
        await anyio.sleep(self.delay())

    async def _come_back(self) -> None:
        if self.loses_answers:
            raise AnswerLost("update", "lease", "connection reset")
        await anyio.sleep(self.delay())


@dataclass(slots=True)
class Weather:
    """Breaks a candidate's network now and then, for some seconds."""

    rng: random.Random

    async def trouble(self, lock: MemoryLock) -> None:
        """Go on for ever."""
        lock.delay = lambda: self.rng.choice((0.0, 0.0, 0.01, 0.5, 3.0))
        while True:
            await anyio.sleep(self.rng.uniform(1, 40))
            kind = self.rng.choice(("refuses", "silent", "loses_answers"))
            setattr(lock, kind, True)
            await anyio.sleep(self.rng.uniform(0, 20))
            setattr(lock, kind, False)
