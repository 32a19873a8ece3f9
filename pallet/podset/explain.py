"""Telling pods why they are held back: a condition, and an event when the reason is new."""

from typing import Final, Protocol

from pallet.api.pod import Pod
from pallet.framework.handle import Recorder
from pallet.podset.gate import Gate, Why
from pallet.scheduler.recorder import pod_reference

_EVENT: Final = {
    Why.AWAITING_TRIGGER: ("Normal", "AwaitingTrigger"),
    Why.PLANNER_FAILED: ("Warning", "FailedScheduling"),
    Why.REFUSED: ("Warning", "FailedScheduling"),
}
"""What is told, as the type and the reason of an event. Being planned takes milliseconds: not told."""


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
        if gate.why not in _EVENT or pod.spec.scheduling_gates:
            return
        self._conditions.set(pod, gate.why.value, gate.message)
        if self._told.get(pod.metadata.uid) != gate.message:
            self._told[pod.metadata.uid] = gate.message
            kind, reason = _EVENT[gate.why]
            self._recorder.event(
                pod_reference(pod),
                pod.spec.scheduler_name,
                kind=kind,
                reason=reason,
                action="Scheduling",
                note=gate.message,
            )

    def forget(self, pod: Pod) -> None:
        """A pod is held back no more, or is gone."""
        if self._told.pop(pod.metadata.uid, None) is not None:
            self._conditions.forget(pod)
