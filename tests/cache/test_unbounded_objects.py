"""What anybody may create leaves the model of the cluster as large as its nodes make it."""

from typing import Final

import pytest

from pallet.api.labels import Labels
from pallet.api.pod import Pod
from pallet.api.selectors import LabelSelector
from pallet.cache.cache import Cache, Hold
from pallet.cache.pod_info import PodInfo
from pallet.cache.selection import PodSelector, all_of
from tests.builders import make_node, make_pod, pod_affinity, pod_term

WEB = all_of(PodSelector(LabelSelector(Labels({"app": "web"})), frozenset({"default"})))
COUNT: Final = 10_000


def cache_of_three_nodes() -> Cache:
    cache = Cache()
    for name in ("a", "b", "c"):
        cache.put_node(make_node(name))
    return cache


def nowhere(number: int, node: str = "") -> Pod:
    """A pod that its author has put on a node, with labels and affinity to be counted."""
    return make_pod(
        f"p{number}",
        node=node or f"made-up-{number}",
        labels={"app": "web"},
        affinity=pod_affinity(away=[pod_term("web")]),
    )


def test_pods_on_made_up_nodes_take_no_rows_and_nothing_of_them_stays() -> None:
    cache = cache_of_three_nodes()
    capacity, pods = cache.snapshot.table.capacity, [nowhere(number) for number in range(COUNT)]
    for pod in pods:
        cache.put_pod(pod)
    assert cache.snapshot.table.capacity == capacity
    assert cache.snapshot.table.row_of == {"a": 0, "b": 1, "c": 2}
    assert not cache.snapshot.counters.count(WEB).any()
    assert cache.snapshot.holders.anti.meet(pods[0]) is None
    assert cache.count(Hold.BOUND) == COUNT
    for pod in pods:
        cache.drop_pod(pod)
    assert cache.count(Hold.BOUND) == 0
    assert cache._without_node == {}


def test_rows_of_nodes_that_are_gone_do_not_stay_for_the_sake_of_their_pods() -> None:
    cache = cache_of_three_nodes()
    capacity = cache.snapshot.table.capacity
    for number in range(COUNT):
        cache.put_node(make_node(f"n{number}"))
        cache.put_pod(nowhere(number, f"n{number}"))
        cache.drop_node(f"n{number}")
    assert cache.snapshot.table.capacity == capacity
    assert not cache.snapshot.counters.count(WEB).any()


@pytest.mark.parametrize("node", ["a", "made-up"])
def test_made_up_resource_names_make_no_columns(node: str) -> None:
    cache = cache_of_three_nodes()
    columns = dict(cache.snapshot.table.resources)
    pod = make_pod("p", node=node, requests={f"made-up/{number}": "1" for number in range(6000)})
    cache.put_pod(pod)
    cache.assume(PodInfo(make_pod("q", requests={"made-up/q": "1"})), "b")
    assert cache.snapshot.table.resources == columns
    cache.put_node(make_node("b", offers={"made-up/q": "2"}))
    assert cache.snapshot.node(1).requested["made-up/q"] == 1
    cache.drop_pod(pod)
    cache.put_node(make_node("b"))
    assert cache.snapshot.table.resources == columns


def test_resource_names_of_a_node_go_with_it() -> None:
    cache = cache_of_three_nodes()
    before = set(cache.snapshot.table.resources)
    cache.put_node(make_node("odd", offers={f"made-up/{number}": "1" for number in range(5000)}))
    assert len(cache.snapshot.table.resources) == 4 + 5000
    cache.drop_node("odd")
    assert set(cache.snapshot.table.resources) == before
