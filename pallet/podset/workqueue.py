"""Which sets are to be looked at, and when: each by one task at a time."""

from collections.abc import Callable, Hashable, Mapping
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Final, Generic, TypeVar

import anyio

from pallet.framework.instruments import Instruments
from pallet.podset.workqueue_metrics import WorkqueueMetrics

K = TypeVar("K", bound=Hashable)

SETTLE: Final = timedelta(milliseconds=100)
"""How long news that is not urgent may gather."""

_LONGEST_SLEEP: Final = timedelta(minutes=1)
"""After this the time is looked at again: the clock may have been set meanwhile."""


class Workqueue(Generic[K]):
    """Keys with the time at which each is due. One that is taken is not given out again until it is done.

    now: the API server's time
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._due: dict[K, datetime] = {}
        self._heap: list[tuple[datetime, int, K]] = []
        self._order = count()
        self._busy: dict[K, datetime] = {}
        self._metrics: WorkqueueMetrics | None = None
        self._wake = anyio.Event()

    def show(self, instruments: Instruments, name: str) -> None:
        """Add its metrics, under this name."""
        self._metrics = WorkqueueMetrics(instruments, name, self._depth, self._working)

    def touch(self, touched: Mapping[K, bool]) -> None:
        """Have keys looked at: at once where the value says so, else soon."""
        now = self._now()
        for key, at_once in touched.items():
            self.add(key, now if at_once else now + SETTLE)

    def add(self, key: K, at: datetime) -> None:
        """Have a key looked at by this time; an earlier one that it has already stands."""
        if self._metrics is not None and key not in self._due:
            self._metrics.adds_total.inc()
        if key not in self._due or at < self._due[key]:
            self._due[key] = at
            heappush(self._heap, (at, next(self._order), key))
        self._wake.set()

    def take(self) -> list[K]:
        """Take all keys that are due and that no task works on, the longest due first."""
        now = self._now()
        taken = []
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heappop(self._heap)
            if self._due.get(key) == at and key not in self._busy:
                del self._due[key]
                self._busy[key] = now
                if self._metrics is not None:
                    self._metrics.queue_duration.observe((now - at).total_seconds())
                taken.append(key)
        return taken

    def done(self, key: K) -> None:
        """Let a taken key be given out again; it may have become due meanwhile."""
        taken = self._busy.pop(key, None)
        if self._metrics is not None and taken is not None:
            self._metrics.work_duration.observe(self._since(taken))
        if key in self._due:
            heappush(self._heap, (self._due[key], next(self._order), key))
        self._wake.set()

    async def wait(self) -> None:
        """Wait until a key may be due: the next one's time has come, or one was added or done."""
        self._wake = anyio.Event()
        due = self._next()
        rest = _LONGEST_SLEEP if due is None else min(due - self._now(), _LONGEST_SLEEP)
        with anyio.move_on_after(rest.total_seconds()):
            await self._wake.wait()

    def _depth(self) -> int:
        now = self._now()
        return sum(at <= now and key not in self._busy for key, at in self._due.items())

    def _working(self) -> list[float]:
        return [self._since(taken) for taken in self._busy.values()]

    def _since(self, taken: datetime) -> float:
        """Seconds; the clock may have been set back meanwhile."""
        return max(0.0, (self._now() - taken).total_seconds())

    def _next(self) -> datetime | None:
        """When the next key that no task works on is due; None when there is none."""
        while self._heap:
            at, _, key = self._heap[0]
            if self._due.get(key) == at and key not in self._busy:
                return at
            heappop(self._heap)
        return None
