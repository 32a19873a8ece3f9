from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from pallet.api.node import Node, Taint
from pallet.api.requests import LARGEST_AMOUNT, Requests
from pallet.cache.cursor import Cursor
from pallet.cache.node_table import NodeTable
from pallet.cache.resource_columns import OVERFULL, Sums
from tests.builders import ZONE, make_node

CPU = Requests((("cpu", 1),), 1, 1)
GPU = Requests((("example.com/gpu", 1),))


def table_of(*nodes: Node) -> NodeTable:
    table = NodeTable()
    for node in nodes:
        table.put(node)
    return table


def requested(table: NodeTable, resource: str, node: str) -> int:
    return table.resources[resource].requested.item(table.row_of[node])


def test_the_rows_in_use_are_the_first_ones() -> None:
    table = table_of(make_node("a"), make_node("b"), make_node("c"))
    assert table.row_of == {"a": 0, "b": 1, "c": 2}
    table.drop("a")
    assert table.row_of == {"b": 1, "c": 0}
    assert [table.name(row) for row in range(4)] == ["c", "b", "", ""]
    assert table.live.nonzero()[0].tolist() == [0, 1]
    table.put(make_node("d"))
    assert table.row_of == {"b": 1, "c": 0, "d": 2}
    assert table.node_count == 3


def test_both_rows_are_logged_when_a_node_moves_to_another_one() -> None:
    table = table_of(make_node("a"), make_node("b"), make_node("c"))
    cursor = Cursor(table.node_changes)
    table.drop("a")
    assert cursor.read(table.node_changes) == [0, 2]


def test_a_moved_node_brings_all_it_has() -> None:
    last = make_node(
        "last", cordoned=True, cpu="7", labels={ZONE: "z"}, images={"image:1": 5}, offers={"x.com/gpu": "3"}
    )
    table = table_of(make_node("first"), last)
    table.drop("first")
    assert table.nodes[:2] == [last, None]
    assert table.unschedulable.nonzero()[0].tolist() == [0]
    assert table.labels[ZONE].codes.nonzero()[0].tolist() == [0]
    assert table.images == {"image:1": {0: 5}}
    for resource, amount in (("cpu", 7000), ("x.com/gpu", 3)):
        assert table.resources[resource].allocatable[:2].tolist() == [amount, 0]


def test_a_dropped_node_leaves_nothing_behind() -> None:
    node = make_node(
        "a", cordoned=True, labels={ZONE: "z"}, images={"image:1": 5}, taints=[Taint("t", "NoSchedule")]
    )
    table = table_of(node)
    assert table.labels[ZONE].codes.any()
    table.drop("a")
    assert table.node_count == 0
    for left in (
        table.row_of,
        table.images,
        table.taints.present,
        table.labels._columns,
        table.labels._nodes,
    ):
        assert left == {}
    for column in (table.live, table.unschedulable, table.resources["cpu"].allocatable):
        assert not column.any()


def test_every_column_grows_and_shrinks_with_the_table() -> None:
    first = make_node("first", cpu="7", labels={ZONE: "z"}, cordoned=True, taints=[Taint("t", "NoSchedule")])
    table = table_of(first)
    table.place(table.row_of["first"], Requests((("cpu", 5),), 6, 7))
    small = table.capacity
    for number in range(10 * small):
        table.put(make_node(f"n{number}"))
        assert_whole(table)
    assert 10 * small < table.capacity < 20 * small
    for number in range(10 * small):
        table.drop(f"n{number}")
        assert_whole(table)
    assert table.capacity == small


def assert_whole(table: NodeTable) -> None:
    """All columns are as long as they should be, and what is of the first row is still there."""
    columns: list[npt.NDArray[Any]] = [table.live, table.unschedulable, *table.taints.present.values()]
    columns += [table.labels[key].codes for key in (ZONE, "nobody")]
    for each in table.resources.values():
        columns += [each.allocatable, each.requested, each.scored]
    assert {column.shape for column in columns} == {(table.capacity,)}
    assert table.labels[ZONE].nodes == [table.capacity - 1, 1]
    cpu = table.resources["cpu"]
    assert (cpu.allocatable[0], cpu.requested[0], cpu.scored[0]) == (7000, 5, 6)
    assert table.unschedulable[0]


def test_a_table_about_the_size_of_its_nodes_keeps_its_capacity() -> None:
    table = table_of(*(make_node(f"n{number}") for number in range(300)))
    before = table.capacity
    for _ in range(3):
        for number in range(150):
            table.drop(f"n{number}")
        for number in range(150):
            table.put(make_node(f"n{number}"))
        assert table.capacity == before


def test_names_that_only_pods_have_get_no_column() -> None:
    table = table_of(make_node("a"))
    before = {name: id(column.requested) for name, column in table.resources.items()}
    made_up = Requests(tuple((f"made-up/{number:04}", 1) for number in range(6000)))
    table.place(0, made_up)
    assert {name: id(column.requested) for name, column in table.resources.items()} == before
    assert table.resources.offered == {"cpu", "memory", "ephemeral-storage", "pods"}
    table.displace(0, made_up)
    assert not any(column.requested.any() for column in table.resources.values())


def test_a_resource_has_a_column_while_a_node_offers_it() -> None:
    table = table_of(make_node("a"), make_node("b"))
    offering = {"example.com/gpu": "4", "example.com/none": "0"}
    before = table.resources.offered
    table.put(make_node("b", offers=offering))
    assert table.resources.offered - before == {"example.com/gpu"}
    table.put(make_node("a", offers=offering))
    table.drop("b")
    assert table.resources["example.com/gpu"].allocatable.nonzero()[0].tolist() == [0]
    table.put(make_node("a"))
    assert table.resources.offered == table.resources.keys() == before


