"""What is known of one set of pods: `states` changes it, `decisions` reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

import msgspec

from pallet.api.podset import SchedulePlan, ScheduleTrigger, ScheduleTriggerStatus
from pallet.cache.reservation import Owner
from pallet.podset.member import Binding, Bound, Gate, Why
from pallet.podset.members import Members
from pallet.podset.source import Release, SetKey
from pallet.podset.triggers import NEVER, SinceSwitch, Triggers


class Phase(Enum):
    """How far a set has come. See `states`."""

    HELD = auto()
    MEMBERS_MISSING = auto()
    PLANNING = auto()
    REFUSED = auto()
    RESERVED = auto()
    BINDING = auto()
    DEGRADED = auto()
    BOUND = auto()


@dataclass(slots=True)
class StoredPlan:
    """The SchedulePlan as last seen.

    nodes: by pod name
    manual: whether it was written by hand
    had_pods: whether any pod has been a member since it was first seen
    left: names of members that left while it was manual
    """

    plan: SchedulePlan
    nodes: Mapping[str, str]
    manual: bool
    had_pods: bool
    left: set[str]


@dataclass(slots=True)
class Written:
    """What was written for a set, and told, by this process.

    times, plan, status: when each was last written
    on_its_way: the entries of a plan that the API has not answered yet
    unstored: whether the plan could not be written the last time
    reported: by UID of a trigger, its status as it was last written
    mistake: the mistake in the trigger's quiet time that was told last
    """

    times: datetime = NEVER
    plan: datetime = NEVER
    status: datetime = NEVER
    on_its_way: Mapping[str, str] | None = None
    unstored: bool = False
    reported: dict[str, ScheduleTriggerStatus] = field(default_factory=dict)
    mistake: str = ""


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """The last call of the planner that left pods without a place.

    `error` is set when there was no answer at all; then it is tried again at `retry_at`. Pods that were
    refused are tried again from then on when something in the cluster has `changed`.
    """

    at: datetime
    retry_at: datetime
    error: str = ""
    changed: bool = False


@dataclass(slots=True)
class PodSet:
    """One set: what the API says of it, and what was decided and is not seen there yet.

    last_joined: when the last of them joined
    let_in: members that wait, and that the queue was told to let in
    held: the gate of all members while something holds them back at once
    being_planned, being_replanned, unplanned: the gates of members, while the set is not held, that are not
        in the stored plan, that are re-planned, and that have no place
    plan: the stored plan
    planner: who made the places that were planned last
    unused: by pod name, why an entry of a manual plan is not used, until that is told
    dropped_plan: the UID of the last plan that was seen to go
    ordinary: whether no planner looks after the set
    ranks: the highest rank given
    attempt: the last call of the planner, if it left pods without a place
    invalidated: UIDs of members whose place is invalidated, the first one first
    replan_at: from when on they are re-planned
    room: what is reserved for members that wait; firm from the moment the first binding starts
    newest: the highest rank for which room was reserved
    advanced: when room was last reserved for a newly planned member, or a member was last seen with a node
    written: what this process wrote and told last; `writes` and the reconciler keep it
    since_switch: what metrics want to know of the time since the set was let go
    """

    key: SetKey
    triggers: Triggers
    held: Gate | None
    being_planned: Gate
    being_replanned: Gate
    unplanned: Gate
    members: Members = field(default_factory=Members)
    last_joined: datetime | None = None
    let_in: set[str] = field(default_factory=set)
    plan: StoredPlan | None = None
    planner: str = ""
    unused: dict[str, str] = field(default_factory=dict)
    dropped_plan: str = ""
    ordinary: bool = False
    ranks: int = 0
    attempt: Attempt | None = None
    invalidated: dict[str, None] = field(default_factory=dict)
    replan_at: datetime = NEVER
    room: Owner = field(default_factory=Owner)
    newest: int = 0
    advanced: datetime = NEVER
    written: Written = field(default_factory=Written)
    since_switch: SinceSwitch = field(default_factory=SinceSwitch)

    @classmethod
    def of(cls, key: SetKey) -> "PodSet":
        """A set of which nothing is known yet."""
        planned = Gate(why=Why.BEING_PLANNED, message=f'pod set "{key.name}" is being planned')
        replanned = Gate(why=Why.BEING_PLANNED, message=f'pod set "{key.name}" is being re-planned')
        triggers = Triggers(key)
        held = Gate(why=Why.HELD, message=triggers.waits_for)
        return cls(key, triggers, held, planned, replanned, unplanned=planned)

    @property
    def release(self) -> Release:
        """What lets the set go."""
        return self.triggers

    @property
    def let_go(self) -> bool:
        """Whether the set may go."""
        return self.release.let_go

    @property
    def trigger(self) -> ScheduleTrigger | None:
        """The trigger that counts, on which events and status of the set are told."""
        return self.triggers.first

    @property
    def stored(self) -> Mapping[str, str]:
        """The nodes of the stored plan, by pod name."""
        return self.plan.nodes if self.plan else {}

    @property
    def manual(self) -> bool:
        """Whether there is a stored plan that was written by hand."""
        return self.plan is not None and self.plan.manual

    @property
    def empty(self) -> bool:
        """Whether there is nothing left to know."""
        return not (self.members or self.triggers.first or self.plan)

    def started(self) -> bool:
        """Whether any member has a node, or is being bound to one."""
        return self.members.count(Binding, Bound) > 0

    def gate_of(self, uid: str) -> Gate:
        """Whether a pod of the set may be scheduled, a member or not."""
        if self.held is not None:
            return self.held
        member = self.members.get(uid)
        return self.being_planned if member is None else member.gate or self.unplanned
