"""The scheduling queue: every pending pod is in exactly one place.

    add ──pre-enqueue──→ active ──pop──→ in flight ──done──→ (out)
             │ refused     ↑ ↑               │
             ↓             │ └─ time over ── backoff ←──────── error, or an event helped meanwhile
           gated ─activate─┤                    ↑              │
                           └─ an event helps ── unschedulable ←┘ refused

Back-off is 1 s doubling to 10 s. A pod in `unschedulable` waits for an event that one of the plugins that
refused it finds helpful, or five minutes. As in kube-scheduler 1.36, a pod in back-off after a refusal is
taken early when nothing else waits; one in back-off after an error is not.

The queue is synchronous, has no task, and no clock but the one it is given: whoever drives it calls `flush`
at `next_flush`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import (
    BACKOFF_COMPLETE,
    FORCE_ACTIVATE,
    POD_ADD,
    SCHEDULE_ATTEMPT_FAILURE,
    UNSCHEDULABLE_TIMEOUT,
    ClusterEvent,
    EventInterest,
    Hint,
    pod_update,
)
from pallet.framework.metrics import Metrics
from pallet.framework.profile import Profile
from pallet.scheduler.heap import Heap
from pallet.scheduler.queued_pod import InFlight, QueuedPod

UNSCHEDULABLE_SECONDS = 300.0
SWEEP_SECONDS = 30.0


class SchedulingQueue:
    """The pending pods of all profiles."""

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        metrics: Metrics,
        clock: Callable[[], float],
        *,
        initial_backoff: float = 1.0,
        max_backoff: float = 10.0,
    ) -> None:
        self._profiles = profiles
        self._metrics = metrics
        self._clock = clock
        self._initial_backoff = initial_backoff
        self._max_backoff = max_backoff
        self._active: Heap[QueuedPod] = Heap()
        self._backoff: Heap[QueuedPod] = Heap()
        self._error_backoff: Heap[QueuedPod] = Heap()
        self._unschedulable: dict[str, QueuedPod] = {}
        self._refused_by: dict[tuple[str, str], dict[str, QueuedPod]] = {}
        self._gated: dict[str, QueuedPod] = {}
        self._in_flight = InFlight()
        self._interests = {name: _interests(profile) for name, profile in profiles.items()}
        self._swept_at = clock()
        self.wake: Callable[[], None] = _nothing
        """Called when there is a pod to pop; set by whoever pops."""
        pending = metrics.pending_pods
        pending["active"].follow(lambda: len(self._active))
        pending["backoff"].follow(lambda: len(self._backoff) + len(self._error_backoff))
        pending["unschedulable"].follow(lambda: len(self._unschedulable))
        pending["gated"].follow(lambda: len(self._gated))

    def add(self, pod: Pod) -> None:
        """Take in a new pending pod."""
        if self._find(pod.metadata.uid) is None and pod.metadata.uid not in self._in_flight.starts:
            now = self._clock()
            self._admit(QueuedPod(PodInfo(pod), added_at=now, queued_at=now), POD_ADD)

    def update(self, old: Pod, new: Pod) -> None:
        """Take note of a newer version of a pending pod, which may be what it was waiting for."""
        queued = self._find(new.metadata.uid)
        if queued is None:
            self.add(new)
            return
        queued.info = PodInfo(new)
        if queued.uid in self._gated:
            del self._gated[queued.uid]
            self._admit(queued, POD_ADD)
        elif queued.uid in self._unschedulable:
            event = pod_update(old, new)
            if event is not None and self._helps(queued, event, old, new):
                self._leave_unschedulable(queued)
                self._requeue(queued, event)

    def delete(self, pod: Pod) -> None:
        """Forget a pod that is gone or has got its node."""
        uid = pod.metadata.uid
        for heap in (self._active, self._backoff, self._error_backoff):
            heap.remove(uid)
        self._gated.pop(uid, None)
        if uid in self._unschedulable:
            self._leave_unschedulable(self._unschedulable[uid])
        self._in_flight.end(uid)

    def pop(self) -> QueuedPod | None:
        """Take the next pod, whose cycle begins with this; None when nothing waits.

        The pre-enqueue plugins are asked once more: a gate may have closed since the pod was let in.
        """
        queued = self._active.pop() or self._backoff.pop()
        while queued is not None and not self._is_let_in(queued):
            queued = self._active.pop() or self._backoff.pop()
        if queued is None:
            return None
        queued.attempts += 1
        if queued.first_attempt_at is None:
            queued.first_attempt_at = self._clock()
        self._in_flight.begin(queued.uid)
        return queued

    def done(self, uid: str) -> None:
        """A popped pod needs no further cycle: it is bound."""
        self._in_flight.end(uid)

    def refuse(self, queued: QueuedPod, refused_by: frozenset[str]) -> None:
        """Put back a popped pod that plugins refused; it is tried again when something helps."""
        if queued.uid not in self._in_flight.starts:
            return
        queued.refused_by, queued.failures, queued.flushed = refused_by, 0, False
        queued.retry_at = self._clock() + self._backoff_seconds(queued.attempts)
        missed = self._in_flight.end(queued.uid)
        if any(self._helps(queued, *happened) for happened in missed):
            self._requeue(queued, SCHEDULE_ATTEMPT_FAILURE)
            return
        queued.queued_at = self._clock()
        self._unschedulable[queued.uid] = queued
        for plugin in refused_by:
            key = (queued.pod.spec.scheduler_name, plugin)
            self._refused_by.setdefault(key, {})[queued.uid] = queued
        self._count("unschedulable", SCHEDULE_ATTEMPT_FAILURE)

    def retry(self, queued: QueuedPod) -> None:
        """Put back a popped pod whose cycle ended in an error; it is tried again after a back-off."""
        if queued.uid not in self._in_flight.starts:
            return
        self._in_flight.end(queued.uid)
        queued.refused_by, queued.flushed = frozenset(), False
        queued.failures += 1
        queued.retry_at = self._clock() + self._backoff_seconds(queued.failures)
        self._requeue(queued, SCHEDULE_ATTEMPT_FAILURE)

    def move(self, event: ClusterEvent, old: object, new: object) -> None:
        """Take note of an event of the cluster: pods that it may help are tried again."""
        self._in_flight.record(event, old, new)
        helped: dict[str, QueuedPod] = {}
        for (scheduler_name, plugin), pods in self._refused_by.items():
            interests = self._interests[scheduler_name].get(plugin, _ANYTHING)
            for interest in interests:
                if interest.event.matches(event):
                    helped |= {
                        uid: queued
                        for uid, queued in pods.items()
                        if uid not in helped and _is_helpful(interest, queued.pod, old, new)
                    }
        for queued in helped.values():
            self._leave_unschedulable(queued)
            self._requeue(queued, event)

    def activate(self, uids: Iterable[str]) -> None:
        """Let pods into the active queue at once, if their pre-enqueue plugins do; back-off is skipped."""
        for uid in uids:
            queued = (
                self._gated.pop(uid, None) or self._backoff.remove(uid) or self._error_backoff.remove(uid)
            )
            if queued is None and uid in self._unschedulable:
                queued = self._unschedulable[uid]
                self._leave_unschedulable(queued)
            if queued is not None:
                self._admit(queued, FORCE_ACTIVATE)

    def regate(self, uids: Iterable[str]) -> None:
        """Ask the pre-enqueue plugins again about waiting pods: they may have changed their mind."""
        for uid in uids:
            queued = self._active.remove(uid)
            if queued is not None:
                self._admit(queued, FORCE_ACTIVATE)

    def flush(self) -> None:
        """Let in the pods whose back-off is over, and those that waited too long for an event."""
        now = self._clock()
        for heap in (self._backoff, self._error_backoff):
            while heap and heap.first_key() <= now:
                queued = heap.pop()
                if queued is not None:
                    self._admit(queued, BACKOFF_COMPLETE)
        if now - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = now
            for queued in list(self._unschedulable.values()):
                if now - queued.queued_at > UNSCHEDULABLE_SECONDS:
                    self._leave_unschedulable(queued)
                    queued.flushed = True
                    self._requeue(queued, UNSCHEDULABLE_TIMEOUT)

    def next_flush(self) -> float | None:
        """When there will be something to flush, in seconds of the clock; None when only events can help."""
        times = [heap.first_key() for heap in (self._backoff, self._error_backoff) if heap]
        if self._unschedulable:
            times.append(self._swept_at + SWEEP_SECONDS)
        return min(times, default=None)

    def _find(self, uid: str) -> QueuedPod | None:
        """The waiting pod of a UID; those in flight are not waiting."""
        return (
            self._active.get(uid)
            or self._gated.get(uid)
            or self._unschedulable.get(uid)
            or self._backoff.get(uid)
            or self._error_backoff.get(uid)
        )

    def _is_let_in(self, queued: QueuedPod) -> bool:
        """Ask the pre-enqueue plugins; a pod that one refuses is gated."""
        for plugin in self._profiles[queued.pod.spec.scheduler_name].pre_enqueue:
            if not plugin.pre_enqueue(queued.pod).ok:
                queued.gated_by = plugin.name
                self._gated[queued.uid] = queued
                return False
        queued.gated_by = ""
        return True

    def _admit(self, queued: QueuedPod, event: ClusterEvent) -> None:
        """Put a pod into the active queue, or among the gated ones."""
        if not self._is_let_in(queued):
            self._count("gated", event)
            return
        sort = self._profiles[queued.pod.spec.scheduler_name].queue_sort
        queued.queued_at = self._clock()
        self._active.push(queued.uid, sort.sort_key(queued.pod, queued.queued_at), queued)
        self._count("active", event)
        self.wake()

    def _requeue(self, queued: QueuedPod, event: ClusterEvent) -> None:
        """Put a pod that is worth another try into the active queue, or into back-off."""
        if queued.retry_at <= self._clock():
            self._admit(queued, event)
            return
        heap = self._error_backoff if queued.failures else self._backoff
        heap.push(queued.uid, queued.retry_at, queued)
        self._count("backoff", event)
        self.wake()

    def _leave_unschedulable(self, queued: QueuedPod) -> None:
        del self._unschedulable[queued.uid]
        for plugin in queued.refused_by:
            key = (queued.pod.spec.scheduler_name, plugin)
            del self._refused_by[key][queued.uid]
            if not self._refused_by[key]:
                del self._refused_by[key]

    def _helps(self, queued: QueuedPod, event: ClusterEvent, old: object, new: object) -> bool:
        """Whether an event may help a pod, in the eyes of any plugin that refused it."""
        interests = self._interests[queued.pod.spec.scheduler_name]
        return not queued.refused_by or any(
            interest.event.matches(event) and _is_helpful(interest, queued.pod, old, new)
            for plugin in queued.refused_by
            for interest in interests.get(plugin, _ANYTHING)
        )

    def _backoff_seconds(self, tries: int) -> float:
        return float(min(self._initial_backoff * 2 ** min(tries - 1, 32), self._max_backoff))

    def _count(self, place: str, event: ClusterEvent) -> None:
        self._metrics.queue_incoming_pods_total[place, event.label].inc()


def _nothing() -> None:
    """Do nothing."""


_ANYTHING: Sequence[EventInterest] = (EventInterest(SCHEDULE_ATTEMPT_FAILURE),)
"""What helps the rejects of a plugin that does not say: any event."""


def _interests(profile: Profile) -> Mapping[str, Sequence[EventInterest]]:
    return {
        name: plugin.events_to_register()
        for name, plugin in profile.plugins.items()
        if hasattr(plugin, "events_to_register")
    }


def _is_helpful(interest: EventInterest, pod: Pod, old: object, new: object) -> bool:
    return interest.hint is None or interest.hint(pod, old, new) is Hint.QUEUE