def test_pods_that_were_there_before_a_resource_was_offered_count() -> None:
    table = table_of(make_node("a"), make_node("b"))
    for row in (0, 0, 1):
        table.place(row, GPU)
    table.put(make_node("a", offers={"example.com/gpu": "4"}), [GPU, GPU])
    assert requested(table, "example.com/gpu", "a") == 2
    assert requested(table, "example.com/gpu", "b") == 0
    table.displace(0, GPU)
    assert requested(table, "example.com/gpu", "a") == 1
    table.put(make_node("a", offers={"example.com/gpu": "0"}), [GPU])
    table.put(make_node("a", offers={"example.com/gpu": "1"}), [GPU])
    assert requested(table, "example.com/gpu", "a") == 1


def test_no_sum_wraps_and_none_is_lost() -> None:
    table = table_of(make_node("a"), make_node("b"))
    large = Requests((("cpu", LARGEST_AMOUNT), ("memory", LARGEST_AMOUNT)), LARGEST_AMOUNT, LARGEST_AMOUNT)
    for _ in range(3000):
        table.place(0, large)
    cpu, memory = table.resources["cpu"], table.resources["memory"]
    for column in (cpu, memory):
        assert column.requested[0] == column.scored[0] == OVERFULL
        assert column.is_overfull(0)
    assert table.resources.is_overfull(0)
    assert not table.resources.is_overfull(1)
    for _ in range(2999):
        table.displace(0, large)
    for column in (cpu, memory):
        assert column.requested[0] == column.scored[0] == LARGEST_AMOUNT
        assert not column.is_overfull(0)


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from((1, 2**53, 2**60, 2**62))), max_size=40))
def test_sums_are_those_of_whole_numbers(steps: list[tuple[int, int]]) -> None:
    sums, expected = Sums(np.zeros(2, np.int64)), [0, 0]
    for row, value in steps:
        sums.add(row, value)
        expected[row] += value
        assert sums.copy().values.tolist() == [min(total, OVERFULL) for total in expected]
    for row, value in steps:
        sums.add(row, -value)
        expected[row] -= value
        assert sums.values.tolist() == [min(total, OVERFULL) for total in expected]


def test_a_node_offers_no_more_than_is_counted() -> None:
    table = table_of(make_node("a", cpu="8E", offers={"example.com/gpu": "9223372036854775807"}))
    for resource in ("cpu", "example.com/gpu"):
        assert table.resources[resource].allocatable[0] == LARGEST_AMOUNT


def test_a_heartbeat_changes_no_row() -> None:
    table = table_of(make_node("a", labels={ZONE: "z"}, images={"image:1": 5}))
    cursor = Cursor(table.node_changes)
    same = make_node("a", labels={ZONE: "z"}, images={"image:1": 5})
    table.put(same)
    assert not cursor.is_behind(table.node_changes)
    assert table.nodes[table.row_of["a"]] is same


def test_every_change_that_matters_is_logged() -> None:
    table = table_of(make_node("a"))
    row = table.row_of["a"]
    for changed in (
        make_node("a", cpu="5"),
        make_node("a", cordoned=True),
        make_node("a", labels={ZONE: "z"}),
        make_node("a", images={"image:1": 5}),
        make_node("a", images={"image:1": 5}, uid="another"),
    ):
        cursor = Cursor(table.node_changes)
        table.put(changed)
        assert cursor.read(table.node_changes) == [row]
    cursor = Cursor(table.load_changes)
    table.place(row, GPU)
    table.displace(row, GPU)
    assert cursor.read_each(table.load_changes) == [[row, row]]


def test_all_rows_may_have_changed_when_the_capacity_has() -> None:
    table, cursor = NodeTable(), Cursor()
    capacity = table.capacity
    for number in range(capacity):
        table.put(make_node(f"n{number}"))
    assert cursor.read(table.node_changes) is None
    table.put(make_node("one-more"))
    assert table.capacity > capacity
    assert cursor.read(table.node_changes) is None
    large = table.capacity
    for number in range(capacity):
        table.drop(f"n{number}")
        if table.capacity != large:
            break
        assert cursor.read(table.node_changes) is not None
    assert cursor.read(table.node_changes) is None


def test_a_detached_fork_stands_alone() -> None:
    table = table_of(make_node("a", labels={ZONE: "z"}, images={"image:1": 5}))
    row = table.row_of["a"]
    table.place(row, CPU)
    fork = table.fork()
    fork.displace(row, CPU)
    fork.detach()
    table.put(make_node("a", cpu="9", cordoned=True, offers={"example.com/nic": "1"}))
    table.put(make_node("b"))
    assert (fork.node_count, table.node_count) == (1, 2)
    assert fork.nodes[row] == make_node("a", labels={ZONE: "z"}, images={"image:1": 5})
    assert fork.resources["cpu"].allocatable[row] == 4000
    assert (requested(fork, "cpu", "a"), requested(table, "cpu", "a")) == (0, 1)
    assert fork.labels[ZONE].values == ["", "z"]
    assert fork.labels[ZONE].codes[row] == 1
    assert fork.images == {"image:1": {row: 5}}
    assert "example.com/nic" not in fork.resources
    assert not fork.unschedulable[row]
