"""Events on triggers: what happened to their sets."""

from typing import Final, Literal, get_args

from pallet.api.core import ObjectReference
from pallet.api.plan_name import plan_name
from pallet.api.podset import SCHEDULE_TRIGGERS, ScheduleTrigger
from pallet.framework.handle import Recorder
from pallet.logs import get_logger
from pallet.podset.model import PodSet

log = get_logger(__name__)

_CONTROLLER: Final = "planner.ciena.io/podset"

Happening = Literal["Switched", "Planned", "Replanned"]
Trouble = Literal["PlannerFailed", "ReservationExpired", "PlanEntriesNotUsed", "InvalidQuietTime"]

_SHOWN: Final = 5
"""So many entries that are not used are named in one event."""

_WARNINGS: Final = frozenset(get_args(Trouble))
_OF_THE_SWITCH: Final = frozenset({"Switched", "InvalidQuietTime"})


def tell(recorder: Recorder, pod_set: PodSet, reason: Happening | Trouble, note: str) -> None:
    """Record an event on the trigger of a set, if it has one, and log it in the same words."""
    warns = reason in _WARNINGS
    (log.warning if warns else log.info)(reason, pod_set=pod_set.key, note=note)
    if pod_set.trigger is not None:
        recorder.event(
            _reference(pod_set.trigger),
            _CONTROLLER,
            kind="Warning" if warns else "Normal",
            reason=reason,
            action="Switch" if reason in _OF_THE_SWITCH else "Plan",
            note=note,
        )


def tell_unused(recorder: Recorder, pod_set: PodSet) -> None:
    """Tell which entries of a plan written by hand are not used, once."""
    reasons = [f"pod {pod}: {why}" for pod, why in pod_set.unused.items()]
    more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    name, shown = plan_name(*pod_set.key), "; ".join(reasons[:_SHOWN])
    note = f"{len(reasons)} entries of SchedulePlan {name}, written by hand, are not used: {shown}{more}"
    tell(recorder, pod_set, "PlanEntriesNotUsed", note)
    pod_set.unused.clear()


def _reference(trigger: ScheduleTrigger) -> ObjectReference:
    meta = trigger.metadata
    return ObjectReference(
        ScheduleTrigger.__name__,
        meta.namespace,
        meta.name,
        meta.uid,
        SCHEDULE_TRIGGERS.api_version,
        meta.resource_version,
    )
