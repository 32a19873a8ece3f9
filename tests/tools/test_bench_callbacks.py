"""How long callbacks held the loop: how they are counted, and what is a fault."""

import asyncio
from dataclasses import replace

import pytest

from tools.bench.callbacks import Held, judge, table
from tools.bench.timed_callbacks import BOUNDS, Record, timed


def nothing() -> None:
    """Do nothing."""


@pytest.fixture
def handle() -> asyncio.Handle:
    loop = asyncio.new_event_loop()
    loop.close()
    return asyncio.Handle(nothing, (), loop)


def test_a_callback_is_counted_in_the_bucket_of_its_time(handle: asyncio.Handle) -> None:
    record = Record()
    for milliseconds in (0.5, 1.0, 1.5, 50.0, 50.1):
        record.add(milliseconds, milliseconds + 7, handle)
    assert record.counts == [2, 1, 0, 0, 0, 1, 1]
    assert (record.longest, record.longest_by_clock) == (50.1, 57.1)
    assert "nothing" in record.which


def test_callbacks_are_counted_from_the_first_watch_on(handle: asyncio.Handle) -> None:
    record, ran = Record(), list[asyncio.Handle]()
    run = timed(record, ran.append)
    run(handle)
    assert sum(record.counts) == 0
    record.begun = True
    run(handle)
    assert sum(record.counts) == 1
    assert ran == [handle, handle]


QUICK = Record(counts=[10, 0, 0, 0, 0, 1, 0], longest=49.0, which="quick", longest_by_clock=60.0)
SLOW = replace(QUICK, counts=[5, 0, 0, 0, 0, 0, 1], longest=51.0, which="slow")


@pytest.mark.parametrize(
    ("held", "faults"),
    [
        (Held("many pods", [QUICK], []), []),
        (Held("many pods", [QUICK, SLOW], []), ["many pods: a callback took 51 ms of CPU time: slow"]),
        (Held("many pods", [QUICK], ["1 of 2 pods is not bound"]), ["many pods: 1 of 2 pods is not bound"]),
    ],
)
def test_a_long_callback_is_a_fault_and_so_is_a_pod_without_a_node(held: Held, faults: list[str]) -> None:
    assert judge(held) == faults


def test_the_table_sums_the_runs_of_a_scenario_up() -> None:
    lines = table([Held("many pods", [QUICK, SLOW], [])]).splitlines()
    assert len(BOUNDS) + 4 == lines[0].count("|") - 1
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "many pods", "15", "0", "0", "0", "0", "1", "1", "51", "60",
    ]  # fmt: skip
