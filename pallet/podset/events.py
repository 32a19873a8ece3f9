"""Events on triggers: what happened to their sets."""

from typing import Final, Literal

from pallet.api.core import ObjectReference
from pallet.api.podset import SCHEDULE_TRIGGERS, ScheduleTrigger
from pallet.framework.handle import Recorder
from pallet.logs import get_logger
from pallet.podset.model import PodSet

log = get_logger(__name__)

_CONTROLLER: Final = "planner.ciena.io/podset"

Reason = Literal["Switched", "Planned", "Replanned", "PlannerFailed", "ReservationExpired"]

_WARNINGS: Final = frozenset({"PlannerFailed", "ReservationExpired"})


def tell(recorder: Recorder, pod_set: PodSet, reason: Reason, note: str) -> None:
    """Record an event on the trigger of a set, if it has one, and log it in the same words."""
    warns = reason in _WARNINGS
    (log.warning if warns else log.info)(reason, pod_set=pod_set.key, note=note)
    if pod_set.trigger is not None:
        recorder.event(
            _reference(pod_set.trigger),
            _CONTROLLER,
            kind="Warning" if warns else "Normal",
            reason=reason,
            action="Switch" if reason == "Switched" else "Plan",
            note=note,
        )


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
