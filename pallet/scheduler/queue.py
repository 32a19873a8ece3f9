"""The scheduling queue: every pending pod is in exactly one place.

    add ──pre-enqueue──→ active ──pop──→ in flight ──done──→ (out)
             │ refused     ↑ ↑               │
             ↓             │ └─ time over ── backoff ←──────── error, or an event helped meanwhile
           gated ─activate─┤                    ↑              │
                           └─ an event helps ── unschedulable ←┘ refused

Back-off is 1 s doubling to 10 s. A pod in `unschedulable` waits for an event that one of the plugins that
refused it finds helpful, or five minutes; as often the pre-enqueue plugins are asked again about gated pods.
As in kube-scheduler 1.36, a pod in back-off after a refusal is taken early when nothing else waits; one in
back-off after an error is not. Those that are taken early are ordered by the second in which their back-off
ends, and within it as in the active queue.

The queue is synchronous, has no task, and no clock but the one it is given: whoever drives it calls `flush`
at `next_flush`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice

from pallet.api.pod import Pod
from pallet.cache.nominator import Nominator
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import (
    BACKOFF_COMPLETE,
    FORCE_ACTIVATE,
    POD_ADD,
    POP_FROM_BACKOFF,
    SCHEDULE_ATTEMPT_FAILURE,
    UNSCHEDULABLE_TIMEOUT,
    ClusterEvent,
    EventResource,
    pod_update,
)
from pallet.framework.metrics import Metrics
from pallet.framework.status import SUCCESS
from pallet.logs import get_logger
from pallet.runtime.metrics_recorder import samples
from pallet.runtime.profile import Profile
from pallet.scheduler.heap import Heap
from pallet.scheduler.hints import Hints
from pallet.scheduler.in_flight import InFlight
from pallet.scheduler.queued_pod import QueuedPod
from pallet.scheduler.unschedulable import NOBODY, Unschedulable
from pallet.scheduler.waiting_times import WaitingTimes

log = get_logger(__name__)

UNSCHEDULABLE_SECONDS = 300.0
SWEEP_SECONDS = 30.0
MOST_ASKED_ABOUT = 1000
"""Gated pods of one sweep, which takes some 10 ms; of more, those that were asked about first come first."""
POD = "pod"
"""The label `type` of what is scheduled as one."""
WINDOW_SECONDS = 1.0
"""Back-offs after a refusal end together with all others of the same window, in the active queue's order."""


