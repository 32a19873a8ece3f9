"""The loop's watch sees what holds it, in virtual time."""

import asyncio

import anyio
import pytest

from pallet.framework.instruments import Histogram
from pallet.server.loop_watch import watch_loop
from tests.faults.virtual_time import VIRTUAL_TIME, VirtualTimeLoop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


def hold_loop(seconds: float) -> None:
    """Let time pass without giving others a turn."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.skip(seconds)


@pytest.mark.parametrize(("held", "counts"), [(0.0, [0, 0]), (0.25, [1, 0]), (5.0, [0, 1])])
async def test_a_held_loop_is_seen(held: float, counts: list[int]) -> None:
    histogram = Histogram((0.1, 1.0))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch_loop, histogram)
        await anyio.sleep(0.11)
        hold_loop(held)
        await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
    assert histogram.counts[1:] == counts
    assert histogram.sum == pytest.approx(held, abs=0.02)
