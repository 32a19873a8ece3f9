"""The dump on SIGUSR2: what is held is listed, and every difference from the API is found."""

from collections.abc import Callable
from typing import Any

import pytest

from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.informers.store import Store
from pallet.scheduler.debugger import MISMATCH, NODE, QUEUED, SUMMARY, CacheDebugger
from tests.builders import SCHEDULER, make_node, make_pod
from tests.scheduler.queue_world import QueueWorld

NODES = [make_node("a"), make_node("b")]
BOUND = make_pod("bound", node="a", cpu="1")


class World:
    """Two nodes, a bound pod and a pending one, in the API as in the cache and the queue."""

    def __init__(self) -> None:
        self.cache, self.queues = Cache(), QueueWorld()
        self.queue = self.queues.queue
        self.nodes, self.pods = Store[Node](), Store[Pod]()
        for node in NODES:
            self.nodes.put(node)
            self.cache.put_node(node)
        self.pods.put(BOUND)
        self.cache.put_pod(BOUND)
        self.pending = self.queues.add("pending")
        self.pods.put(self.pending)
        self.debugger = CacheDebugger(self.cache, self.queue, self.nodes, self.pods, [SCHEDULER])

    def lines(self, message: str) -> list[dict[str, Any]]:
        return [line.fields for line in self.debugger.lines() if line and line.message == message]

    def mismatches(self) -> set[str]:
        return {str(fields["object"]) for fields in self.lines(MISMATCH)}


def test_without_a_difference_there_is_none() -> None:
    world = World()
    assert world.mismatches() == set()
    (summary,) = world.lines(SUMMARY)
    expected = {"mismatches": 0, "nodes": 2, "pods": 2, "bound": 1, "assumed": 0, "reserved": 0, "active": 1}
    assert summary == expected


def test_nodes_and_queued_pods_are_listed() -> None:
    world = World()
    assert [fields["node"] for fields in world.lines(NODE)] == ["a", "b"]
    assert [fields["cpu"] for fields in world.lines(NODE)] == [1000, 0]
    assert [(fields["place"], fields["pod"]) for fields in world.lines(QUEUED)] == [
        ("active", world.pending.key)
    ]


def lose_a_node(world: World) -> None:
    world.nodes.put(make_node("c"))


def keep_a_node(world: World) -> None:
    world.nodes.remove("b")


def miss_a_change_of_a_node(world: World) -> None:
    world.nodes.put(make_node("b", cpu="1"))


def miscount_a_node(world: World) -> None:
    world.cache.snapshot.table.place(0, PodInfo(BOUND).requests)


def forget_a_bound_pod(world: World) -> None:
    world.cache.drop_pod(BOUND)


def count_a_pod_elsewhere(world: World) -> None:
    world.cache.put_pod(make_pod("bound", node="b", cpu="1"))


def keep_a_pod(world: World) -> None:
    world.pods.remove(BOUND.key)


def keep_a_namesake(world: World) -> None:
    world.pods.put(make_pod("bound", node="a", cpu="1", uid="another"))


def lose_a_pending_pod(world: World) -> None:
    world.queue.delete(world.pending)


def queue_a_pod_twice(world: World) -> None:
    queued = world.queue.pop()
    assert queued is not None
    world.queue._gated[queued.uid] = queued


def queue_a_pod_that_is_gone(world: World) -> None:
    world.pods.remove(world.pending.key)


def believe_a_pending_pod_bound(world: World) -> None:
    world.cache.put_pod(make_pod("pending", node="a"))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lose_a_node, {"node c"}),
        (keep_a_node, {"node b"}),
        (miss_a_change_of_a_node, {"node b"}),
        (miscount_a_node, {"node a"}),
        (forget_a_bound_pod, {"pod default/bound"}),
        (count_a_pod_elsewhere, {"pod default/bound"}),
        (keep_a_pod, {"pod default/bound"}),
        (keep_a_namesake, {"pod default/bound"}),
        (lose_a_pending_pod, {"pod default/pending"}),
        (queue_a_pod_twice, {"pod default/pending"}),
        (queue_a_pod_that_is_gone, {"pod default/pending"}),
        (believe_a_pending_pod_bound, {"pod default/pending"}),
    ],
)
def test_a_difference_is_found(spoil: Callable[[World], None], expected: set[str]) -> None:
    world = World()
    spoil(world)
    assert world.mismatches() == expected
    assert world.lines(SUMMARY)[0]["mismatches"] == len(world.lines(MISMATCH)) > 0


def test_an_assumed_pod_needs_no_place_in_the_queue() -> None:
    world = World()
    queued = world.queue.pop()
    assert queued is not None
    world.cache.assume(queued.info, "a")
    assert world.mismatches() == set()
    world.queue.done(queued.uid)
    assert world.mismatches() == set()


@pytest.mark.parametrize(
    "other", [{"scheduler": "other"}, {"phase": "Succeeded", "node": "a"}, {"deleted": 1}]
)
def test_pods_of_others_and_those_at_their_end_are_not_missed(other: dict[str, Any]) -> None:
    world = World()
    world.pods.put(make_pod("other", **other))
    assert world.mismatches() == set()


def test_what_changes_between_two_steps_is_no_difference() -> None:
    world = World()
    found = []
    for line in world.debugger.compare():
        found.append(line)
        if len(found) == 1:  # the rest of the world goes
            world.cache.drop_node("b")
            world.nodes.remove("b")
            world.cache.drop_pod(BOUND)
            world.pods.remove(BOUND.key)
            world.queue.delete(world.pending)
            world.pods.remove(world.pending.key)
    assert [line for line in found if line] == []
