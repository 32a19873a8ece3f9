"""SchedulingGates, PrioritySort, NodeName, NodeUnschedulable, NodePorts."""

import pytest

from pallet.api.node import Node
from pallet.api.pod import ContainerPort, Pod, Toleration
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import (
    ASSIGNED_POD_ADD,
    ASSIGNED_POD_DELETE,
    NODE_ADD,
    ClusterEvent,
    Hint,
    node_update,
    pod_update,
)
from pallet.framework.status import SUCCESS, unresolvable
from pallet.plugins.node_name import NodeName
from pallet.plugins.node_ports import NodePorts
from pallet.plugins.node_unschedulable import CORDONED, NodeUnschedulable
from pallet.plugins.priority_sort import PrioritySort
from pallet.plugins.scheduling_gates import SchedulingGates
from tests.builders import make_node, make_pod
from tests.plugins.asking import Asked

OPEN, CLOSED = make_node("a"), make_node("a", cordoned=True)


def updated(old: Node | Pod, new: Node | Pod) -> ClusterEvent:
    event = node_update(old, new) if isinstance(old, Node) and isinstance(new, Node) else None
    if isinstance(old, Pod) and isinstance(new, Pod):
        event = pod_update(old, new)
    assert event is not None
    return event


def test_a_gated_pod_is_kept_out_with_its_gates_named() -> None:
    gates = Asked(SchedulingGates).plugin
    assert gates.pre_enqueue(PodInfo(make_pod("p"))) == SUCCESS
    refusal = unresolvable("waiting for scheduling gates: [foo bar]")
    assert gates.pre_enqueue(PodInfo(make_pod("p", gates=["foo", "bar"]))) == refusal


def test_losing_the_last_gate_helps() -> None:
    asked, old = Asked(SchedulingGates), make_pod("p", gates=["foo"])
    assert asked.hint(updated(old, make_pod("p")), old, old, make_pod("p")) is Hint.QUEUE
    assert asked.hint(NODE_ADD, old, None, OPEN) is Hint.SKIP


def test_pods_are_sorted_by_priority_and_then_by_age_in_the_queue() -> None:
    sort = Asked(PrioritySort).plugin
    queued = [("late", 5, 20.0), ("low", 0, 1.0), ("early", 5, 10.0), ("below zero", -1, 0.0)]
    keys = {
        name: sort.sort_key(PodInfo(make_pod(name, priority=priority)), at) for name, priority, at in queued
    }
    assert sorted(keys, key=lambda name: keys[name]) == ["early", "late", "low", "below zero"]


def test_a_pod_goes_to_the_node_it_names_only() -> None:
    asked = Asked(NodeName, [make_node("a"), make_node("b")])
    other = "!node(s) didn't match the requested node name"
    assert asked.messages(make_pod("p")) == {"a": "", "b": ""}
    assert asked.messages(make_pod("p", node="b")) == {"a": other, "b": ""}
    assert asked.messages(make_pod("p", node="unknown")) == {"a": other, "b": other}
    assert asked.hint(NODE_ADD, make_pod("p", node="c"), None, make_node("c")) is Hint.QUEUE


@pytest.mark.parametrize(
    ("tolerations", "message"),
    [
        ([], "!node(s) were unschedulable"),
        ([Toleration(CORDONED.key, "Exists")], ""),
        ([Toleration(CORDONED.key, "Exists", "", "NoSchedule")], ""),
        ([Toleration(CORDONED.key, "Equal", "", "NoSchedule")], ""),
        ([Toleration("", "Exists")], ""),
        ([Toleration(CORDONED.key, "Exists", "", "NoExecute")], "!node(s) were unschedulable"),
        ([Toleration(CORDONED.key, "Equal", "x")], "!node(s) were unschedulable"),
    ],
)
def test_a_cordoned_node_takes_only_pods_that_tolerate_it(
    tolerations: list[Toleration], message: str
) -> None:
    asked = Asked(NodeUnschedulable, [make_node("a", cordoned=True), make_node("b")])
    assert asked.messages(make_pod("p", tolerations=tolerations)) == {"a": message, "b": ""}


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        (None, OPEN, Hint.QUEUE),
        (None, CLOSED, Hint.SKIP),
        (CLOSED, OPEN, Hint.QUEUE),
        (make_node("a", cordoned=True, labels={"x": "1"}), CLOSED, Hint.SKIP),
        (OPEN, make_node("a", cordoned=True, taints=[CORDONED]), Hint.SKIP),
    ],
)
def test_which_nodes_help_a_pod_refused_by_cordoned_ones(old: Node | None, new: Node, hint: Hint) -> None:
    event = NODE_ADD if old is None else updated(old, new)
    assert Asked(NodeUnschedulable).hint(event, make_pod("p"), old, new) is hint


