"""The client-side rate limit: a token bucket whose waiters are served by priority, then in order."""

import asyncio
import heapq
from enum import IntEnum
from itertools import count
from typing import Final


class Priority(IntEnum):
    """Who goes first when requests have to wait."""

    BINDING = 0
    NORMAL = 1
    EVENT = 2


ALMOST_ONE: Final = 1.0 - 1e-4
"""Tokens that count as one: clocks and sums round, and timers for the rest would fire without end."""


class RateLimiter:
    """At most `qps` requests a second over time, and `burst` at once; no limit when `qps` is 0 or less."""

    def __init__(self, qps: float, burst: int) -> None:
        self.qps = qps
        self.burst = max(1, burst)
        self._tokens = float(self.burst)
        self._at = float("-inf")
        self._order = count()
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None

    def try_acquire(self) -> bool:
        """Take a token if one is there and nobody waits for it."""
        if self.qps <= 0:
            return True
        if self._waiters:
            return False
        self._refill()
        if self._tokens < ALMOST_ONE:
            return False
        self._tokens -= 1.0
        return True

    def charge(self, tokens: float) -> None:
        """Take tokens that need not be there yet: those who come next wait for them as well."""
        if self.qps > 0:
            self._refill()
            self._tokens -= tokens

    async def acquire(self, priority: Priority = Priority.NORMAL) -> None:
        """Take a token, waiting for it behind those of higher priority and those who came before."""
        if self.try_acquire():
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (priority, next(self._order), granted))
        self._arm()
        try:
            await granted
        except asyncio.CancelledError:
            if (
                granted.done() and not granted.cancelled()
            ):  # granted and cancelled in the same turn of the loop
                self._tokens += 1.0
                self._grant()
            raise

    def _refill(self) -> None:
        """Add what has come in since the last look."""
        now = asyncio.get_running_loop().time()
        self._tokens = min(float(self.burst), self._tokens + max(0.0, now - self._at) * self.qps)
        self._at = now

    def _arm(self) -> None:
        """Have the waiters served when the next token is there."""
        if self._timer is None and self._waiters:
            wait = max(0.0, (1.0 - self._tokens) / self.qps)
            self._timer = asyncio.get_running_loop().call_later(wait, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._grant()

    def _grant(self) -> None:
        """Hand out the tokens there are."""
        self._refill()
        while self._waiters and (self._tokens >= ALMOST_ONE or self._waiters[0][2].done()):
            granted = heapq.heappop(self._waiters)[2]
            if not granted.done():
                granted.set_result(None)
                self._tokens -= 1.0
        self._arm()
