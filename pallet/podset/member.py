"""A member of a set: its pod, its state, and what the state makes of its gate."""

from datetime import datetime
from enum import Enum
from typing import ClassVar, NamedTuple, TypeAlias

import msgspec

from pallet.api.pod import Pod


class Unplanned(msgspec.Struct, frozen=True, gc=False):
    """Waits, and has no place yet."""

    node: ClassVar[str] = ""
    rank: ClassVar[int] = 0
    admitted: ClassVar[bool] = False


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Waits; the planner left it out when last asked, for this reason."""

    reason: str
    node: ClassVar[str] = ""
    rank: ClassVar[int] = 0
    admitted: ClassVar[bool] = False


class Unmanaged(msgspec.Struct, frozen=True, gc=False):
    """Waits, and no planner looks after its set: it is scheduled like a pod without a set."""

    node: ClassVar[str] = ""
    rank: ClassVar[int] = 0
    admitted: ClassVar[bool] = True


class Planned(msgspec.Struct, frozen=True, gc=False):
    """Waits, and has a place: a node, and a rank in the order in which binding is legal.

    `stored` is whether the stored plan says the same. `until` is when to ask again whether the node has room
    for the member, where that room is taken by pods that are being deleted.
    """

    node: str
    rank: int
    stored: bool = False
    until: datetime | None = None

    @property
    def admitted(self) -> bool:
        """See `State`."""
        return self.stored


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

    @property
    def admitted(self) -> bool:
        """See `State`."""
        return self.stored


Place: TypeAlias = Unplanned | Refused | Unmanaged | Planned | Invalidated
"""What is known of the place of a member that has no node."""


class Replanning(msgspec.Struct, frozen=True, gc=False):
    """Waits, and is held back while the planner looks for another place. If it finds none it has `before`."""

    before: Place

    @property
    def node(self) -> str:
        """See `State`."""
        return self.before.node

    @property
    def rank(self) -> int:
        """See `State`."""
        return self.before.rank

    @property
    def admitted(self) -> bool:
        """See `State`."""
        return self.before.admitted


class Binding(msgspec.Struct, frozen=True, gc=False):
    """Is being bound to a node. If that fails it has the place that it had `before`."""

    node: str
    before: Place
    admitted: ClassVar[bool] = False

    @property
    def rank(self) -> int:
        """See `State`."""
        return self.before.rank


class Bound(msgspec.Struct, frozen=True, gc=False):
    """Has a node, which the pod says. The rank is 0 unless it was bound to a place of a plan."""

    rank: int = 0
    node: ClassVar[str] = ""
    admitted: ClassVar[bool] = False


State: TypeAlias = Place | Replanning | Binding | Bound
"""node: where the member is being bound to, or is to go to; empty where there is none
rank: its place in the order of binding; 0 for one that was not planned
admitted: whether it waits, and has a place in the stored plan or needs none
"""

UNPLANNED = Unplanned()
UNMANAGED = Unmanaged()

WAITING = (Unplanned, Refused, Unmanaged, Planned, Invalidated, Replanning)
"""The states of members that are neither bound nor being bound."""

_WITH_PLACE = (Planned, Invalidated)
_WITH_NODE = (Binding, Bound)
_OVER_A_PLACE = (Binding, Replanning)


def place_of(state: State) -> Place | Bound:
    """What is known of the place of a member in a state, whatever else happens to it."""
    return state.before if isinstance(state, _OVER_A_PLACE) else state


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
        return self.state.rank

    @property
    def node(self) -> str:
        """The node that it is bound to, being bound to, or to go to; empty where there is none."""
        return self.pod.spec.node_name if isinstance(self.state, Bound) else self.state.node
