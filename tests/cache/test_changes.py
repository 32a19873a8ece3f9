from hypothesis import given
from hypothesis import strategies as st

from pallet.cache.changes import ChangeLog


def rows_since(log: ChangeLog, stamp: int) -> list[int] | None:
    rows = log.since(stamp)
    return None if rows is None else rows.tolist()


def test_a_reader_gets_each_changed_row_once_and_in_order() -> None:
    log = ChangeLog()
    before = log.stamp
    for row in (5, 2, 5, 1):
        log.record(row)
    assert rows_since(log, before) == [1, 2, 5]
    assert rows_since(log, before + 3) == [1]
    assert rows_since(log, log.stamp) == []


def test_a_reader_far_behind_is_told_to_look_at_everything() -> None:
    log = ChangeLog(limit=4)
    before = log.stamp
    for row in range(5):
        log.record(row)
    assert rows_since(log, before) is None
    assert rows_since(log, before + 2) == [2, 3, 4]


def test_a_reader_of_another_log_or_from_before_a_reset_is_told_to_look_at_everything() -> None:
    log, other = ChangeLog(), ChangeLog()
    before = log.stamp
    assert rows_since(log, other.stamp) is None
    assert rows_since(log, -1) is None
    log.reset()
    assert rows_since(log, before) is None
    assert rows_since(log, log.stamp) == []


@given(st.integers(1, 9), st.lists(st.integers(0, 5)), st.integers(0, 40))
def test_no_change_is_ever_missed(limit: int, changes: list[int], stamp: int) -> None:
    log = ChangeLog(limit)
    first = log.stamp
    for row in changes:
        log.record(row)
    assert log.stamp == first + len(changes)
    if stamp <= len(changes):
        rows = rows_since(log, first + stamp)
        assert rows is None or rows == sorted(set(changes[stamp:]))
        if len(changes) - stamp <= limit // 2:
            assert rows is not None
