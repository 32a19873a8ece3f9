"""What is known of one set of pods: `states` changes it, `decisions` reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from operator import attrgetter
from typing import NamedTuple, TypeAlias

import msgspec

from pallet.api.pod import Pod
from pallet.api.podset import SchedulePlan, ScheduleTrigger, ScheduleTriggerStatus
from pallet.cache.reservation import Owner
from pallet.podset.source import Release, SetKey
from pallet.podset.triggers import NEVER, SinceSwitch, Triggers

_RANK = attrgetter("rank")


class Unplanned(msgspec.Struct, frozen=True, gc=False):
    """Waits, and has no place yet."""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Waits; the planner left it out when last asked, for this reason."""

    reason: str


class Unmanaged(msgspec.Struct, frozen=True, gc=False):
    """Waits, and no planner looks after its set: it is scheduled like a pod without a set."""


class Planned(msgspec.Struct, frozen=True, gc=False):
    """Waits, and has a place: a node, and a rank in the order in which binding is legal.

    `stored` is whether the stored plan says the same. `until` is when to ask again whether the node has room
    for the member, where that room is taken by pods that are being deleted.
    """

    node: str
    rank: int
    stored: bool = False
    until: datetime | None = None


class Invalidation(NamedTuple):
    """Why a pod cannot go to its planned node: the plugin that says so (NodeGone, Expired), and its words."""

    cause: str
    reason: str


class Invalidated(msgspec.Struct, frozen=True, gc=False):
    """Waits, and has a place whose node does not fit any more."""

    node: str
    rank: int
    stored: bool
    why: Invalidation


Place: TypeAlias = Unplanned | Refused | Unmanaged | Planned | Invalidated
"""What is known of the place of a member that has no node."""


class Replanning(msgspec.Struct, frozen=True, gc=False):
    """Waits, and is held back while the planner looks for another place. If it finds none it has `before`."""

    before: Place


class Binding(msgspec.Struct, frozen=True, gc=False):
    """Is being bound to a node. If that fails it has the place that it had `before`."""

    node: str
    before: Place


class Bound(msgspec.Struct, frozen=True, gc=False):
    """Has a node. The rank is 0 unless it was bound to a place of a plan."""

    rank: int = 0


State: TypeAlias = Place | Replanning | Binding | Bound

UNPLANNED = Unplanned()
UNMANAGED = Unmanaged()

_WITH_PLACE = (Planned, Invalidated)
_WITH_NODE = (Binding, Bound)
_OVER_A_PLACE = (Binding, Replanning)


def place_of(state: State) -> Place | Bound:
    """What is known of the place of a member in a state, whatever else happens to it."""
    return state.before if isinstance(state, _OVER_A_PLACE) else state


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


class Why(Enum):
    """Why a gate is closed. The value is the reason in the pod's condition PodScheduled.

    Only pods for which no node can be found say Unschedulable, since that makes an autoscaler add nodes.
    """

    HELD = "AwaitingTrigger"
    BEING_PLANNED = "BeingPlanned"
    PLANNER_FAILED = "SchedulerError"
    REFUSED = "Unschedulable"


class Gate(msgspec.Struct, frozen=True, gc=False):
    """Whether a pod may be scheduled.

    Open, and the only node to go to (empty for any); or closed (`why`), and the reason in words.
    """

    node: str = ""
    why: Why | None = None
    message: str = ""

    @property
    def open(self) -> bool:
        """Whether the pod may be scheduled."""
        return self.why is None


OPEN = Gate()


class Member(msgspec.Struct, frozen=True, gc=False):
    """A live pod of a set: neither finished nor being deleted, and without scheduling gates of its own.

    joined: when it joined
    gate: what its state makes of its gate, as long as the set is not held; None where the whole set decides
    """

    pod: Pod
    joined: datetime
    state: State
    gate: Gate | None

    @property
    def uid(self) -> str:
        """The pod's UID."""
        return self.pod.metadata.uid

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.pod.metadata.name

    @property
    def waits(self) -> bool:
        """Whether it is neither bound nor being bound."""
        return not isinstance(self.state, _WITH_NODE)

    @property
    def placed(self) -> Planned | Invalidated | None:
        """The place that it has, or had when its binding or re-planning began."""
        place = place_of(self.state)
        return place if isinstance(place, _WITH_PLACE) else None

    @property
    def rank(self) -> int:
        """Its place in the order of binding; 0 for one that was not planned."""
        if isinstance(self.state, Bound):
            return self.state.rank
        placed = self.placed
        return placed.rank if placed else 0

    @property
    def node(self) -> str:
        """The node that it is bound to, being bound to, or to go to; empty where there is none."""
        state = self.state
        if isinstance(state, Bound):
            return self.pod.spec.node_name
        if isinstance(state, Binding):
            return state.node
        placed = self.placed
        return placed.node if placed else ""

    @property
    def lacks_place(self) -> bool:
        """Whether it waits, needs a valid place in the stored plan, and has none."""
        match self.state:
            case Planned(stored=stored):
                return not stored
            case Binding() | Bound() | Unmanaged():
                return False
            case _:
                return True

    @property
    def admitted(self) -> bool:
        """Whether it has a place in the stored plan, or needs none."""
        placed = self.placed
        return placed.stored if placed else isinstance(self.state, Unmanaged)


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

    members: by UID
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
    members: dict[str, Member] = field(default_factory=dict)
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

    def waiting(self) -> list[Member]:
        """The members without a node, the planned ones in the order of the plan."""
        return sorted([member for member in self.members.values() if member.waits], key=_RANK)

    def started(self) -> bool:
        """Whether any member has a node, or is being bound to one."""
        return not all(member.waits for member in self.members.values())

    def gate_of(self, uid: str) -> Gate:
        """Whether a pod of the set may be scheduled, a member or not."""
        if self.held is not None:
            return self.held
        member = self.members.get(uid)
        return self.being_planned if member is None else member.gate or self.unplanned
