"""Work that is started in a cycle and done beside it."""

import anyio
import pytest

from pallet.framework.tasks import Tasks

pytestmark = pytest.mark.anyio


async def test_what_is_started_before_and_while_it_runs_is_done() -> None:
    tasks, done = Tasks(), []

    async def work(name: str) -> None:
        await anyio.lowlevel.checkpoint()
        done.append(name)

    tasks.start(work, "early")
    async with anyio.create_task_group() as group:
        group.start_soon(tasks.run)
        await anyio.wait_all_tasks_blocked()
        tasks.start(work, "late")
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert done == ["early", "late"]


async def test_what_is_under_way_ends_with_it() -> None:
    tasks = Tasks()
    tasks.start(anyio.sleep_forever)
    with anyio.move_on_after(0) as scope:
        await tasks.run()
    assert scope.cancelled_caught
