"""Objects as the API server would show them, from the few fields that a test is about."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta, OwnerReference
from pallet.api.node import ContainerImage, Node, NodeSpec, NodeStatus, Taint
from pallet.api.plan_name import plan_name
from pallet.api.pod import (
    Affinity,
    Container,
    ContainerPort,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodCondition,
    PodSpec,
    PodStatus,
    ResourceRequirements,
    SchedulingGate,
    Toleration,
    TopologySpreadConstraint,
    Volume,
    WeightedPodAffinityTerm,
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
from pallet.api.selectors import LabelSelector

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
"""When things begin in tests."""

SCHEDULER = "podset-planner-scheduler"

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


def at(seconds: float) -> datetime:
    """A moment after the beginning."""
    return EPOCH + timedelta(seconds=seconds)


def make_node(
    name: str,
    *,
    cpu: str = "4",
    pods: int = 110,
    taints: Iterable[Taint] = (),
    cordoned: bool = False,
    labels: Mapping[str, str] | None = None,
    offers: Mapping[str, str] | None = None,
    images: Mapping[str, int] | None = None,
    uid: str = "",
) -> Node:
    """A node with its hostname label. `offers` adds to what is allocatable; `images` are sizes by name."""
    return Node(
        ObjectMeta(name=name, uid=uid or f"uid-{name}", labels=Labels({HOSTNAME: name} | dict(labels or {}))),
        NodeSpec(unschedulable=cordoned, taints=tuple(taints)),
        NodeStatus(
            Labels({"cpu": cpu, "memory": "16Gi", "pods": str(pods)} | dict(offers or {})),
            tuple(ContainerImage((image,), size) for image, size in (images or {}).items()),
        ),
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
    requests: Mapping[str, str] | None = None,
    affinity: Affinity | None = None,
    tolerations: Iterable[Toleration] = (),
    node_selector: Mapping[str, str] | None = None,
    ports: Iterable[ContainerPort] = (),
    images: Iterable[str] = ("image",),
    volumes: Iterable[Volume] = (),
    spread: Iterable[TopologySpreadConstraint] = (),
    owner: OwnerReference | None = None,
    nominated: str = "",
    started: float | None = None,
    preempts: bool = True,
) -> Pod:
    """A pod of a set (of none for an empty name). `created`, `deleted` and `started` are seconds after the
    beginning.

    `requests` stands in for `cpu`; there is a container for each image, the first has the requests and ports.
    """
    own = {POD_SET_LABEL: pod_set} if pod_set else {}
    asked = ResourceRequirements(Labels({"cpu": cpu} if requests is None else requests))
    first, *others = images
    return Pod(
        ObjectMeta(
            name=name,
            namespace=namespace,
            uid=uid or f"uid-{name}",
            resource_version=str(version),
            creation_timestamp=at(created).replace(microsecond=0),
            deletion_timestamp=None if deleted is None else at(deleted),
            labels=Labels(own | dict(labels or {})),
            owner_references=(owner,) if owner else (),
        ),
        PodSpec(
            scheduler_name=scheduler,
            node_name=node,
            priority=priority,
            containers=(
                Container("main", first, asked, tuple(ports)),
                *(Container(f"beside-{number}", image) for number, image in enumerate(others)),
            ),
            affinity=affinity,
            tolerations=tuple(tolerations),
            node_selector=Labels(node_selector or {}),
            scheduling_gates=tuple(map(SchedulingGate, gates)),
            volumes=tuple(volumes),
            topology_spread_constraints=tuple(spread),
            preemption_policy="PreemptLowerPriority" if preempts else "Never",
        ),
        PodStatus(phase, tuple(conditions), nominated, None if started is None else at(started)),
    )


def pod_term(app: str, topology: str = HOSTNAME, **term: Any) -> PodAffinityTerm:
    """A term about the pods with the label `app`, in their own namespace unless `term` says more."""
    return PodAffinityTerm(topology, LabelSelector(Labels({"app": app})), **term)


def even(
    topology: str = ZONE,
    app: str | None = "web",
    *,
    skew: int = 1,
    selector: LabelSelector | None = None,
    **constraint: Any,
) -> TopologySpreadConstraint:
    """A constraint that must hold on the pods with the label `app`, or on those of the selector for None."""
    if app is not None:
        selector = LabelSelector(Labels({"app": app}))
    return TopologySpreadConstraint(skew, topology, label_selector=selector, **constraint)


def rather_even(
    topology: str = ZONE, app: str | None = "web", *, skew: int = 1, **constraint: Any
) -> TopologySpreadConstraint:
    """The same as a constraint that should hold."""
    return even(topology, app, skew=skew, when_unsatisfiable="ScheduleAnyway", **constraint)


def pod_affinity(
    *,
    near: Iterable[PodAffinityTerm] = (),
    away: Iterable[PodAffinityTerm] = (),
    rather_near: Mapping[PodAffinityTerm, int] | None = None,
    rather_away: Mapping[PodAffinityTerm, int] | None = None,
) -> Affinity:
    """Required terms of inter-pod affinity and anti-affinity, and preferred ones with their weights."""
    return Affinity(
        None,
        PodAffinity(tuple(near), _weighted(rather_near)),
        PodAffinity(tuple(away), _weighted(rather_away)),
    )


def _weighted(terms: Mapping[PodAffinityTerm, int] | None) -> tuple[WeightedPodAffinityTerm, ...]:
    return tuple(WeightedPodAffinityTerm(weight, term) for term, weight in (terms or {}).items())


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
