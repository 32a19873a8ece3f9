"""Workers: each thing has a task while it needs one, and tasks are used again."""

import anyio
import pytest

from pallet.scheduler.workers import MAX_IDLE, Workers

pytestmark = pytest.mark.anyio


class Work:
    """Things are done when they are let go; what is not held is done at once."""

    def __init__(self) -> None:
        self.held: dict[int, anyio.Event] = {}
        self.done: list[int] = []
        self.tasks: set[int] = set()

    def hold(self, *things: int) -> None:
        self.held |= {thing: anyio.Event() for thing in things}

    async def do(self, thing: int) -> None:
        self.tasks.add(anyio.get_current_task().id)
        if thing in self.held:
            await self.held[thing].wait()
        self.done.append(thing)


async def test_tasks_are_used_again() -> None:
    work = Work()
    async with anyio.create_task_group() as tasks:
        workers = Workers(tasks, work.do)
        for thing in range(10):
            workers.start(thing)
            await anyio.wait_all_tasks_blocked()
        workers.end()
    assert work.done == list(range(10))
    assert len(work.tasks) == 1


async def test_what_waits_keeps_nobody_waiting() -> None:
    work = Work()
    work.hold(*range(300))
    async with anyio.create_task_group() as tasks:
        workers = Workers(tasks, work.do)
        for thing in range(301):
            workers.start(thing)
        await anyio.wait_all_tasks_blocked()
        assert work.done == [300]
        for event in work.held.values():
            event.set()
        workers.end()
    assert sorted(work.done) == list(range(301))


async def test_not_all_tasks_of_a_rush_are_kept() -> None:
    work = Work()
    work.hold(*range(MAX_IDLE + 20))
    async with anyio.create_task_group() as tasks:
        workers = Workers(tasks, work.do)
        for thing in work.held:
            workers.start(thing)
        for event in work.held.values():
            event.set()
        await anyio.wait_all_tasks_blocked()
        work.tasks.clear()
        work.hold(*range(1000, 1000 + MAX_IDLE + 1))
        before = len(anyio.get_running_tasks())
        for thing in range(1000, 1000 + MAX_IDLE):
            workers.start(thing)
        await anyio.wait_all_tasks_blocked()
        assert len(anyio.get_running_tasks()) == before
        workers.start(1000 + MAX_IDLE)
        await anyio.wait_all_tasks_blocked()
        assert len(anyio.get_running_tasks()) == before + 1
        for event in work.held.values():
            event.set()
        workers.end()


async def test_at_the_end_work_under_way_is_finished() -> None:
    work = Work()
    work.hold(1)
    async with anyio.create_task_group() as tasks:
        workers = Workers(tasks, work.do)
        workers.start(0)
        workers.start(1)
        await anyio.wait_all_tasks_blocked()
        workers.end()
        await anyio.wait_all_tasks_blocked()
        assert work.done == [0]
        work.held[1].set()
    assert work.done == [0, 1]


async def test_idle_tasks_can_be_cancelled() -> None:
    work = Work()
    async with anyio.create_task_group() as tasks:
        workers = Workers(tasks, work.do)
        workers.start(0)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert work.done == [0]
