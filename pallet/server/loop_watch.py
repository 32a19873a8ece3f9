"""How long the event loop is held by whatever runs on it."""

from collections.abc import Callable
from typing import Final, NoReturn

import anyio

from pallet.framework.instruments import Histogram

PERIOD: Final = 0.02
"""Seconds between two looks. A shorter hold may go unseen; a longer one is seen, less up to this time."""


async def watch_loop(held: Histogram, *beats: Callable[[], object]) -> NoReturn:
    """Note in the histogram how late the loop wakes this task, again and again, and call each of `beats`."""
    while True:
        for beat in beats:
            beat()
        due = anyio.current_time() + PERIOD
        await anyio.sleep_until(due)
        held.observe(max(0.0, anyio.current_time() - due))