@pytest.mark.parametrize(
    ("new", "hint"),
    [
        (make_pod("p", tolerations=[Toleration(CORDONED.key, "Exists")]), Hint.QUEUE),
        (make_pod("p", tolerations=[Toleration("other", "Exists")]), Hint.SKIP),
        (make_pod("q", tolerations=[Toleration(CORDONED.key, "Exists")]), Hint.SKIP),
    ],
)
def test_a_new_toleration_of_the_pod_itself_helps(new: Pod, hint: Hint) -> None:
    old = make_pod("p")
    assert Asked(NodeUnschedulable).hint(updated(old, new), old, old, new) is hint


@pytest.mark.parametrize(
    ("wanted", "taken", "fits"),
    [
        pytest.param([], [("TCP", 80, "")], True, id="none wanted"),
        pytest.param([("TCP", 80, "")], [], True, id="none taken"),
        pytest.param([("TCP", 80, "")], [("TCP", 81, "")], True, id="another port"),
        pytest.param([("TCP", 80, "")], [("UDP", 80, "")], True, id="another protocol"),
        pytest.param([("TCP", 80, "")], [("TCP", 80, "")], False, id="the same"),
        pytest.param([("TCP", 80, "10.0.0.1")], [("TCP", 80, "10.0.0.2")], True, id="another address"),
        pytest.param([("TCP", 80, "10.0.0.1")], [("TCP", 80, "10.0.0.1")], False, id="the same address"),
        pytest.param([("TCP", 80, "10.0.0.1")], [("TCP", 80, "")], False, id="all addresses are taken"),
        pytest.param([("TCP", 80, "")], [("TCP", 80, "10.0.0.1")], False, id="all addresses are wanted"),
        pytest.param([("TCP", 80, "0.0.0.0")], [("TCP", 80, "10.0.0.1")], False, id="written out"),  # noqa: S104
        pytest.param([("TCP", 79, ""), ("TCP", 80, "")], [("TCP", 80, "")], False, id="one of several"),
        pytest.param(
            [("TCP", 80, "")], [("UDP", 80, ""), ("TCP", 80, "10.0.0.1")], False, id="among several"
        ),
    ],
)
def test_a_host_port_is_taken_once(
    wanted: list[tuple[str, int, str]],
    taken: list[tuple[str, int, str]],
    fits: bool,  # noqa: FBT001 - a table
) -> None:
    def ports(asked: list[tuple[str, int, str]]) -> list[ContainerPort]:
        return [ContainerPort(port, protocol, ip) for protocol, port, ip in asked]

    holder = make_pod("holder", node="a", ports=ports(taken))
    asked = Asked(NodePorts, [make_node("a"), make_node("b")], [holder])
    pod = make_pod("p", ports=ports(wanted))
    message = "" if fits else "node(s) didn't have free ports for the requested pod ports"
    assert asked.messages(pod) == {"a": message, "b": ""}
    assert asked.hint(ASSIGNED_POD_DELETE, pod, holder, None) is (Hint.SKIP if fits else Hint.QUEUE)
    assert asked.plugin.filter_beside(PodInfo(pod), [PodInfo(holder)]) == (0 if fits else 1)


def test_a_new_node_has_free_ports_and_another_pod_has_none_to_give() -> None:
    asked, pod = Asked(NodePorts), make_pod("p", ports=[ContainerPort(80)])
    assert asked.hint(NODE_ADD, pod, None, OPEN) is Hint.QUEUE
    assert asked.hint(ASSIGNED_POD_ADD, pod, None, make_pod("q", node="a")) is Hint.SKIP