class SchedulingQueue:
    """The pending pods of all profiles."""

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        nominator: Nominator,
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
        self._unschedulable = Unschedulable()
        self._gated: dict[str, QueuedPod] = {}
        self._samples = samples()
        self._in_flight = InFlight(metrics.inflight_events)
        self._hints = Hints(profiles, metrics, clock)
        self._waiting = WaitingTimes(profiles, clock)
        self._nominator = nominator
        self._swept_at = clock()
        self.wake: Callable[[], None] = _nothing
        """Called when there is a pod to pop; set by whoever pops."""
        sizes: Mapping[str, Callable[[], float]] = {
            "active": lambda: len(self._active),
            "backoff": lambda: len(self._backoff) + len(self._error_backoff),
            "unschedulable": lambda: len(self._unschedulable),
            "gated": lambda: len(self._gated),
        }
        for place, size in sizes.items():
            metrics.pending_pods[place].follow(size)
            metrics.queued_entities[place, POD].follow(size)
        for place in ("incomplete", "pending"):
            metrics.pending_pods[place].set(0)
        for profile in profiles:
            metrics.oldest_pending_pod[profile].follow(partial(self._waiting.longest, profile))

    def add(self, pod: Pod) -> None:
        """Take in a new pending pod."""
        uid = pod.metadata.uid
        if self._find(uid) is None and uid not in self._in_flight:
            queued = QueuedPod(pod, queued_at=self._clock())
            self._nominator.nominate(queued.info, pod.status.nominated_node_name)  # gated or not
            self._admit(queued, POD_ADD)

    def update(self, old: Pod, new: Pod) -> None:
        """Take note of a newer version of a pending pod, which may be what it was waiting for."""
        uid = new.metadata.uid
        event = pod_update(old, new)
        if (flying := self._in_flight.get(uid)) is not None:
            flying.renew(new)
            if self._nominator.node_of(uid):  # not so once it is assumed
                self._nominator.update(old, flying.info)
            self._in_flight.record(event, old, new, only=uid)
            return
        queued = self._find(uid)
        if queued is None:
            self.add(new)
            return
        queued.renew(new)
        self._nominator.update(old, queued.info)
        if uid in self._gated:
            self._admit(queued, event)
        elif self._unschedulable.get(uid) and self._helps(queued, event, old, new):
            self._unschedulable.remove(uid)
            self._requeue(queued, event, at_once=self._is_what_it_waits_for(queued, event, old, new))

    def delete(self, pod: Pod) -> None:
        """Forget a pod that is gone or has got its node."""
        uid = pod.metadata.uid
        self._nominator.drop(uid)
        self._waiting.end(uid)
        queued = (
            self._active.remove(uid)
            or self._gated.pop(uid, None)
            or self._unschedulable.remove(uid)
            or self._backoff.remove(uid)
            or self._error_backoff.remove(uid)
        )
        if queued is not None:
            self._blame(queued, frozenset())
        self._in_flight.end(uid)

    def places_of(self, uid: str) -> list[str]:
        """Where a pod is, in words: in one place, or in none where it is not pending."""
        return [place for place, get, _ in self._all() if get(uid) is not None]

    def places(self) -> list[tuple[str, QueuedPod]]:
        """Every pending pod with the place where it is."""
        return [(place, queued) for place, _, pods in self._all() for queued in pods]

    def _all(self) -> Iterator[tuple[str, Callable[[str], QueuedPod | None], Iterable[QueuedPod]]]:
        """The places, each with a way to find a pod by its UID, and all its pods."""
        yield "active", self._active.get, self._active
        yield "backoff", self._backoff.get, self._backoff
        yield "backoff after an error", self._error_backoff.get, self._error_backoff
        yield "unschedulable", self._unschedulable.get, self._unschedulable
        yield "gated", self._gated.get, self._gated.values()
        yield "in flight", self._in_flight.get, self._in_flight

    def asks_for(self) -> frozenset[EventResource]:
        """The resources whose events can help pods of some profile."""
        return self._hints.resources()

    def pop(self) -> QueuedPod | None:
        """Take the next pod, whose cycle begins with this; None when nothing waits.

        The pre-enqueue plugins are asked once more: a gate may have closed since the pod was let in.
        """
        queued = self._next()
        while queued is not None and not self._let_in(queued, FORCE_ACTIVATE):
            queued = self._next()
        if queued is None:
            return None
        queued.attempts += 1
        queued.popped_at = self._clock()
        self._blame(queued, frozenset())
        self._in_flight.begin(queued)
        return queued

    def is_gated(self, uid: str) -> bool:
        """Whether a pre-enqueue plugin keeps a pod out of the active queue."""
        return uid in self._gated

    def is_active(self, uid: str) -> bool:
        """Whether a pod is in the active queue."""
        return self._active.get(uid) is not None

    def is_in_flight(self, uid: str) -> bool:
        """Whether a pod was popped and is still wanted: neither gone, nor done, nor put back."""
        return uid in self._in_flight

    def settle(self, uid: str) -> None:
        """A popped pod has its place for certain, so that events are no longer kept for it.

        It stays in flight until it is done or put back.
        """
        self._in_flight.settle(uid)

    def done(self, uid: str) -> None:
        """A popped pod needs no further cycle: it is bound."""
        self._in_flight.end(uid)
        self._waiting.end(uid)

    def refuse(
        self, queued: QueuedPod, refused_by: frozenset[str], pending: frozenset[str] = frozenset()
    ) -> None:
        """Put back a popped pod that plugins refused; it is tried again when something helps.

        `pending` are those of the plugins that wait for something: when it comes, the back-off is skipped. A
        pod that was settled may have missed what helps, so it is tried again after a back-off.
        """
        if queued.uid not in self._in_flight:
            return
        missed = self._in_flight.end(queued.uid)
        if missed is None:
            self._back_off_from_error(queued)
            return
        queued.refused_by, queued.failures, queued.flushed = refused_by, 0, False
        queued.pending = pending
        queued.refusals += 1
        queued.retry_at = self._clock() + self._backoff_seconds(queued.refusals)
        self._blame(queued, refused_by)
        if any(self._helps(queued, *happened) for happened in missed):
            at_once = any(self._is_what_it_waits_for(queued, *happened) for happened in missed)
            self._requeue(queued, SCHEDULE_ATTEMPT_FAILURE, at_once=at_once)
            return
        queued.queued_at = self._clock()
        self._unschedulable.add(queued)
        self._count("unschedulable", SCHEDULE_ATTEMPT_FAILURE)

    def retry(self, queued: QueuedPod) -> None:
        """Put back a popped pod whose cycle ended in an error; it is tried again after a back-off."""
        if queued.uid in self._in_flight:
            self._in_flight.end(queued.uid)
            self._back_off_from_error(queued)

    def move(
        self, event: ClusterEvent, old: object, new: object, *, but: str = "", up_to: float = math.inf
    ) -> None:
        """Take note of an event of the cluster: pods that it may help are tried again.

        `but` is the UID of a pod that brought the event about itself, and is not helped by it; nor are pods
        of a priority above `up_to`.
        """
        self._in_flight.record(event, old, new)
        helped: dict[str, QueuedPod] = {}
        for scheduler_name, plugin, pods in self._unschedulable.by_plugin():
            for interest in self._hints.matching(scheduler_name, plugin, event):
                for uid, queued in pods.items():
                    if (
                        uid not in helped
                        and queued.pod.spec.priority <= up_to
                        and self._hints.agrees(interest, plugin, queued, event, old, new)
                    ):
                        helped[uid] = queued
        helped.pop(but, None)
        for uid, queued in helped.items():
            self._unschedulable.remove(uid)
            self._requeue(queued, event, at_once=self._is_what_it_waits_for(queued, event, old, new))

    def activate(self, uids: Iterable[str]) -> None:
        """Let pods into the active queue at once, if their pre-enqueue plugins do; back-off is skipped.

        One in flight is tried again should it come back refused.
        """
        for uid in uids:
            if uid in self._in_flight:
                self._in_flight.record(FORCE_ACTIVATE, None, None, only=uid)
            queued = (
                self._gated.get(uid)
                or self._unschedulable.remove(uid)
                or self._backoff.remove(uid)
                or self._error_backoff.remove(uid)
            )
            if queued is not None:
                self._admit(queued, FORCE_ACTIVATE)

    def regate(self, uids: Iterable[str]) -> None:
        """Ask the pre-enqueue plugins again about waiting pods: they may have changed their mind."""
        for uid in uids:
            queued = self._active.remove(uid)
            if queued is not None:
                self._admit(queued, FORCE_ACTIVATE)

    def ungate(self, uids: Iterable[str]) -> None:
        """Have gated pods tried again, after what is left of their back-off: what kept them out is over."""
        for uid in uids:
            queued = self._gated.pop(uid, None)
            if queued is not None:
                self._requeue(queued, FORCE_ACTIVATE)

    def flush(self) -> None:
        """Let in the pods whose back-off is over, and those that waited too long for an event.

        The pre-enqueue plugins are asked again about gated pods among these.
        """
        now = self._clock()
        for heap in (self._backoff, self._error_backoff):
            while heap and heap.first_key()[0] <= now:
                queued = heap.pop()
                if queued is not None:
                    self._admit(queued, BACKOFF_COMPLETE)
        if now - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = now
            gated = (queued for queued in self._gated.values() if queued.retry_at <= now)
            for queued in (
                *_left_over(self._unschedulable, now),
                *islice(_left_over(gated, now), MOST_ASKED_ABOUT),
            ):
                self._unschedulable.remove(queued.uid)
                queued.flushed, queued.flushed_at = True, now
                self._requeue(queued, UNSCHEDULABLE_TIMEOUT)

    def next_flush(self) -> float | None:
        """When there will be something to flush, in seconds of the clock; None when only events can help."""
        times = [heap.first_key()[0] for heap in (self._backoff, self._error_backoff) if heap]
        if self._unschedulable or self._gated:
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

    def _next(self) -> QueuedPod | None:
        queued = self._active.pop()
        if queued is None:
            queued = self._backoff.pop()
            if queued is not None:
                self._count("active", POP_FROM_BACKOFF)
        return queued

    def _let_in(self, queued: QueuedPod, event: ClusterEvent) -> bool:
        """Ask the pre-enqueue plugins. A pod that one refuses is gated, one that fails backs off."""
        was_gated = self._gated.pop(queued.uid, None) is not None
        try:
            queued.gated_by = self._gatekeeper(queued.info)
        except Exception:
            log.exception("A pre-enqueue plugin failed", pod=queued.pod.key)
            self._back_off_from_error(queued)
            return False
        if not queued.gated_by:
            return True
        self._gated[queued.uid] = queued
        queued.flushed = False
        self._waiting.end(queued.uid)
        self._blame(queued, queued.refused_by | {queued.gated_by})
        if not was_gated:
            self._count("gated", event)
        return False

    def _gatekeeper(self, info: PodInfo) -> str:
        """The pre-enqueue plugin that refuses a pod; empty for none."""
        name, clock, sampled = info.pod.spec.scheduler_name, self._clock, next(self._samples)
        gatekeeper, status, started = "", SUCCESS, clock()
        for plugin in self._profiles[name].pre_enqueue:
            asked = clock() if sampled else started
            status = plugin.pre_enqueue(info)
            if sampled:
                key = plugin.name, "PreEnqueue", status.code.label
                self._metrics.plugin_execution_duration_seconds[key].observe(clock() - asked)
            if not status.ok:
                gatekeeper = plugin.name
                break
        duration = self._metrics.framework_extension_point_duration_seconds
        duration["PreEnqueue", status.code.label, name].observe(clock() - started)
        return gatekeeper

    def _admit(self, queued: QueuedPod, event: ClusterEvent) -> None:
        """Put a pod into the active queue, or among the gated ones."""
        if not self._let_in(queued, event):
            return
        queued.queued_at = self._clock()
        if queued.entered_at is None:
            queued.entered_at = queued.queued_at
        self._waiting.begin(queued.pod.spec.scheduler_name, queued.uid)
        self._active.push(queued.uid, self._sort_key(queued), queued)
        self._count("active", event)
        self.wake()

    def _requeue(self, queued: QueuedPod, event: ClusterEvent, *, at_once: bool = False) -> None:
        """Put a refused pod that is worth another try into the active queue, or into back-off."""
        if at_once or queued.retry_at <= self._clock():
            self._admit(queued, event)
            return
        window_end = (math.floor(queued.retry_at / WINDOW_SECONDS) + 1) * WINDOW_SECONDS
        self._backoff.push(queued.uid, (window_end, *self._sort_key(queued)), queued)
        self._count("backoff", event)
        self.wake()

    def _back_off_from_error(self, queued: QueuedPod) -> None:
        queued.refused_by, queued.pending, queued.flushed = frozenset(), frozenset(), False
        queued.failures += 1
        queued.retry_at = self._clock() + self._backoff_seconds(queued.failures)
        self._waiting.begin(queued.pod.spec.scheduler_name, queued.uid)
        self._error_backoff.push(queued.uid, (queued.retry_at,), queued)
        self._count("backoff", SCHEDULE_ATTEMPT_FAILURE)
        self.wake()

    def _sort_key(self, queued: QueuedPod) -> tuple[int | float, ...]:
        sort = self._profiles[queued.pod.spec.scheduler_name].queue_sort
        return sort.sort_key(queued.info, queued.queued_at)

    def _helps(self, queued: QueuedPod, event: ClusterEvent, old: object, new: object) -> bool:
        """Whether an event may help a pod, in the eyes of any plugin that refused it."""
        return self._hints.helps(queued, queued.refused_by or (NOBODY,), event, old, new)

    def _is_what_it_waits_for(self, queued: QueuedPod, event: ClusterEvent, old: object, new: object) -> bool:
        """Whether a plugin that refused a pod as pending thinks that this is what it waited for."""
        if not queued.pending or event.resource is EventResource.WILDCARD:
            return False
        return self._hints.helps(queued, queued.pending, event, old, new)

    def _backoff_seconds(self, tries: int) -> float:
        return float(min(self._initial_backoff * 2 ** min(tries - 1, 32), self._max_backoff))

    def _count(self, place: str, event: ClusterEvent) -> None:
        self._metrics.queue_incoming_pods_total[place, event.label].inc()
        self._metrics.queue_incoming_entities_total[place, event.label, POD].inc()

    def _blame(self, queued: QueuedPod, plugins: frozenset[str]) -> None:
        """Count a pod for the plugins that keep it from its node, and no longer for earlier ones."""
        gauges, name = self._metrics.unschedulable_pods, queued.pod.spec.scheduler_name
        for plugin in queued.blamed - plugins:
            gauges[plugin, name].dec()
        for plugin in plugins - queued.blamed:
            gauges[plugin, name].inc()
        queued.blamed = plugins


def _left_over(pods: Iterable[QueuedPod], now: float) -> Iterator[QueuedPod]:
    """Those that have waited too long for an event."""
    return (each for each in pods if now - max(each.queued_at, each.flushed_at) > UNSCHEDULABLE_SECONDS)


def _nothing() -> None:
    """Do nothing."""
