"""What is said of a pod after its cycle: an event, the condition, the log, the metrics, in the same words."""

from collections.abc import Callable, Iterable

from pallet.api.pod import Pod
from pallet.api.podset import POD_SET_LABEL
from pallet.cache.nominator import Nominator
from pallet.framework.handle import Recorder
from pallet.framework.metrics import Metrics
from pallet.framework.status import Code, Status
from pallet.logs import get_logger
from pallet.scheduler.conditions import ConditionWriter
from pallet.scheduler.queued_pod import QueuedPod
from pallet.scheduler.recorder import pod_event

log = get_logger(__name__)

_MOST_ATTEMPTS = 15
"""So many attempts, and more, share one label."""


class Outcomes:
    """Tells how the cycles of pods ended. `clock` gives seconds."""

    def __init__(
        self, recorder: Recorder, conditions: ConditionWriter, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        self._recorder = recorder
        self._conditions = conditions
        self._metrics = metrics
        self._clock = clock

    def bound(self, queued: QueuedPod, pod: Pod, node: str, note: str) -> None:
        """Say that a pod is bound; `note` words the event."""
        self._conditions.forget(pod)
        pod_event(self._recorder, pod, "Normal", "Scheduled", note, action="Binding")
        self.count(queued, "scheduled")
        metrics = self._metrics
        metrics.pod_scheduling_attempts.observe(queued.attempts)
        attempts = str(queued.attempts) if queued.attempts < _MOST_ATTEMPTS else f"{_MOST_ATTEMPTS}+"
        if queued.entered_at is not None:
            seconds = self._clock() - queued.entered_at
            metrics.pod_scheduling_sli_duration_seconds[attempts].observe(seconds)
        if queued.flushed:
            metrics.pod_scheduled_after_flush_total.inc()
        if log.enabled(2):
            log.v(2, "Bound pod", **named(pod), node=node, attempts=queued.attempts)

    def unscheduled(
        self, queued: QueuedPod, reason: str, message: str, nominator: Nominator, nominated: str | None
    ) -> None:
        """Say on a pod why it was not scheduled, and nominate its node.

        The empty name takes a nomination away; with None the one that is known stands, which may be ahead of
        the pod's status.
        """
        pod = queued.pod
        pod_event(self._recorder, pod, "Warning", "FailedScheduling", message)
        self._conditions.set(pod, reason, message, nominated)
        if nominated is None:
            nominated = nominator.node_of(queued.uid) or pod.status.nominated_node_name
        nominator.nominate(queued.info, nominated)

    def skipped(self, pod: Pod) -> None:
        """Say that a pod is not scheduled since it is being deleted."""
        note = f"skip schedule deleting pod: {pod.key}"
        pod_event(self._recorder, pod, "Warning", "FailedScheduling", note)

    def count(self, queued: QueuedPod, result: str) -> None:
        """Count an attempt with its result."""
        key = result, queued.pod.spec.scheduler_name
        self._metrics.schedule_attempts_total[key].inc()
        self._metrics.scheduling_attempt_duration_seconds[key].observe(self._clock() - queued.popped_at)


def refusing(statuses: Iterable[Status]) -> tuple[frozenset[str], frozenset[str]]:
    """The plugins that refused a pod, and those of them that only wait for something."""
    by_code = [(status.plugin, status.code) for status in statuses]
    pending = frozenset(plugin for plugin, code in by_code if code is Code.PENDING)
    return frozenset(plugin for plugin, _ in by_code), pending


def named(pod: Pod) -> dict[str, str]:
    """The fields of a log line about a pod: the pod, and its set if it is of one."""
    pod_set = pod.metadata.labels.get(POD_SET_LABEL)
    return {"pod": pod.key, "pod_set": pod_set} if pod_set else {"pod": pod.key}
