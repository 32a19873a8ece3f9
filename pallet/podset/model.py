"""What is known of one set of pods. Nothing in here does anything: `sets` feeds it, `decisions` reads it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import NamedTuple

import msgspec

from pallet.api.labels import Labels
from pallet.api.pod import Pod
from pallet.api.podset import SCHEDULE, SchedulePlan, ScheduleTrigger, ScheduleTriggerStatus
from pallet.cache.reservation import Owner

NEVER = datetime.min.replace(tzinfo=UTC)


_RANK = attrgetter("rank")


class SetKey(NamedTuple):
    """A set: its namespace, and the value of the pods' label."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Member(msgspec.Struct, frozen=True, gc=False):
    """A live pod of a set: neither finished nor being deleted, and without scheduling gates of its own.

    `planned` is the node it was given, not necessarily stored yet; `rank` its place in the order in which
    binding is legal; `refused` why the planner left it out when last asked; `free` that no planner looks
    after it, so that it is scheduled like a pod without a set.
    """

    pod: Pod
    planned: str = ""
    rank: int = 0
    refused: str = ""
    free: bool = False

    @property
    def uid(self) -> str:
        """The pod's UID."""
        return self.pod.metadata.uid

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.pod.metadata.name


class Seen(NamedTuple):
    """When a trigger's generation was first seen (`at`), and when its present annotations were."""

    uid: str
    generation: int
    at: datetime
    annotations: Labels
    annotations_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last call of the planner that left pods without a place.

    `error` is set when there was no answer at all; then it is tried again at `retry_at`. Pods that were
    refused are tried again from then on when something in the cluster has `changed`.
    """

    at: datetime
    retry_at: datetime
    error: str = ""
    changed: bool = False


class Invalidation(NamedTuple):
    """Why a pod cannot go to its planned node: the plugin that says so (or NodeGone), and its words."""

    cause: str
    reason: str


@dataclass(slots=True)
class PodSet:
    """One set: what the API says of it, and what was decided and is not seen there yet.

    triggers: by name; the first one counts
    members: by UID
    joined: when each of them joined, by UID
    plan, stored: the SchedulePlan as last seen, and its nodes by pod name
    manual: whether the stored plan was written by hand
    planner: who made the places that were planned last
    left: names of members that left while the plan was manual
    had_pods: whether any pod has been a member since the plan was first seen
    unused: by pod name, why an entry of a manual plan is not used, until that is told
    writing: the entries of a plan on its way to the API
    dropped_plan: the UID of the last plan that was seen to go
    in_flight: the nodes by UID of members whose binding has begun
    seen: by trigger name
    switched: when the trigger was seen to switch to Schedule, as long as it is of interest to metrics
    timed: whether the time from the switch to the plan has been taken
    last_bound: when a member was last seen with a node
    lost: by UID, members whose planned node does not fit any more; they are re-planned from `replan_at` on
    replanning: members that are being re-planned
    unstored: whether the plan could not be written the last time
    room: what is reserved for members that wait; firm from the moment the first binding starts
    leaving: by UID of members whose room is taken by pods that are being deleted: when to ask again
    newest: the highest rank for which room was reserved
    advanced: when room was last reserved for a newly planned member, or a member was last seen with a node
    open: members that wait, and whose gate was found open
    ordinary: whether no planner looks after the set
    told: the mistake in the trigger's quiet time that was told last
    statuses: what was last written, by trigger UID
    times_written, plan_written, status_written: when this process last wrote each
    """

    key: SetKey
    triggers: dict[str, ScheduleTrigger] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    joined: dict[str, datetime] = field(default_factory=dict)
    plan: SchedulePlan | None = None
    stored: Mapping[str, str] = field(default_factory=dict)
    manual: bool = False
    planner: str = ""
    left: set[str] = field(default_factory=set)
    had_pods: bool = False
    unused: dict[str, str] = field(default_factory=dict)
    writing: Mapping[str, str] | None = None
    dropped_plan: str = ""
    in_flight: dict[str, str] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    last_joined: datetime | None = None
    switched: datetime | None = None
    timed: bool = False
    last_bound: datetime | None = None
    ranks: int = 0
    attempt: Attempt | None = None
    lost: dict[str, Invalidation] = field(default_factory=dict)
    replan_at: datetime = NEVER
    replanning: frozenset[str] = frozenset()
    unstored: bool = False
    room: Owner = field(default_factory=Owner)
    leaving: dict[str, datetime] = field(default_factory=dict)
    newest: int = 0
    advanced: datetime = NEVER
    open: set[str] = field(default_factory=set)
    ordinary: bool = False
    told: str = ""
    statuses: dict[str, ScheduleTriggerStatus] = field(default_factory=dict)
    times_written: datetime = NEVER
    plan_written: datetime = NEVER
    status_written: datetime = NEVER

    @property
    def trigger(self) -> ScheduleTrigger | None:
        """The trigger that counts: the first by name."""
        return self.triggers[min(self.triggers)] if self.triggers else None

    @property
    def rivals(self) -> list[ScheduleTrigger]:
        """The triggers that do not count, by name."""
        return [self.triggers[name] for name in sorted(self.triggers)[1:]]

    @property
    def let_go(self) -> bool:
        """Whether the trigger says Schedule."""
        trigger = self.trigger
        return trigger is not None and trigger.spec.state == SCHEDULE

    @property
    def empty(self) -> bool:
        """Whether there is nothing left to know."""
        return not (self.members or self.triggers or self.plan)

    def node(self, member: Member) -> str:
        """The node a member is bound to, or is being bound to; empty for one that waits."""
        return member.pod.spec.node_name or self.in_flight.get(member.uid, "")

    def waiting(self) -> list[Member]:
        """The members without a node, the planned ones in the order of the plan."""
        in_flight = self.in_flight
        unbound = [
            member
            for uid, member in self.members.items()
            if not member.pod.spec.node_name and uid not in in_flight
        ]
        return sorted(unbound, key=_RANK)

    def started(self) -> bool:
        """Whether any member has a node, or is being bound to one."""
        return any(self.node(member) for member in self.members.values())

    def lose(self, member: Member, lost: Invalidation) -> None:
        """Have the set re-planned: a member cannot go to its node. Of a manual plan the rest stands."""
        if self.manual:
            self.unused[member.name] = lost.reason
            self.members[member.uid] = Member(member.pod)
        else:
            self.lost.setdefault(member.uid, lost)

    def admitted(self, member: Member) -> bool:
        """Whether the member has its place in the stored plan, or needs none."""
        return member.free or (member.planned != "" and self.stored.get(member.name) == member.planned)

    def next_ranks(self, members: Iterable[Member]) -> list[tuple[int, Member]]:
        """Give members the next places in the order of binding."""
        ranked = list(enumerate(members, self.ranks + 1))
        self.ranks += len(ranked)
        return ranked
