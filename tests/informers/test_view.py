"""When a view of the cluster is in doubt, and what settles it; in virtual time."""

import asyncio
from typing import Any

import anyio
import pytest

from pallet.informers.view import View
from tests.faults.virtual_time import VIRTUAL_TIME, VirtualTimeLoop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


class Informers:
    """They need two seconds to catch up."""

    def __init__(self) -> None:
        self.begun: list[float] = []

    async def catch_up(self) -> None:
        self.begun.append(anyio.current_time())
        await anyio.sleep(2.0)


class Scene:
    def __init__(self, tasks: anyio.abc.TaskGroup) -> None:
        self.informers = Informers()
        stand_in: Any = self.informers
        self.view = View(stand_in, anyio.current_time)
        tasks.start_soon(self.view.run)
        tasks.start_soon(self._beat)

    def doubted(self) -> bool:
        return self.view.is_in_doubt

    async def _beat(self) -> None:
        while True:
            self.view.beat()
            await anyio.sleep(0.02)


def stop_process(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.skip(seconds)


async def test_it_is_in_no_doubt_while_the_loop_runs() -> None:
    async with anyio.create_task_group() as tasks:
        scene = Scene(tasks)
        for _ in range(50):
            await anyio.sleep(1.1)
            assert not scene.doubted()
        await scene.view.settled()
        assert scene.informers.begun == []
        tasks.cancel_scope.cancel()


async def test_a_doubt_lasts_until_the_informers_have_caught_up() -> None:
    async with anyio.create_task_group() as tasks:
        scene = Scene(tasks)
        scene.view.doubt()
        assert scene.doubted()
        await scene.view.settled()
        assert anyio.current_time() == pytest.approx(2.0, abs=0.05)
        assert not scene.doubted()
        tasks.cancel_scope.cancel()


async def test_a_doubt_that_comes_meanwhile_is_settled_by_itself() -> None:
    async with anyio.create_task_group() as tasks:
        scene = Scene(tasks)
        scene.view.doubt()
        await anyio.sleep(1.0)
        scene.view.doubt()
        await scene.view.settled()
        assert scene.informers.begun == pytest.approx([0.0, 2.0], abs=0.05)
        assert anyio.current_time() == pytest.approx(4.0, abs=0.05)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("beats_first", [True, False])
async def test_after_a_standstill_it_is_in_doubt_whoever_runs_first(
    beats_first: bool,  # noqa: FBT001 - a table
) -> None:
    async with anyio.create_task_group() as tasks:
        scene = Scene(tasks)
        await anyio.sleep(5.0)
        stop_process(20.0)
        if beats_first:
            scene.view.beat()
        assert scene.doubted()
        await scene.view.settled()
        assert scene.informers.begun == pytest.approx([25.0], abs=0.05)
        assert not scene.doubted()
        tasks.cancel_scope.cancel()
