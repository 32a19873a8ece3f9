"""What a reader of change logs is told."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallet.cache.changes import ChangeLog
from pallet.cache.cursor import Cursor


def log_of(*entries: int, limit: int = 8192) -> ChangeLog[int]:
    log: ChangeLog[int] = ChangeLog(limit)
    log.record_all(entries)
    return log


def listed(entries: Sequence[int] | None) -> list[int] | None:
    return None if entries is None else list(entries)


def test_everything_may_have_changed_before_the_first_look() -> None:
    log, cursor = log_of(), Cursor()
    assert cursor.is_behind(log)
    assert cursor.read(log) is None
    assert listed(cursor.read(log)) == []
    assert not cursor.is_behind(log)


def test_one_that_begins_with_a_log_has_read_it() -> None:
    log = log_of(1)
    cursor = Cursor(log)
    assert not cursor.is_behind(log)
    log.record(2)
    assert cursor.is_behind(log)
    assert listed(cursor.read(log)) == [2]


def test_each_entry_is_told_once_in_its_order() -> None:
    log = log_of(0)
    cursor = Cursor(log)
    for row in (5, 2, 5, 1):
        log.record(row)
    assert listed(cursor.read(log)) == [5, 2, 1]
    log.record(1)
    assert listed(cursor.read(log)) == [1]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        pytest.param([], [], [], id="nothing"),
        pytest.param([3], [], [3], id="one of them"),
        pytest.param([], [4], [4], id="the other"),
        pytest.param([3, 1], [4, 3], [3, 1, 4], id="both"),
        pytest.param(None, [4], None, id="everything of one"),
        pytest.param([3], None, None, id="everything of the other"),
    ],
)
def test_several_logs_are_read_together_or_each_by_itself(
    one: list[int] | None, other: list[int] | None, both: list[int] | None
) -> None:
    logs = log_of(7), log_of(8)
    together, each = Cursor(*logs), Cursor(*logs)
    for log, entries in zip(logs, (one, other), strict=True):
        if entries is None:
            log.reset()
        else:
            log.record_all(entries)
    assert listed(together.read_all(*logs)) == both
    assert list(map(listed, each.read_each(*logs))) == [one, other]
    assert listed(together.read_all(*logs)) == []
    assert list(map(listed, each.read_each(*logs))) == [[], []]


def test_each_log_by_itself_tells_of_every_change_and_has_no_entries_before_the_first_look() -> None:
    log: ChangeLog[tuple[int, str]] = ChangeLog()
    cursor = Cursor()
    assert cursor.read_each(log) == [None]
    for entry in ((1, "a"), (-1, "a"), (1, "a")):
        log.record(entry)
    assert cursor.read_each(log) == [[(1, "a"), (-1, "a"), (1, "a")]]


def test_everything_may_have_changed_where_the_log_has_forgotten_or_is_another_one() -> None:
    log = log_of(limit=4)
    cursor, late = Cursor(log), Cursor(log)
    log.record_all([0, 1])
    assert listed(cursor.read(log)) == [0, 1]
    for row in (2, 3, 4):
        log.record(row)
    assert late.read(log) is None
    assert listed(cursor.read(log)) == [2, 3, 4]
    assert cursor.is_behind(log_of())
    assert cursor.read(log_of()) is None


@given(st.integers(1, 9), st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)) | st.none()))
def test_no_change_is_ever_missed(limit: int, steps: list[tuple[int, int] | None]) -> None:
    """`None` stands for a look at both logs."""
    logs: list[ChangeLog[Any]] = [ChangeLog(limit), ChangeLog(limit)]
    cursor, new = Cursor(*logs), list[int]()
    for step in [*steps, None]:
        if step is not None:
            logs[step[0]].record(step[1])
            new.append(step[1])
        else:
            assert cursor.is_behind(*logs) == bool(new)
            read = cursor.read_all(*logs)
            if len(new) <= limit // 2:
                assert read is not None
            assert read is None or set(read) == set(new)
            new.clear()
