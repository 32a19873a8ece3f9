"""The loop budget: how much long work the event loop does before everything else on it has its turn.

Whoever has much to do shares the one budget of the process, and asks it between two steps:

    for pod in pods:
        if budget.exhausted:
            await budget.pause()
        work(pod)

All such work together gets one slice in an iteration of the event loop, whoever does it. Whatever else is
ready to run, runs between two slices.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final

SLICE_SECONDS: Final = 0.01
"""How long work goes on at a stretch."""


class LoopBudget:
    """Shares slices of one event loop among those with long work. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._end: float | None = None
        """When the slice of this iteration is used up; None before anybody has asked."""
        self._paused: deque[asyncio.Future[None]] = deque()

    @property
    def exhausted(self) -> bool:
        """Whether the slice of this iteration is used up, or kept for another task.

        To be asked before each step of long work. The first to ask in an iteration begins its slice.
        """
        if self._end is None:
            self._begin()
            return False
        return self._clock() >= self._end

    async def pause(self) -> None:
        """Let everything else on the loop run at least once, then begin a slice. First come, first served."""
        if self._end is None:
            self._begin()
        turn = asyncio.get_running_loop().create_future()
        self._paused.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._pass_on()
            raise
        self._begin()

    def _begin(self) -> None:
        """Begin a slice, which ends with this iteration of the loop."""
        self._end = self._clock() + SLICE_SECONDS
        asyncio.get_running_loop().call_soon(self._pass_on)

    def _pass_on(self) -> None:
        """Give the next slice to the first task that waits. The task runs in the next iteration; until then
        nothing is left for others."""
        while self._paused:
            turn = self._paused.popleft()
            if not turn.done():  # else it was cancelled
                self._end = -math.inf
                turn.set_result(None)
                return
        self._end = None
