"""Turns on the event loop: who has much to do for many pods does it in parts, and lets others in between."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import anyio
import anyio.lowlevel

T = TypeVar("T")

STEPS: Final = 512
"""Pods that are seen to before the event loop has its turn, by all who share the turns together. A pod takes
some 10 to 20 µs."""


class Turns:
    """Shared by tasks that would hold the event loop too long together, even where none does alone."""

    def __init__(self) -> None:
        self._lock = anyio.Lock(fast_acquire=True)
        self._left = STEPS

    async def take(self, steps: int) -> None:
        """Wait until it is one's turn to do this many steps; more than STEPS use up the turns to come."""
        async with self._lock:
            while self._left <= 0:
                await anyio.lowlevel.checkpoint()
                self._left += STEPS
            self._left -= steps


def parts(things: Sequence[T]) -> Iterator[Sequence[T]]:
    """Parts of a sequence, each small enough to leave room for others in a turn."""
    size = STEPS // 2
    for start in range(0, len(things), size):
        yield things[start : start + size]
