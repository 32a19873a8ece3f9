"""Work that a plugin starts within a scheduling cycle, which awaits nothing, and that goes on beside it."""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.abc


class Tasks:
    """Starts what it is given while `run` runs; what is given before that waits."""

    def __init__(self) -> None:
        self._early: list[tuple[Callable[..., Coroutine[Any, Any, None]], tuple[Any, ...]]] = []
        self._group: anyio.abc.TaskGroup | None = None

    def start(self, work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Have some work done. It handles its own failures: what it raises ends the process."""
        if self._group is None:
            self._early.append((work, args))
        else:
            self._group.start_soon(work, *args)

    async def run(self) -> None:
        """Work until cancelled."""
        async with anyio.create_task_group() as self._group:
            for work, args in self._early:
                self._group.start_soon(work, *args)
            self._early.clear()
            await anyio.sleep_forever()
