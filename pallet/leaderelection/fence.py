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
    for a while, before anything else runs. Any thread may ask it.
    """

    def __init__(self, clock: Callable[[], float] = steady_now) -> None:
        self._clock = clock
        # Deadline and end in one, since the thread that renews replaces them while others ask.
        self._bounds = (-inf, -inf)
        self._closed = False

    @classmethod
    def open(cls) -> "Fence":
        """A fence that never closes, for a scheduler without leader election."""
        fence = cls()
        fence.extend(inf, inf)
        return fence

    def extend(self, deadline: float, end: float) -> None:
        """Let writes start before `deadline` and last until `end`, both in seconds of the clock."""
        self._bounds = (deadline, end)

    def close(self) -> None:
        """Let nothing through any more, for good: a renewal that was under way opens it no more."""
        self._closed = True

    def until_deadline(self) -> float:
        """Seconds during which writes may still start; not positive when none may."""
        return -inf if self._closed else self._bounds[0] - self._clock()

    def remaining(self) -> float:
        """Seconds that a write starting now may take at most; 0 when none may start."""
        deadline, end = self._bounds
        now = self._clock()
        return end - now if now < deadline and not self._closed else 0.0
