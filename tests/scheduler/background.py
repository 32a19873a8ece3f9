"""What runs beside a test until it is cancelled."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Never

import anyio


@asynccontextmanager
async def in_background(run: Callable[[], Coroutine[Any, Any, Never]]) -> AsyncIterator[None]:
    """Have it run while the block does."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        yield
        tasks.cancel_scope.cancel()
