"""What counts as which change of a node or pod."""

from typing import Any

import pytest
from msgspec.structs import replace

from pallet.api.labels import Labels
from pallet.api.node import Node, Taint
from pallet.api.pod import ActuatedResources, ContainerStatus, Pod, Toleration
from pallet.framework.events import Action, ClusterEvent, EventResource, node_update, pod_update
from tests.builders import make_node, make_pod

NODE = make_node("a")


@pytest.mark.parametrize(
    ("old", "new", "action", "label"),
    [
        (NODE, make_node("a", cpu="8"), Action.UPDATE_NODE_ALLOCATABLE, "NodeUpdateNodeAllocatable"),
        (NODE, make_node("a", labels={"x": "y"}), Action.UPDATE_NODE_LABEL, "NodeUpdateNodeLabel"),
        (NODE, make_node("a", taints=[Taint("k", "E")]), Action.UPDATE_NODE_TAINT, "NodeUpdateNodeTaint"),
        (make_node("a", cordoned=True), NODE, Action.UPDATE_NODE_TAINT, "NodeUpdateNodeTaint"),
        (
            NODE,
            replace(NODE, status=replace(NODE.status, declared_features=("X",))),
            Action.UPDATE_NODE_DECLARED_FEATURE,
            "NodeUpdateNodeDeclaredFeature",
        ),
        (
            NODE,
            make_node("a", cpu="8", labels={"x": "y"}),
            Action.UPDATE_NODE_ALLOCATABLE | Action.UPDATE_NODE_LABEL,
            "NodeUpdate",
        ),
    ],
)
def test_changes_of_a_node(old: Node, new: Node, action: Action, label: str) -> None:
    event = node_update(old, new)
    assert event is not None
    assert (event.resource, event.action, event.label) == (EventResource.NODE, action, label)


@pytest.mark.parametrize("new", [NODE, make_node("a", images={"x": 1}), make_node("a", cordoned=True)])
def test_what_helps_nobody_is_no_event(new: Node) -> None:
    assert node_update(NODE, new) is None


def running(asked: dict[str, str], got: dict[str, str] | None = None) -> Pod:
    """A pod on a node, its container with what it has got."""
    pod = make_pod("p", node="a", requests=asked)
    if got is None:
        return pod
    status = ContainerStatus("main", Labels(got), ActuatedResources(Labels(got)))
    return replace(pod, status=replace(pod.status, container_statuses=(status,)))


@pytest.mark.parametrize(
    ("old", "new", "action"),
    [
        (make_pod("p"), make_pod("p", labels={"x": "y"}), Action.UPDATE_POD_LABEL),
        (make_pod("p"), make_pod("p", tolerations=[Toleration("k")]), Action.UPDATE_POD_TOLERATIONS),
        (make_pod("p", gates=["g"]), make_pod("p"), Action.UPDATE_POD_GATES_ELIMINATED),
        (make_pod("p", gates=["g", "h"]), make_pod("p", gates=["g"]), Action.UPDATE_OTHER),
        (make_pod("p"), make_pod("p", phase="Running"), Action.UPDATE_OTHER),
        (make_pod("p", cpu="2"), make_pod("p", cpu="1"), Action.UPDATE_POD_SCALE_DOWN),
        (make_pod("p", cpu="1"), make_pod("p", cpu="2"), Action.UPDATE_POD_SCALE_UP),
        (running({"cpu": "2", "memory": "1"}), running({"cpu": "2"}), Action.UPDATE_POD_SCALE_DOWN),
        (
            running({"cpu": "2", "memory": "1"}),
            running({"cpu": "3", "memory": "0"}),
            Action.UPDATE_POD_SCALE_DOWN | Action.UPDATE_POD_SCALE_UP,
        ),
        (running({"cpu": "2"}), running({"cpu": "1"}, {"cpu": "2"}), Action.UPDATE_OTHER),
        (running({"cpu": "1"}, {"cpu": "2"}), running({"cpu": "1"}), Action.UPDATE_POD_SCALE_DOWN),
    ],
)
def test_changes_of_a_pod(old: Pod, new: Pod, action: Any) -> None:
    event = pod_update(old, new)
    placed = EventResource.ASSIGNED_POD if new.spec.node_name else EventResource.TARGET_POD
    assert (event.resource, event.action) == (placed, action)


@pytest.mark.parametrize(
    ("old", "new", "label"),
    [
        (make_pod("p"), make_pod("p", labels={"x": "y"}), "TargetPodUpdatePodLabel"),
        (make_pod("p"), make_pod("p", tolerations=[Toleration("k")]), "TargetPodUpdatePodToleration"),
        (
            make_pod("p", gates=["g"]),
            make_pod("p"),
            "TargetPodUpdatePodSchedulingGatesEliminated",
        ),
        (make_pod("p"), make_pod("p", phase="Running"), "TargetPodUpdate"),
        (running({"cpu": "1"}), running({"cpu": "2"}), "AssignedPodUpdatePodScaleUp"),
    ],
)
def test_updates_of_pods_are_named_as_in_kube_scheduler_1_37(old: Pod, new: Pod, label: str) -> None:
    assert pod_update(old, new).label == label


PODS = {EventResource.ASSIGNED_POD, EventResource.UNSCHEDULED_POD, EventResource.TARGET_POD}


@pytest.mark.parametrize("asked", EventResource)
def test_an_interest_covers_its_resource_and_pod_all_pods(asked: EventResource) -> None:
    covered = {
        happened
        for happened in EventResource
        if ClusterEvent(asked, Action.UPDATE).matches(ClusterEvent(happened, Action.UPDATE_POD_LABEL))
    }
    expected = {asked, EventResource.WILDCARD} | (PODS if asked is EventResource.POD else set())
    assert covered == (set(EventResource) if asked is EventResource.WILDCARD else expected)
