"""Who wrote a stored plan: this scheduler, for a planner, or a person by hand.

What this scheduler writes is signed with an annotation: the planner's name, and a hash of the entries. A plan
without it, or with other entries by now, is manual.
"""

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from pallet.api.podset import PLANNED_BY, Assignment, SchedulePlan


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
