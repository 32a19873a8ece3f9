"""What happens in the cluster, as far as it can help a pod that was refused."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import Any

from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.api.requests import requests_of
from pallet.cache.pod_info import PodInfo


class EventResource(Enum):
    """What an event is about. A plugin that asks for POD hears of the three kinds of pods."""

    NODE = "Node"
    ASSIGNED_POD = "AssignedPod"
    UNSCHEDULED_POD = "UnscheduledPod"
    """A pod without a node, other than the one that was refused."""
    TARGET_POD = "TargetPod"
    """The pod itself that was refused."""
    POD = "Pod"
    NAMESPACE = "Namespace"
    PERSISTENT_VOLUME = "PersistentVolume"
    PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"
    STORAGE_CLASS = "StorageClass"
    CSI_NODE = "CSINode"
    CSI_DRIVER = "CSIDriver"
    CSI_STORAGE_CAPACITY = "CSIStorageCapacity"
    VOLUME_ATTACHMENT = "VolumeAttachment"
    POD_SET = "PodSet"
    WILDCARD = "*"


_PODS = frozenset((EventResource.ASSIGNED_POD, EventResource.UNSCHEDULED_POD, EventResource.TARGET_POD))


class Action(Flag):
    """What happened to it. The update actions name the part that changed."""

    ADD = auto()
    DELETE = auto()
    UPDATE_NODE_ALLOCATABLE = auto()
    UPDATE_NODE_LABEL = auto()
    UPDATE_NODE_TAINT = auto()
    UPDATE_NODE_DECLARED_FEATURE = auto()
    UPDATE_POD_LABEL = auto()
    UPDATE_POD_SCALE_DOWN = auto()
    UPDATE_POD_SCALE_UP = auto()
    UPDATE_POD_TOLERATIONS = auto()
    UPDATE_POD_GATES_ELIMINATED = auto()
    UPDATE_OTHER = auto()
    UPDATE = (
        UPDATE_NODE_ALLOCATABLE
        | UPDATE_NODE_LABEL
        | UPDATE_NODE_TAINT
        | UPDATE_NODE_DECLARED_FEATURE
        | UPDATE_POD_LABEL
        | UPDATE_POD_SCALE_DOWN
        | UPDATE_POD_SCALE_UP
        | UPDATE_POD_TOLERATIONS
        | UPDATE_POD_GATES_ELIMINATED
        | UPDATE_OTHER
    )
    ALL = ADD | DELETE | UPDATE


class Hint(Enum):
    """Whether an event may make a refused pod schedulable."""

    QUEUE = auto()
    SKIP = auto()


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """Something that happened; `label` is its name in metrics, as in kube-scheduler."""

    resource: EventResource
    action: Action
    label: str = ""

    def matches(self, other: "ClusterEvent") -> bool:
        """Whether this registered interest covers the event that happened."""
        ours, theirs = self.resource, other.resource
        covered = (
            ours is theirs
            or EventResource.WILDCARD in (ours, theirs)
            or (ours is EventResource.POD and theirs in _PODS)
        )
        return covered and bool(self.action & other.action)


HintFunction = Callable[[PodInfo, Any, Any], Hint]
"""Given the refused pod, the object before (None if new) and after (None if deleted)."""


@dataclass(frozen=True, slots=True)
class EventInterest:
    """An event that can help a plugin's rejects; without a hint every such event does."""

    event: ClusterEvent
    hint: HintFunction | None = None


