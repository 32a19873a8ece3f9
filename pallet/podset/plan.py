"""Stored plans: what they have to say, how large they may be, and who wrote them.

A plan is written by this scheduler, for a planner, or by a person. What this scheduler writes is signed with
an annotation: the planner's name, and a hash of the entries. A plan without it, or with other entries by now,
is manual.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256

import msgspec

from pallet.api.podset import PLANNED_BY, Assignment, SchedulePlan
from pallet.podset.model import PodSet

PLAN_LIMIT = 1_400_000
"""Bytes that a plan's entries may take; etcd takes 1.5 MiB for the whole request, metadata included."""

_ENTRY = len('{"pod":"","node":""},')


def signature(planner: str, entries: Iterable[Assignment]) -> str:
    """Give the annotation of a plan: its planner, and a hash of its entries in their order."""
    return f"{planner} sha256:{sha256(msgspec.json.encode(tuple(entries))).hexdigest()}"


def is_manual(plan: SchedulePlan) -> bool:
    """Whether another writer made a plan, or changed it since this scheduler wrote it."""
    return plan.metadata.annotations.get(PLANNED_BY) != signature(planner_of(plan), plan.spec.plan)


def planner_of(plan: SchedulePlan) -> str:
    """The planner that a plan's annotation names; empty without one."""
    planner, _, _ = plan.metadata.annotations.get(PLANNED_BY, "").rpartition(" ")
    return planner


def plan_size(entries: Mapping[str, str]) -> int:
    """How many bytes the entries of a plan take, pods and nodes by name."""
    return sum(len(pod) + len(node) + _ENTRY for pod, node in entries.items())


def places(pod_set: PodSet) -> Mapping[str, str]:
    """What the set's plan has to say, nodes by pod name: the bindings, and what is still to be bound.

    What was written by hand stays until the trigger says Schedule, but for pods that have left. Then bound
    members are listed where there is anything to keep a plan for. A set that no planner looks after, or
    that was never let go, gets none for what others have bound.
    """
    members, plan = pod_set.members, pod_set.plan
    if plan is not None and plan.manual and not (members or plan.had_pods):
        return plan.nodes  # written before the first pod is there
    if plan is not None and plan.manual and members and not pod_set.let_go:
        return {pod: node for pod, node in plan.nodes.items() if pod not in plan.left}
    kept = plan is not None or members.ranked
    if not kept and (pod_set.ordinary or not pod_set.let_go):
        return {}
    return members.nodes


def is_behind(pod_set: PodSet) -> bool:
    """Whether the stored plan does not say what it has to."""
    return places(pod_set) != pod_set.stored
