"""The API server's time, learnt from the Date headers of its answers.

Times in objects are the API server's. Where one is compared with now, now must be the server's too: the
clocks of the two machines may differ by more than a quiet time is long.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf

import msgspec

WINDOW_SECONDS = 600.0
"""How long an observation counts at least: clocks drift."""


class _Bounds(msgspec.Struct, frozen=True, gc=False):
    """By how much the server is ahead of the local clock, in seconds: at least, and at most."""

    low: float = -inf
    high: float = inf

    def narrowed(self, other: "_Bounds") -> "_Bounds":
        return _Bounds(max(self.low, other.low), min(self.high, other.high))

    def is_within(self, other: "_Bounds") -> bool:
        return self.low >= other.low and self.high <= other.high

    @property
    def is_empty(self) -> bool:
        return self.low > self.high


class ServerClock:
    """The local clock, corrected only where it contradicts the server's.

    A header gives the whole second in which the server wrote its answer, some time between the sending of
    the request and the arrival of the answer. As long as the local clock may be right, it is taken as right.
    Where it is not, the latest time that the server can have is taken: as more answers come it is corrected
    backwards, if at all, so that a span of time between two looks at it is never cut short.
    """

    def __init__(self, local: Callable[[], float] = time.time) -> None:
        self._local = local
        self._date = ""
        self._second = 0.0
        self._since = -inf
        self._before = self._newest = _Bounds()

    def mark(self) -> float:
        """The local time, in seconds; to be taken before a request is sent."""
        return self._local()

    def observe(self, date: str, sent: float) -> None:
        """Take the Date header of the answer to a request sent at this mark; what is no date is ignored."""
        if date != self._date:
            try:
                self._second = parsedate_to_datetime(date).timestamp()
            except ValueError:
                return
            self._date = date
        now = self._local()
        seen = _Bounds(self._second - now, self._second + 1.0 - sent)
        if now - self._since > WINDOW_SECONDS or now < self._since:
            self._before, self._newest, self._since = self._newest, _Bounds(), now
        elif self._newest.is_within(seen):
            return
        self._newest = self._newest.narrowed(seen)
        if self._newest.is_empty or self._newest.narrowed(self._before).is_empty:
            self._before, self._newest, self._since = _Bounds(), seen, now  # a clock was set

    def now(self) -> datetime:
        """The server's time, as far as it is known."""
        bounds = self._newest.narrowed(self._before)
        ahead = 0.0 if bounds.low <= 0.0 <= bounds.high else bounds.high
        return datetime.fromtimestamp(self._local() + ahead, UTC)
