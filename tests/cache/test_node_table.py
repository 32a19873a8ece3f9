from pallet.api.node import Node
from pallet.api.requests import Requests
from pallet.cache.node_table import NodeTable
from pallet.cache.pod_info import HostPort
from tests.builders import ZONE, make_node

GPU = Requests((("example.com/gpu", 1),))


def table_of(*nodes: Node) -> NodeTable:
    table = NodeTable()
    for node in nodes:
        table.put(node)
    return table


def test_rows_are_given_out_once_and_given_back() -> None:
    table = table_of(make_node("a"), make_node("b"))
    a, b = table.row_of["a"], table.row_of["b"]
    assert a != b
    assert (table.name(a), table.name(b), table.node_count) == ("a", "b", 2)
    table.drop("a")
    table.release(a)
    assert (table.row_of, table.name(a), table.node_count) == ({"b": b}, "", 1)
    table.put(make_node("c"))
    assert table.row_of == {"b": b, "c": a}


def test_a_row_with_a_node_is_not_given_back() -> None:
    table = table_of(make_node("a"))
    table.release(table.row_of["a"])
    assert table.node_count == 1
    assert "a" in table.row_of


def test_a_row_is_given_back_only_once() -> None:
    table = table_of(make_node("a"))
    row = table.row_of["a"]
    table.drop("a")
    table.release(row)
    table.release(row)
    assert table.row("b") != table.row("c")


def test_a_dropped_node_leaves_nothing_behind() -> None:
    node = make_node("a", cordoned=True, labels={ZONE: "z"}, images={"image:1": 5})
    table = table_of(node)
    row = table.row_of["a"]
    table.drop("a")
    assert table.node_count == 0
    assert not table.live[row]
    assert not table.unschedulable[row]
    assert not table.allocatable[:, row].any()
    assert table.labels[ZONE].codes[row] == 0
    assert table.images == {}
    before = table.node_changes.stamp
    table.drop("a")
    table.drop("unknown")
    assert table.node_changes.stamp == before
    assert table.node_count == 0


def test_every_column_grows_with_the_table() -> None:
    table = table_of(make_node("first", cpu="7", labels={ZONE: "z"}, cordoned=True))
    table.place(table.row_of["first"], Requests((("cpu", 5),), 6, 7), [])
    before = table.capacity
    for number in range(before):
        table.put(make_node(f"n{number}"))
    assert table.capacity > before
    columns = (table.live, table.unschedulable, table.allocatable, table.requested, table.scored)
    assert {column.shape[-1] for column in columns} == {table.capacity}
    assert {len(table.labels[key].codes) for key in (ZONE, "nobody")} == {table.capacity}
    assert table.taints.present.shape[-1] == len(table.nodes) == table.capacity
    row = table.row_of["first"]
    assert (table.allocatable[0, row], table.requested[0, row], table.scored[0, row]) == (7000, 5, 6)
    assert table.unschedulable[row]
    assert table.node_count == before + 1


def test_a_resource_nobody_knew_gets_a_row_of_zeros() -> None:
    table = table_of(make_node("a"))
    row = table.row_of["a"]
    table.place(row, Requests((("cpu", 1),), 1, 1), [])
    table.place(row, GPU, [])
    gpu = table.resources["example.com/gpu"]
    assert (table.allocatable[gpu, row], table.requested[gpu, row]) == (0, 1)
    table.put(make_node("b", offers={"example.com/gpu": "4", "example.com/nic": "1"}))
    assert table.allocatable[gpu].sum() == 4
    table.displace(row, GPU, [])
    table.displace(row, Requests((("cpu", 1),), 1, 1), [])
    assert not table.requested.any()
    assert not table.scored.any()


def test_ports_are_held_once_for_each_pod() -> None:
    table = table_of(make_node("a"))
    row, any_, one = table.row_of["a"], HostPort("TCP", 80, "0.0.0.0"), HostPort("TCP", 80, "10.0.0.1")  # noqa: S104
    table.place(row, GPU, [any_, one])
    table.place(row, GPU, [one])
    assert table.ports == {("TCP", 80): {row: ("0.0.0.0", "10.0.0.1", "10.0.0.1")}}  # noqa: S104
    table.displace(row, GPU, [any_, one])
    assert table.ports == {("TCP", 80): {row: ("10.0.0.1",)}}
    table.displace(row, GPU, [one])
    assert not table.ports.get(("TCP", 80))


def test_a_heartbeat_changes_no_row() -> None:
    table = table_of(make_node("a", labels={ZONE: "z"}, images={"image:1": 5}))
    before = table.node_changes.stamp
    same = make_node("a", labels={ZONE: "z"}, images={"image:1": 5})
    table.put(same)
    assert table.node_changes.stamp == before
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
        before = table.node_changes.stamp
        table.put(changed)
        rows = table.node_changes.since(before)
        assert rows is not None
        assert rows.tolist() == [row]
    before = table.load_changes.stamp
    table.place(row, GPU, [])
    table.displace(row, GPU, [])
    assert table.load_changes.stamp == before + 2


def test_a_copy_stands_alone() -> None:
    table = table_of(make_node("a", labels={ZONE: "z"}, images={"image:1": 5}))
    row, port = table.row_of["a"], HostPort("TCP", 80, "10.0.0.1")
    table.place(row, GPU, [port])
    twin = table.copy()
    twin.displace(row, GPU, [port])
    twin.put(make_node("a", cpu="9", cordoned=True, offers={"example.com/nic": "1"}))
    twin.put(make_node("b"))
    assert (table.node_count, twin.node_count) == (1, 2)
    assert table.nodes[row] == make_node("a", labels={ZONE: "z"}, images={"image:1": 5})
    assert table.allocatable[0, row] == 4000
    assert table.requested[table.resources["example.com/gpu"], row] == 1
    assert table.labels[ZONE].values == ["", "z"]
    assert table.labels[ZONE].codes[row] == 1
    assert table.images == {"image:1": {row: 5}}
    assert table.ports == {("TCP", 80): {row: ("10.0.0.1",)}}
    assert "example.com/nic" not in table.resources
    assert not table.unschedulable[row]
