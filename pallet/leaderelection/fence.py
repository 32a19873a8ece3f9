"""The fence in front of every write: none starts after the renew deadline, none may outlast the lease."""

import sys
import time
from collections.abc import Callable
from math import inf


def steady_now() -> float:
    """Give the seconds of a clock that nobody sets and that, where there is one, goes on while suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


class Fence:
    """Says for how long this process may write. Closed until the lease is won.

    It depends on the clock alone, so it also closes when the event loop, or the whole process, was stopped
    for a while, before anything else runs.
    """

    def __init__(self, clock: Callable[[], float] = steady_now) -> None:
        self._clock = clock
        self._deadline = -inf
        self._end = -inf

    @classmethod
    def open(cls) -> "Fence":
        """A fence that never closes, for a scheduler without leader election."""
        fence = cls()
        fence.extend(inf, inf)
        return fence

    def extend(self, deadline: float, end: float) -> None:
        """Let writes start before `deadline` and last until `end`, both in seconds of the clock."""
        self._deadline, self._end = deadline, end

    def close(self) -> None:
        """Let nothing through any more."""
        self.extend(-inf, -inf)

    def until_deadline(self) -> float:
        """Seconds during which writes may still start; not positive when none may."""
        return self._deadline - self._clock()

    def remaining(self) -> float:
        """Seconds that a write starting now may take at most; 0 when none may start."""
        now = self._clock()
        return self._end - now if now < self._deadline else 0.0
