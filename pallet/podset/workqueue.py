"""Which sets are to be looked at, and when: each by one task at a time."""

from collections.abc import Hashable
from datetime import datetime
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Workqueue(Generic[K]):
    """Keys with the time at which each is due. One that is taken is not given out again until it is done."""

    def __init__(self) -> None:
        self._due: dict[K, datetime] = {}
        self._heap: list[tuple[datetime, int, K]] = []
        self._order = count()
        self._busy: set[K] = set()

    def add(self, key: K, at: datetime) -> None:
        """Have a key looked at by this time; an earlier one that it has already stands."""
        if key not in self._due or at < self._due[key]:
            self._due[key] = at
            heappush(self._heap, (at, next(self._order), key))

    def take(self, now: datetime) -> list[K]:
        """Take all keys that are due and that no task works on, the longest due first."""
        taken = []
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heappop(self._heap)
            if self._due.get(key) == at and key not in self._busy:
                del self._due[key]
                self._busy.add(key)
                taken.append(key)
        return taken

    def done(self, key: K) -> None:
        """Let a taken key be given out again; it may have become due meanwhile."""
        self._busy.discard(key)
        if key in self._due:
            heappush(self._heap, (self._due[key], next(self._order), key))

    def next(self) -> datetime | None:
        """When the next key that no task works on is due; None when there is none."""
        while self._heap:
            at, _, key = self._heap[0]
            if self._due.get(key) == at and key not in self._busy:
                return at
            heappop(self._heap)
        return None
