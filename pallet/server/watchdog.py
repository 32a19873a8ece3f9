"""The watchdog of the event loop: says what holds it, and ends the process when it does not come back."""

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final

from pallet.logs import get_logger

log = get_logger(__name__)

PERIOD: Final = 0.2
"""Seconds between two looks."""

REPORT_SECONDS: Final = 1.0
"""How long the loop may be held before that is logged; then again after twice as long, and so on."""

FLUSH_SECONDS: Final = 1.0
"""How long the log has for the last lines."""

FRAMES: Final = 30
"""Calls of the stack that are logged, innermost last."""


class LoopWatchdog:
    """Looks at the beats of a loop from a thread of its own.

    While the thread itself did not run, the process was stopped, or something kept the interpreter to itself:
    that is logged too, but is no fault of the loop.
    """

    def __init__(
        self,
        *,
        dead_after: float,
        at_death: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._dead_after = dead_after
        self._at_death = at_death
        self._clock = clock
        self._end = end
        self._watched = threading.get_ident()
        self._beat = self._looked = self._since = clock()
        self._report_at = REPORT_SECONDS
        self._stopped = threading.Event()

    def beat(self) -> None:
        """Say that the loop runs; for the loop, several times a second."""
        self._beat = self._clock()

    def start(self) -> None:
        """Watch the loop of the thread that made this, until `stop`."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def look(self) -> None:
        """Compare the last beat with the clock."""
        now = self._clock()
        gap, self._looked = now - self._looked, now
        if gap > REPORT_SECONDS:
            log.warning("The process was stopped, or one call held all its threads", seconds=round(gap, 1))
            self._since = now
        held = now - max(self._beat, self._since)
        if held >= self._dead_after:
            log.error(
                "The event loop does not run any more, so the process ends", **self._what_holds_it(held)
            )
            self._at_death()
            self._stopped.wait(FLUSH_SECONDS)
            self._end(1)
        elif held < REPORT_SECONDS:
            self._report_at = REPORT_SECONDS
        elif held >= self._report_at:
            self._report_at *= 2
            log.warning("The event loop is held", **self._what_holds_it(held))

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD):
            self.look()

    def _what_holds_it(self, held: float) -> dict[str, object]:
        frame = sys._current_frames().get(self._watched)
        stack = traceback.format_stack(frame, FRAMES) if frame is not None else []
        return {"seconds": round(held, 1), "stack": "".join(stack)}
