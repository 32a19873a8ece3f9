import pytest

from pallet.api.labels import Labels
from pallet.api.requests import CPU
from pallet.api.selectors import LabelSelector
from pallet.cache.live_snapshot import LiveSnapshot
from pallet.cache.pod_info import PodInfo
from pallet.cache.selection import PodSelector, all_of
from tests.builders import make_node, make_pod, pod_affinity, pod_term

WEB = all_of(PodSelector(LabelSelector(Labels({"app": "web"})), frozenset({"default"})))
LONER = PodInfo(make_pod("loner", labels={"app": "web"}, affinity=pod_affinity(away=[pod_term("web")])))


def snapshot_of(*names: str) -> LiveSnapshot:
    snapshot = LiveSnapshot()
    for name in names:
        snapshot.put_node(make_node(name))
    return snapshot


def test_a_node_as_a_plain_plugin_sees_it() -> None:
    snapshot = snapshot_of("a")
    snapshot.place(LONER, "a")
    info = snapshot.node(snapshot.table.row_of["a"])
    assert (info.name, info.node, info.pods) == ("a", make_node("a"), (LONER,))
    assert info.allocatable == {"cpu": 4000, "memory": 16 * 1024**3, "ephemeral-storage": 0, "pods": 110}
    assert info.requested == {"cpu": 1000, "memory": 0, "ephemeral-storage": 0, "pods": 1}


def test_a_row_without_a_node_has_nothing_to_show() -> None:
    snapshot = snapshot_of("a")
    with pytest.raises(LookupError, match="holds no node"):
        snapshot.node(snapshot.table.row_of["a"] + 1)


def test_a_replaced_pod_weighs_what_its_newer_version_does() -> None:
    snapshot = snapshot_of("a")
    row = snapshot.table.row_of["a"]
    snapshot.place(PodInfo(make_pod("p")), "a")
    heavier = PodInfo(make_pod("p", cpu="3"))
    snapshot.replace(heavier, row)
    assert list(snapshot.pods(row)) == [heavier]
    assert snapshot.table.resources[CPU].requested[row] == 3000


def test_a_pod_is_placed_only_on_a_node_that_there_is() -> None:
    snapshot = snapshot_of("a")
    with pytest.raises(KeyError):
        snapshot.place(LONER, "unknown")
    assert not snapshot.counters.count(WEB).any()


def test_a_node_that_goes_takes_its_pods_along_and_the_last_row_moves_to_its_place() -> None:
    snapshot = snapshot_of("a", "b", "c")
    snapshot.place(LONER, "a")
    other = PodInfo(make_pod("other", labels={"app": "web"}))
    snapshot.place(other, "c")
    assert snapshot.drop_node("a") == [LONER]
    assert snapshot.table.row_of == {"b": 1, "c": 0}
    assert list(snapshot.pods(0)) == [other]
    assert snapshot.counters.count(WEB).nonzero()[0].tolist() == [0]
    assert snapshot.drop_node("unknown") == []
    assert snapshot.drop_node("b") == []
    assert list(snapshot.rows()) == [0]


def test_a_fork_stands_alone_in_both_directions() -> None:
    snapshot = snapshot_of("a", "b")
    snapshot.place(LONER, "a")
    row = snapshot.table.row_of["a"]
    assert snapshot.counters.count(WEB)[row] == 1
    with snapshot.fork() as fork:
        fork.remove(LONER, row)
        fork.place(PodInfo(make_pod("other", labels={"app": "web"})), "b")
        assert list(snapshot.pods(row)) == [LONER]
        assert snapshot.counters.count(WEB).nonzero()[0].tolist() == [row]
        assert snapshot.holders.anti.meet(LONER.pod) is not None

        snapshot.place(PodInfo(make_pod("late", labels={"app": "web"})), "a")
        snapshot.drop_node("b")
        snapshot.set_namespace("default", Labels({"team": "x"}))
        assert fork.counters.count(WEB).nonzero()[0].tolist() == [fork.table.row_of["b"]]
        met = fork.holders.anti.meet(LONER.pod)
        assert met is None or not any(met.tally(key).by_row.any() for key in met.keys)


def test_counters_grow_and_shrink_with_the_table() -> None:
    snapshot = snapshot_of("a")
    snapshot.place(LONER, "a")
    snapshot.counters.count(WEB)
    capacity = snapshot.table.capacity
    for number in range(capacity):
        snapshot.put_node(make_node(f"n{number}"))
        snapshot.place(PodInfo(make_pod(f"p{number}", labels={"app": "web"})), f"n{number}")
    assert snapshot.table.capacity > capacity
    counts = snapshot.counters.count(WEB)
    assert (len(counts), counts.sum()) == (snapshot.table.capacity, capacity + 1)
    met = snapshot.holders.anti.meet(LONER.pod)
    assert met is not None
    (key,) = met.keys
    holders = met.tally(key).by_row
    assert (len(holders), holders.sum()) == (snapshot.table.capacity, 1)
    for number in range(capacity):
        snapshot.drop_node(f"n{number}")
    assert snapshot.table.capacity == capacity
    counts, holders = snapshot.counters.count(WEB), met.tally(key).by_row
    assert (len(counts), counts.sum(), len(holders), holders.sum()) == (capacity, 1, capacity, 1)
