"""The builders of `pallet.testing`, with pod sets in mind, and more of them."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from msgspec.structs import replace

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.plan_name import plan_name
from pallet.api.pod import (
    Affinity,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from pallet.api.podset import (
    PLANNED_BY,
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
from pallet.podset.plan import signature
from pallet.testing import builders
from pallet.testing.builders import EPOCH, HOSTNAME, at, make_node

__all__ = [
    "EPOCH",
    "HOSTNAME",
    "SCHEDULER",
    "ZONE",
    "at",
    "even",
    "make_node",
    "make_plan",
    "make_pod",
    "make_trigger",
    "pod_affinity",
    "pod_term",
    "rather_even",
]

SCHEDULER = "podset-planner-scheduler"

ZONE = "topology.kubernetes.io/zone"

make_pod = partial(builders.make_pod, pod_set="web", scheduler=SCHEDULER)
"""A pod of the set `web`, unless the test says otherwise."""


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
    by_hand: bool = False,
) -> SchedulePlan:
    """A stored plan, of node by pod name: one that the scheduler wrote, unless it is `by_hand`."""
    entries = tuple(Assignment(pod, node) for pod, node in nodes.items())
    return SchedulePlan(
        ObjectMeta(
            name=plan_name(namespace, pod_set),
            namespace=namespace,
            uid=uid,
            resource_version=str(version),
            labels=Labels({POD_SET_LABEL: pod_set}),
            annotations=Labels({} if by_hand else {PLANNED_BY: signature("scripted", entries)}),
        ),
        SchedulePlanSpec(entries),
    )


def make_pod_on(pod: Pod, node: str, phase: str = "Running") -> Pod:
    """The pod as it is seen once it has a node."""
    return replace(pod, spec=replace(pod.spec, node_name=node), status=replace(pod.status, phase=phase))