POD_DELETE = ClusterEvent(EventResource.UNSCHEDULED_POD, Action.DELETE, "UnscheduledPodDelete")
NODE_ADD = ClusterEvent(EventResource.NODE, Action.ADD, "NodeAdd")
NODE_DELETE = ClusterEvent(EventResource.NODE, Action.DELETE, "NodeDelete")
POD_ADD = ClusterEvent(EventResource.UNSCHEDULED_POD, Action.ADD, "UnscheduledPodAdd")
POD_UPDATE = ClusterEvent(EventResource.UNSCHEDULED_POD, Action.UPDATE, "UnscheduledPodUpdate")
ASSIGNED_POD_ADD = ClusterEvent(EventResource.ASSIGNED_POD, Action.ADD, "AssignedPodAdd")
ASSIGNED_POD_DELETE = ClusterEvent(EventResource.ASSIGNED_POD, Action.DELETE, "AssignedPodDelete")
SCHEDULE_ATTEMPT_FAILURE = ClusterEvent(EventResource.WILDCARD, Action.ALL, "ScheduleAttemptFailure")
BACKOFF_COMPLETE = ClusterEvent(EventResource.WILDCARD, Action.ALL, "BackoffComplete")
POP_FROM_BACKOFF = ClusterEvent(EventResource.WILDCARD, Action.ALL, "PopFromBackoffQ")
UNSCHEDULABLE_TIMEOUT = ClusterEvent(EventResource.WILDCARD, Action.ALL, "UnschedulableTimeout")
FORCE_ACTIVATE = ClusterEvent(EventResource.WILDCARD, Action.ALL, "ForceActivate")


_UPDATES = {
    Action.UPDATE_NODE_ALLOCATABLE: "UpdateNodeAllocatable",
    Action.UPDATE_NODE_LABEL: "UpdateNodeLabel",
    Action.UPDATE_NODE_TAINT: "UpdateNodeTaint",
    Action.UPDATE_NODE_DECLARED_FEATURE: "UpdateNodeDeclaredFeature",
    Action.UPDATE_POD_LABEL: "UpdatePodLabel",
    Action.UPDATE_POD_SCALE_DOWN: "UpdatePodScaleDown",
    Action.UPDATE_POD_SCALE_UP: "UpdatePodScaleUp",
    Action.UPDATE_POD_TOLERATIONS: "UpdatePodToleration",
    Action.UPDATE_POD_GATES_ELIMINATED: "UpdatePodSchedulingGatesEliminated",
}
"""kube-scheduler's names of single changes, for labels; several at once, and others, are an Update."""


def node_update(old: Node, new: Node) -> ClusterEvent | None:
    """What changed on a node, or None when nothing did that could help a pod."""
    action = Action(0)
    if old.status.allocatable != new.status.allocatable:
        action |= Action.UPDATE_NODE_ALLOCATABLE
    if old.metadata.labels is not new.metadata.labels:
        action |= Action.UPDATE_NODE_LABEL
    if old.spec.taints != new.spec.taints or (old.spec.unschedulable and not new.spec.unschedulable):
        action |= Action.UPDATE_NODE_TAINT
    if old.status.declared_features != new.status.declared_features:
        action |= Action.UPDATE_NODE_DECLARED_FEATURE
    return _updated(EventResource.NODE, action) if action else None


def pod_update(old: Pod, new: Pod) -> ClusterEvent:
    """What changed on a pod with a node, or on the pod itself that waits for one.

    What has no name of its own helps only those who ask for every update.
    """
    action = Action(0)
    if old.metadata.labels is not new.metadata.labels:
        action |= Action.UPDATE_POD_LABEL
    if old.spec.tolerations != new.spec.tolerations:
        action |= Action.UPDATE_POD_TOLERATIONS
    if old.spec.scheduling_gates and not new.spec.scheduling_gates:
        action |= Action.UPDATE_POD_GATES_ELIMINATED
    if _asks_for_less(old, new):
        action |= Action.UPDATE_POD_SCALE_DOWN
    if _asks_for_less(new, old):
        action |= Action.UPDATE_POD_SCALE_UP
    resource = EventResource.ASSIGNED_POD if new.spec.node_name else EventResource.TARGET_POD
    return _updated(resource, action or Action.UPDATE_OTHER)


def _asks_for_less(old: Pod, new: Pod) -> bool:
    """Whether a pod asks for less of some resource than the other version does."""
    before, after = requests_of(old), requests_of(new)
    if before is after:
        return False
    left = dict(after.amounts)
    return any(left.get(resource, 0) < amount for resource, amount in before.amounts)


def _updated(resource: EventResource, action: Action) -> ClusterEvent:
    return ClusterEvent(resource, action, f"{resource.value}{_UPDATES.get(action, 'Update')}")
