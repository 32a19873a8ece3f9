"""The API server's time, learnt from the Date headers of its answers.

Times in objects are the API server's. Where one is compared with now, now must be the server's too: the
clocks of the two machines may differ by more than a quiet time is long.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

WINDOW_SECONDS = 600.0
"""How long an observation counts: clocks drift."""


class ServerClock:
    """A clock that is never ahead of the server's by more than drift, and behind it by a second at most.

    A header gives whole seconds, rounded down, and comes late. So of all observations the one that puts the
    server furthest ahead is the best. `steady` must not be set back; `local` is asked until the first header.
    """

    def __init__(
        self, steady: Callable[[], float] = time.monotonic, local: Callable[[], float] = time.time
    ) -> None:
        self._steady = steady
        self._local = local
        self._last = ""
        self._since = 0.0
        self._best: float | None = None
        self._newest: float | None = None

    def observe(self, date: str) -> None:
        """Take a Date header; the same one again tells nothing new."""
        if not date or date == self._last:
            return
        self._last = date
        try:
            ahead = parsedate_to_datetime(date).timestamp() - self._steady()
        except ValueError:
            return
        now = self._steady()
        if self._newest is not None and now - self._since > WINDOW_SECONDS:
            self._best, self._newest = self._newest, None
        if self._newest is None:
            self._since, self._newest = now, ahead
        self._newest = max(self._newest, ahead)
        self._best = ahead if self._best is None else max(self._best, ahead)

    def now(self) -> datetime:
        """The server's time, as far as it is known."""
        seconds = self._local() if self._best is None else self._steady() + self._best
        return datetime.fromtimestamp(seconds, UTC)
