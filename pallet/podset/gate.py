"""The gate: whether a pod may be scheduled, where to, and if not, why not."""

from dataclasses import dataclass
from enum import Enum

from pallet.podset.model import Member, PodSet, SetKey


class Why(Enum):
    """Why a gate is closed. The value is the reason in the pod's condition PodScheduled.

    Only pods for which no node can be found say Unschedulable, since that makes an autoscaler add nodes.
    """

    AWAITING_TRIGGER = "AwaitingTrigger"
    BEING_PLANNED = "BeingPlanned"
    PLANNER_FAILED = "SchedulerError"
    REFUSED = "Unschedulable"


@dataclass(frozen=True, slots=True)
class Gate:
    """Open, and the only node to go to (empty for any); or closed (`why`), and the reason in words."""

    node: str = ""
    why: Why | None = None
    message: str = ""

    @property
    def open(self) -> bool:
        """Whether the pod may be scheduled."""
        return self.why is None


OPEN = Gate()


def gate_of(key: SetKey, pod_set: PodSet | None, uid: str) -> Gate:
    """Answer for one pod of a set; a set that nobody has heard of has no trigger."""
    closed = _trigger(key, pod_set)
    if closed is not None:
        return closed
    if pod_set is None or uid not in pod_set.members:
        return Gate(why=Why.BEING_PLANNED, message=f'pod set "{key.name}" is being planned')
    if uid in pod_set.replanning:
        return Gate(why=Why.BEING_PLANNED, message=f'pod set "{key.name}" is being re-planned')
    member = pod_set.members[uid]
    if pod_set.admitted(member):
        return Gate(member.planned)
    return _unplanned(pod_set, member)


def _trigger(key: SetKey, pod_set: PodSet | None) -> Gate | None:
    """The gate that the trigger closes, or None when it says Schedule."""
    if pod_set is not None and pod_set.let_go:
        return None
    trigger = pod_set.trigger if pod_set is not None else None
    if trigger is None:
        message = f'pod set "{key.name}" has no ScheduleTrigger in namespace "{key.namespace}"'
    else:
        message = f'waiting for ScheduleTrigger "{trigger.metadata.name}" to switch from Planning to Schedule'
    return Gate(why=Why.AWAITING_TRIGGER, message=message)


def _unplanned(pod_set: PodSet, member: Member) -> Gate:
    if member.refused and not member.planned:
        return Gate(why=Why.REFUSED, message=member.refused)
    if pod_set.attempt is not None and pod_set.attempt.error and not member.planned:
        return Gate(why=Why.PLANNER_FAILED, message=pod_set.attempt.error)
    return Gate(why=Why.BEING_PLANNED, message=f'pod set "{pod_set.key.name}" is being planned')
