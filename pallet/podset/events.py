"""Events: on triggers what happened to their sets, and on pods, with a condition, why they are held back."""

from typing import Final, Literal, Protocol, get_args

from pallet.api.core import ObjectReference
from pallet.api.pod import Pod
from pallet.api.podset import SCHEDULE_TRIGGERS, ScheduleTrigger
from pallet.framework.handle import Recorder
from pallet.logs import get_logger
from pallet.podset.member import Gate, Why
from pallet.podset.model import PodSet
from pallet.scheduler.recorder import pod_event

log = get_logger(__name__)

_CONTROLLER: Final = "planner.ciena.io/podset"

_POD_EVENT: Final = {
    Why.HELD: ("Normal", "AwaitingTrigger"),
    Why.PLANNER_FAILED: ("Warning", "FailedScheduling"),
    Why.REFUSED: ("Warning", "FailedScheduling"),
}
"""What is told, as the type and the reason of an event. Being planned takes milliseconds: not told."""

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
    name, shown = pod_set.key.plan_name, "; ".join(reasons[:_SHOWN])
    note = f"{len(reasons)} entries of SchedulePlan {name}, written by hand, are not used: {shown}{more}"
    tell(recorder, pod_set, "PlanEntriesNotUsed", note)


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


class Conditions(Protocol):
    """Writes the condition PodScheduled, without blocking, and not twice."""

    def set(self, pod: Pod, reason: str, message: str) -> None:
        """Have a pod carry PodScheduled=False with a reason and a message."""
        ...

    def forget(self, pod: Pod) -> None:
        """Write nothing more on this pod."""
        ...


class Explainer:
    """Explains closed gates. Pods with scheduling gates keep the condition that the API server gave them."""

    def __init__(self, conditions: Conditions, recorder: Recorder) -> None:
        self._conditions = conditions
        self._recorder = recorder
        self._told: dict[str, str] = {}

    def explain(self, pod: Pod, gate: Gate) -> None:
        """Have a pod told why its gate is closed."""
        if gate.why not in _POD_EVENT or pod.spec.scheduling_gates:
            return
        self._conditions.set(pod, gate.why.value, gate.message)
        if self._told.get(pod.metadata.uid) != gate.message:
            self._told[pod.metadata.uid] = gate.message
            kind, reason = _POD_EVENT[gate.why]
            pod_event(self._recorder, pod, kind, reason, gate.message)

    def forget(self, pod: Pod) -> None:
        """A pod is held back no more, or is gone."""
        if self._told.pop(pod.metadata.uid, None) is not None:
            self._conditions.forget(pod)
