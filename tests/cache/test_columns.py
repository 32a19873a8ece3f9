from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallet.api.node import Taint
from pallet.cache.columns import ABSENT, LabelColumn, LabelColumns, TaintColumns, resized

ROWS = 4
A, B, C = Taint("a", "NoSchedule"), Taint("b", "NoExecute", "x"), Taint("c", "PreferNoSchedule")


def values(column: LabelColumn) -> list[str | None]:
    return [None if code == ABSENT else column.values[code] for code in column.codes.tolist()]


def taints_of(columns: TaintColumns, row: int) -> set[Taint]:
    return {taint for taint, present in columns.present.items() if present[row]}


def test_a_label_column_tells_values_apart_by_code() -> None:
    column = LabelColumn(ROWS)
    column.put(0, "x")
    column.put(1, "y")
    column.put(2, "x")
    assert values(column) == ["x", "y", "x", None]
    assert column.codes[0] == column.codes[2] == column.code_of["x"]
    column.put(0, None)
    assert values(column) == [None, "y", "x", None]


def test_an_empty_value_is_not_an_absent_label() -> None:
    column = LabelColumn(ROWS)
    column.put(0, "")
    assert values(column) == ["", None, None, None]


def test_values_that_come_and_go_do_not_pile_up() -> None:
    column = LabelColumn(ROWS)
    column.put(0, "stays")
    for number in range(1000):
        column.put(1, f"value-{number}")
        assert values(column) == ["stays", f"value-{number}", None, None]
    assert len(column.values) < 100
    assert {column.values[code] for code in column.code_of.values()} == column.code_of.keys()
    assert all(column.values[code] == value for value, code in column.code_of.items())


@given(
    st.lists(
        st.tuples(
            st.integers(0, ROWS - 1),
            st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3),
        )
    )
)
def test_label_columns_show_the_labels_of_every_row(changes: list[tuple[int, Mapping[str, str]]]) -> None:
    columns, rows = LabelColumns(ROWS), [dict[str, str]() for _ in range(ROWS)]
    for row, labels in changes:
        columns.put(row, rows[row], labels)
        rows[row] = dict(labels)
        assert values(columns["a"]) == [labels.get("a") for labels in rows]  # asked about all the time
    for key in "abcd":
        assert values(columns[key]) == [labels.get(key) for labels in rows]


def test_a_key_that_no_node_has_gives_an_empty_column_of_full_length() -> None:
    columns = LabelColumns(ROWS)
    columns.resize(ROWS + 3)
    assert columns["nobody"].codes.tolist() == [ABSENT] * (ROWS + 3)


def test_a_copy_of_label_columns_stands_alone() -> None:
    columns = LabelColumns(ROWS)
    columns.put(0, {}, {"a": "x"})
    twin = columns.copy()
    twin.put(0, {"a": "x"}, {"a": "y", "b": "z"})
    columns.put(1, {}, {"a": "w"})
    assert values(columns["a"]) == ["x", "w", None, None]
    assert values(columns["b"]) == [None] * ROWS
    assert values(twin["a"]) == ["y", None, None, None]
    assert values(twin["b"]) == ["z", None, None, None]


def test_keys_that_nobody_asks_about_get_no_column() -> None:
    columns = LabelColumns(ROWS)
    columns.put(0, {}, {f"key-{number}": "x" for number in range(1000)})
    columns.put(1, {}, {"key-7": "y"})
    assert values(columns["key-7"]) == ["x", "y", None, None]
    assert columns._columns.keys() == {"key-7"}


@given(st.lists(st.tuples(st.integers(0, ROWS - 1), st.sets(st.sampled_from((A, B, C))))))
def test_taint_columns_show_the_taints_of_every_row(changes: list[tuple[int, set[Taint]]]) -> None:
    columns, rows = TaintColumns(ROWS), [set[Taint]() for _ in range(ROWS)]
    for row, taints in changes:
        columns.put(row, rows[row], taints)
        rows[row] = taints
    assert [taints_of(columns, row) for row in range(ROWS)] == rows
    assert columns.present.keys() == set[Taint]().union(*rows)


def test_a_copy_of_taint_columns_stands_alone() -> None:
    columns = TaintColumns(ROWS)
    columns.put(0, (), (A,))
    twin = columns.copy()
    twin.put(0, (A,), (B,))
    twin.put(1, (), (A,))
    assert taints_of(columns, 0) == {A}
    assert taints_of(columns, 1) == set()
    assert (taints_of(twin, 0), taints_of(twin, 1)) == ({B}, {A})


def test_columns_of_labels_and_taints_that_no_node_has_any_more_are_given_back() -> None:
    labels, taints = LabelColumns(ROWS), TaintColumns(ROWS)
    many = {f"key-{number}": "x" for number in range(1000)}
    labels.put(0, {}, many | {"a": "x"})
    labels.put(1, {}, {"a": "y"})
    taints.put(0, (), [Taint(key, "NoSchedule") for key in many])
    assert {len(labels[key].codes) for key in many} == {ROWS}
    assert labels["a"].nodes == [2, 1, 1]
    labels.put(0, many | {"a": "x"}, {})
    taints.put(0, [Taint(key, "NoSchedule") for key in many], ())
    assert labels._columns.keys() == {"a"}
    assert values(labels["a"]) == [None, "y", None, None]
    assert taints.present == {}


@pytest.mark.parametrize("capacity", [2, 3, 5])
def test_a_resized_column_keeps_what_there_is_room_for_and_adds_zeros(capacity: int) -> None:
    column = np.ones(3, np.int64)
    assert resized(column, capacity).tolist() == [1, 1, 1, 0, 0][:capacity]


def test_integers_follow_the_values() -> None:
    column = LabelColumn(3)
    column.put(0, "7")
    integers, ranks = column.integers()
    assert (integers, ranks.tolist()) == ([7], [0, 1])
    assert column.integers()[0] is integers
    column.put(1, "many")
    column.put(2, "-1")
    integers, ranks = column.integers()
    assert (integers, ranks.tolist()) == ([-1, 7], [0, 2, 0, 1])
    column.put(2, "+7")  # another text of the same integer
    integers, ranks = column.integers()
    assert ranks[column.codes].tolist() == [2, 0, 2]
    for number in range(200):  # values that are used no more are given up on the way
        column.put(0, str(number))
    integers, ranks = column.integers()
    assert integers[ranks[column.codes[0]] - 1] == 199
    assert ranks[column.codes[1]] == 0


def test_a_column_of_values_is_the_one_that_gets_them_one_by_one() -> None:
    values_of_rows = ["x", None, "", "y", "x"]
    made, grown = LabelColumn.of(values_of_rows), LabelColumn(5)
    for row, value in enumerate(values_of_rows):
        grown.put(row, value)
    assert values(made) == values(grown) == values_of_rows
    assert (made.values, made.code_of, made.nodes) == (grown.values, grown.code_of, grown.nodes)
    made.put(1, "x")
    assert made.members(1) == [0, 1, 4]


def test_of_some_keys_those_are_told_that_any_node_has() -> None:
    columns = LabelColumns(2)
    columns.put(0, {}, {"zone": "a", "rack": "1"})
    assert columns.among({"zone"}) == ["zone"]
    assert sorted(columns.among({"zone", "rack", "disk", *(f"key-{number}" for number in range(100))})) == [
        "rack",
        "zone",
    ]
    columns.put(0, {"zone": "a", "rack": "1"}, {"rack": "1"})
    assert columns.among({"zone", "rack", "disk"}) == ["rack"]
