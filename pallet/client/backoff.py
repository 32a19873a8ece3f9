"""Growing delays between attempts."""

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Delays in seconds that grow by `factor` up to `cap`, each longer at random by up to `jitter` of itself.

    The defaults are those of client-go's reflector. After `reset_after` seconds without a failure it starts
    again.
    """

    initial: float = 0.8
    cap: float = 30.0
    factor: float = 2.0
    jitter: float = 1.0
    reset_after: float = 120.0
    _next: float = field(default=0.0, init=False)
    _last: float = field(default=float("-inf"), init=False)

    def delay(self, now: float) -> float:
        """Give the seconds to wait after a failure at `now` (seconds of any steady clock)."""
        if now - self._last > self.reset_after:
            self._next = self.initial
        self._last = now
        delay = self._next
        self._next = min(self._next * self.factor, self.cap)
        return delay * (1.0 + self.jitter * random.random())  # noqa: S311  # nothing secret
