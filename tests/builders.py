"""Objects as the API server would show them, from the few fields that a test is about."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.node import Node, NodeSpec, NodeStatus, Taint
from pallet.api.plan_name import plan_name
from pallet.api.pod import (
    Container,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    ResourceRequirements,
    SchedulingGate,
)
from pallet.api.podset import (
    POD_SET_LABEL,
    QUIET_TIME_LABEL,
    Assignment,
    SchedulePlan,
    SchedulePlanSpec,
    ScheduleTrigger,
    ScheduleTriggerSpec,
    TriggerMeta,
)

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
"""When things begin in tests."""

SCHEDULER = "podset-planner-scheduler"


def at(seconds: float) -> datetime:
    """A moment after the beginning."""
    return EPOCH + timedelta(seconds=seconds)


def make_node(
    name: str, *, cpu: str = "4", pods: int = 110, taints: Iterable[Taint] = (), cordoned: bool = False
) -> Node:
    """A node with its hostname label."""
    return Node(
        ObjectMeta(name=name, uid=f"uid-{name}", labels=Labels({"kubernetes.io/hostname": name})),
        NodeSpec(unschedulable=cordoned, taints=tuple(taints)),
        NodeStatus(Labels({"cpu": cpu, "memory": "16Gi", "pods": str(pods)})),
    )


def make_pod(
    name: str,
    *,
    pod_set: str = "web",
    namespace: str = "default",
    uid: str = "",
    created: float = 0,
    version: int = 1,
    scheduler: str = SCHEDULER,
    node: str = "",
    cpu: str = "1",
    priority: int = 0,
    phase: str = "Pending",
    deleted: float | None = None,
    gates: Iterable[str] = (),
    conditions: Iterable[PodCondition] = (),
    labels: Mapping[str, str] | None = None,
) -> Pod:
    """A pod of a set (of none for an empty name). `created` and `deleted` are seconds after the beginning."""
    own = {POD_SET_LABEL: pod_set} if pod_set else {}
    return Pod(
        ObjectMeta(
            name=name,
            namespace=namespace,
            uid=uid or f"uid-{name}",
            resource_version=str(version),
            creation_timestamp=at(created).replace(microsecond=0),
            deletion_timestamp=None if deleted is None else at(deleted),
            labels=Labels(own | dict(labels or {})),
        ),
        PodSpec(
            scheduler_name=scheduler,
            node_name=node,
            priority=priority,
            containers=(Container("main", "image", ResourceRequirements(Labels({"cpu": cpu}))),),
            scheduling_gates=tuple(map(SchedulingGate, gates)),
        ),
        PodStatus(phase=phase, conditions=tuple(conditions)),
    )


def make_trigger(
    name: str = "trigger",
    *,
    state: str = "Planning",
    pod_set: str = "web",
    namespace: str = "default",
    quiet: str | None = None,
    uid: str = "",
    created: float = 0,
    generation: int = 1,
    version: int = 1,
    annotations: Mapping[str, str] | None = None,
) -> ScheduleTrigger:
    """A trigger. `created` is in seconds after the beginning, `quiet` the quiet-time label."""
    labels = {POD_SET_LABEL: pod_set} | ({} if quiet is None else {QUIET_TIME_LABEL: quiet})
    return ScheduleTrigger(
        ScheduleTriggerSpec("Schedule" if state == "Schedule" else "Planning"),
        TriggerMeta(
            name=name,
            namespace=namespace,
            uid=uid or f"uid-{name}",
            resource_version=str(version),
            generation=generation,
            creation_timestamp=at(created).replace(microsecond=0),
            labels=Labels(labels),
            annotations=Labels(annotations or {}),
        ),
    )


def make_plan(
    nodes: Mapping[str, str],
    *,
    pod_set: str = "web",
    namespace: str = "default",
    uid: str = "uid-plan",
    version: int = 1,
) -> SchedulePlan:
    """A stored plan, of node by pod name."""
    return SchedulePlan(
        ObjectMeta(
            name=plan_name(namespace, pod_set),
            namespace=namespace,
            uid=uid,
            resource_version=str(version),
            labels=Labels({POD_SET_LABEL: pod_set}),
        ),
        SchedulePlanSpec(tuple(Assignment(pod, node) for pod, node in nodes.items())),
    )
