import anyio
import pytest

from pallet.framework.instruments import Instruments
from pallet.podset.workqueue import SETTLE, Workqueue
from tests.builders import at
from tests.faults.virtual_time import VIRTUAL_TIME

WORKQUEUE = {
    "adds_total": 4,
    "depth": 1,
    "queue_duration_seconds_count": 2,
    "queue_duration_seconds_sum": 3,
    "work_duration_seconds_count": 1,
    "work_duration_seconds_sum": 4,
    "unfinished_work_seconds": 4,
    "longest_running_processor_seconds": 4,
}
"""What is shown after four keys were added, two taken at 3 s, and one of these done at 7 s."""


class Clock:
    """A workqueue of strings, and its time."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.workqueue: Workqueue[str] = Workqueue(lambda: at(self.seconds))

    def taken_at(self, seconds: float) -> list[str]:
        self.seconds = seconds
        return self.workqueue.take()


def test_keys_come_when_they_are_due_the_longest_due_first() -> None:
    clock = Clock()
    clock.workqueue.add("b", at(2))
    clock.workqueue.add("a", at(1))
    clock.workqueue.add("c", at(9))
    assert clock.taken_at(2) == ["a", "b"]
    assert clock.taken_at(9) == ["c"]


def test_an_earlier_time_stands_and_a_key_comes_once() -> None:
    clock = Clock()
    for second in (5, 1, 7):
        clock.workqueue.add("a", at(second))
    assert clock.taken_at(10) == ["a"]
    clock.workqueue.done("a")
    assert clock.taken_at(10) == []


def test_a_key_that_is_worked_on_comes_again_only_when_it_is_done() -> None:
    clock = Clock()
    clock.workqueue.add("a", at(1))
    assert clock.taken_at(1) == ["a"]
    clock.workqueue.add("a", at(2))
    assert clock.taken_at(3) == []
    clock.workqueue.done("a")
    assert clock.taken_at(3) == ["a"]


def test_news_that_is_not_urgent_may_gather() -> None:
    clock = Clock()
    clock.workqueue.touch({"urgent": True, "other": False})
    assert clock.taken_at(0) == ["urgent"]
    assert clock.taken_at(SETTLE.total_seconds()) == ["other"]


@pytest.mark.parametrize("anyio_backend", [VIRTUAL_TIME])
@pytest.mark.parametrize(("due", "waits"), [(5, 5), (600, 60), (None, 60)])
@pytest.mark.anyio
async def test_it_waits_for_the_next_key_and_looks_at_the_time_every_minute(
    due: float | None, waits: float
) -> None:
    workqueue: Workqueue[str] = Workqueue(lambda: at(anyio.current_time()))
    began = anyio.current_time()
    if due is not None:
        workqueue.add("a", at(began + due))
    await workqueue.wait()
    assert anyio.current_time() - began == pytest.approx(waits)


@pytest.mark.parametrize("anyio_backend", [VIRTUAL_TIME])
@pytest.mark.anyio
async def test_what_is_added_or_done_ends_the_wait() -> None:
    workqueue: Workqueue[str] = Workqueue(lambda: at(anyio.current_time()))
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(workqueue.wait)
        await anyio.sleep(1)
        workqueue.touch({"a": True})
    assert workqueue.take() == ["a"]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(workqueue.wait)
        await anyio.sleep(1)
        workqueue.done("a")
    assert anyio.current_time() - began == pytest.approx(2)


def test_its_metrics_have_the_names_of_client_go() -> None:
    clock, instruments = Clock(), Instruments()
    clock.workqueue.show(instruments, "podsets")
    for key, second in (("a", 1), ("a", 2), ("b", 2), ("later", 60)):
        clock.workqueue.add(key, at(second))
    assert clock.taken_at(3) == ["a", "b"]
    clock.seconds = 7
    clock.workqueue.done("a")
    clock.workqueue.add("c", at(7))

    def shown(name: str) -> float | None:
        return instruments.registry.get_sample_value(f"workqueue_{name}", {"name": "podsets"})

    assert {name: shown(name) for name in WORKQUEUE} == WORKQUEUE
