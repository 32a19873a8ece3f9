"""An event loop whose clock jumps to the next timer whenever nothing else is to be done.

For tests of back-off and deadlines: minutes pass in no time, and timers fire in their order. All that the
test talks to must live on the same loop.
"""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

SETTLE = 0.002
"""Real seconds that bytes between two sockets of this process may be on their way."""


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for sockets only briefly, and skips the rest of the time."""

    def __init__(self, skip: Callable[[float], None]) -> None:
        super().__init__()
        self._skip = skip

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Give the sockets that are ready; else skip the time until the next timer."""
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(min(timeout, SETTLE))
        if not ready:
            self._skip(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Begins at 0 s and goes on only when everybody waits."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self.skip))

    def time(self) -> float:
        """Give the virtual seconds."""
        return self._now

    def skip(self, seconds: float) -> None:
        """Let time pass at once, as when the loop is held up: timers come late."""
        self._now += seconds

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncio's
        """Wait for the threads in real time: no virtual time-out is longer than nothing to them."""
        await super().shutdown_default_executor()


VIRTUAL_TIME: tuple[str, dict[str, Any]] = ("asyncio", {"loop_factory": VirtualTimeLoop})
"""What a module's `anyio_backend` fixture returns to run its tests in virtual time."""
