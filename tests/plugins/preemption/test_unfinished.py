"""A search that takes too long for one cycle: what each cycle does of it, and what it takes from the last."""

from unittest.mock import patch

import pytest

from pallet.plugins.preemption import candidates, victims
from tests.builders import pod_affinity, pod_term
from tests.plugins.preemption.scene import Scene
from tests.plugins.preemption.test_default_preemption import nodes, pod

UNFINISHED = "not all nodes have been tried yet"


def test_a_cycle_sorts_some_nodes_and_the_next_continues() -> None:
    scene = Scene(nodes(1, 1, 1), [pod("x", "a", 9), pod("y", "b", 8), pod("z", "c", 1)])
    with patch.object(victims, "MOST_AT_ONCE", 1):
        decisions = [scene.decision(pod("p", priority=5)) for _ in range(3)]
        assert decisions == [UNFINISHED, UNFINISHED, "c: z"]
        scene.cache.put_pod(pod("z2", "c", 9, "0"))
        assert scene.decision(pod("p", priority=5)) == "c: z"


def test_the_best_of_the_nodes_sorted_so_far_is_taken() -> None:
    scene = Scene(nodes(1, 1), [pod("x", "a", 3), pod("y", "b", 1)])
    with patch.object(victims, "MOST_AT_ONCE", 1):
        assert [scene.decision(pod("p", priority=5)) for _ in range(2)] == ["a: x", "b: y"]


def test_nodes_that_are_out_of_the_question_are_not_sorted() -> None:
    scene = Scene(nodes(1, 1), [pod("x", "a", 3), pod("y", "b", 1)])
    with patch.object(victims, "MOST_AT_ONCE", 1):
        assert scene.decision(pod("p", priority=5, node_selector={"kubernetes.io/hostname": "b"})) == "b: y"


@pytest.mark.parametrize("there", ["", "z"], ids=["nowhere", "on the last node"])
def test_a_cycle_tries_some_nodes_and_the_next_continues(there: str) -> None:
    held = "ab" if there else "abc"
    placed = [pod(f"stays-{name}", name, 9, "0", labels={"app": "x"}) for name in held]
    weak = [pod("x", "a", 1), pod("y", "b", 1), pod("z", "c", 3)]
    scene = Scene(nodes(1, 1, 1), [*placed, *weak])
    wanted = [pod(name, priority=5, affinity=pod_affinity(away=[pod_term("x")])) for name in "pq"]
    with patch.object(candidates, "MOST_MOVES", 1):
        decisions = [scene.decision(wanted[turn % 2]) for turn in range(3)]
    message = "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules."
    assert decisions == [UNFINISHED, UNFINISHED, "c: z" if there else message]


def test_what_a_search_found_that_ended_is_not_used_by_the_next() -> None:
    holder = pod("stays", "a", 9, "0", labels={"app": "x"})
    zone = {"zone": "z"}
    scene = Scene(nodes(1, 1, labels=zone), [holder, pod("x", "a", 9), pod("y", "b", 1)])
    wanted = pod("p", priority=5, affinity=pod_affinity(away=[pod_term("x", "zone")]))
    assert not scene.decide(wanted).status.ok
    scene.cache.drop_pod(holder)
    assert scene.decision(wanted) == "b: y"


@pytest.mark.parametrize(("keys", "decision"), [(1, "c: z"), (200, UNFINISHED)])
def test_fewer_nodes_are_tried_in_a_cycle_for_a_pod_of_many_topology_keys(keys: int, decision: str) -> None:
    placed = [pod(f"stays-{name}", name, 9, "0", labels={"app": "x"}) for name in "ab"]
    scene = Scene(nodes(1, 1, 1), [*placed, pod("x", "a", 1), pod("y", "b", 1), pod("z", "c", 3)])
    away = [pod_term("x"), *(pod_term("x", f"key-{number}") for number in range(keys - 1))]
    with patch.object(candidates, "MOST_MOVES", 100):
        assert scene.decision(pod("p", priority=5, affinity=pod_affinity(away=away))) == decision
