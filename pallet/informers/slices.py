"""Long work in slices, so that others on the event loop have their turn."""

import time
from typing import Final

import anyio.lowlevel

SLICE: Final = 0.01
"""Seconds of work at a stretch."""


class Slice:
    """One stretch of work. Ask `is_over` after each step, and `breathe` when it is."""

    def __init__(self) -> None:
        self._end = time.perf_counter() + SLICE

    @property
    def is_over(self) -> bool:
        """Whether it has been long enough."""
        return time.perf_counter() > self._end

    async def breathe(self) -> None:
        """Let the others work, then begin the next stretch."""
        await anyio.lowlevel.checkpoint()
        self._end = time.perf_counter() + SLICE
