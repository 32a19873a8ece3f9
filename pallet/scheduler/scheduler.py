"""The loop: takes pods from the queue one by one, decides where each goes, and has it bound.

Between popping a pod and assuming its place nothing is awaited, so a decision sees one state of the cluster.
Binding cycles run beside the loop, at most MAX_BINDINGS of them.
"""

from collections.abc import Callable, Mapping
from random import Random

import anyio
import anyio.abc
import anyio.lowlevel

from pallet.api.pod import Pod
from pallet.cache.cache import Cache
from pallet.framework.evaluator import Choice, Evaluator
from pallet.framework.events import ASSIGNED_POD_DELETE
from pallet.framework.handle import Recorder
from pallet.framework.metrics import Metrics
from pallet.framework.profile import Profile
from pallet.framework.state import CycleState
from pallet.framework.status import Status, error
from pallet.framework.waiting import WaitingPods
from pallet.logs import get_logger
from pallet.scheduler import binding
from pallet.scheduler.binding import Assumed
from pallet.scheduler.conditions import SCHEDULER_ERROR, UNSCHEDULABLE, ConditionWriter
from pallet.scheduler.queue import SchedulingQueue
from pallet.scheduler.queued_pod import QueuedPod
from pallet.scheduler.recorder import pod_reference

log = get_logger(__name__)

MAX_BINDINGS = 256
SLICE_SECONDS = 0.005
"""How long decisions go on before the event loop's other work has its turn."""


class Scheduler:
    """Schedules the pods of all profiles."""

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        cache: Cache,
        queue: SchedulingQueue,
        waiting: WaitingPods,
        recorder: Recorder,
        conditions: ConditionWriter,
        metrics: Metrics,
        rng: Random,
        clock: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._waiting = waiting
        self._recorder = recorder
        self._conditions = conditions
        self._metrics = metrics
        self._clock = clock
        self._evaluators = {
            name: Evaluator(profile, cache.snapshot, rng) for name, profile in profiles.items()
        }
        self._bindings = 0
        self._stopping = False
        self._wake = anyio.Event()
        queue.wake = self._on_wake
        metrics.goroutines["binding"].follow(lambda: self._bindings)

    def stop(self) -> None:
        """Start nothing new; `run` returns when the bindings under way have ended."""
        self._stopping = True
        self._on_wake()

    async def run(self) -> None:
        """Schedule until stopped. When cancelled, bindings under way are given up where they stand."""
        async with anyio.create_task_group() as tasks:
            while not self._stopping:
                started = self._clock()
                while self._bindings < MAX_BINDINGS and self._clock() - started < SLICE_SECONDS:
                    queued = self._queue.pop()
                    if queued is None:
                        await self._idle()
                        break
                    assumed = self._cycle(queued)
                    if assumed is not None:
                        self._bindings += 1
                        tasks.start_soon(self._bind, queued, assumed)
                else:
                    await self._breathe()

    def _on_wake(self) -> None:
        self._wake.set()

    async def _idle(self) -> None:
        """Wait until there is a pod to pop, letting in those whose time has come."""
        due = self._queue.next_flush()
        timeout = None if due is None else max(0.0, due - self._clock())
        with anyio.move_on_after(timeout):
            await self._wake.wait()
        self._wake = anyio.Event()
        self._queue.flush()

    async def _breathe(self) -> None:
        """Let others run; when too many bindings are under way, wait until one ends."""
        if self._bindings < MAX_BINDINGS:
            await anyio.lowlevel.checkpoint()
            return
        self._wake = anyio.Event()
        await self._wake.wait()

    def _cycle(self, queued: QueuedPod) -> Assumed | None:
        """The scheduling cycle of one pod; what a plugin throws ends the cycle, not the process."""
        try:
            return self._place(queued)
        except Exception as failure:
            log.exception("A plugin failed", pod=queued.pod.key)
            self._cache.forget(queued.uid)
            self._fail(queued, repr(failure))
            return None

    def _place(self, queued: QueuedPod) -> Assumed | None:
        """Choose, assume, reserve, permit."""
        pod = queued.pod
        if pod.terminating:
            self._say(
                pod, "Warning", "FailedScheduling", "Scheduling", f"skip schedule deleting pod: {pod.key}"
            )
            self._queue.done(queued.uid)
            return None
        evaluator = self._evaluators[pod.spec.scheduler_name]
        state = CycleState()
        choice = self._choose(evaluator, state, queued)
        if choice.node is None:
            self._refuse(queued, state, evaluator.profile, choice)
            return None
        self._cache.assume(queued.info, choice.node)
        assumed = Assumed(evaluator.profile, state, pod, choice.node)
        status = binding.reserve(assumed)
        if status.ok:
            status = binding.permit(assumed, self._waiting)
        if not status.ok:
            self._give_up(queued, assumed, status)
            return None
        log.v(4, "Assumed pod", pod=pod.key, node=choice.node, score=choice.score, feasible=choice.feasible)
        return assumed

    def _choose(self, evaluator: Evaluator, state: CycleState, queued: QueuedPod) -> Choice:
        """Choose a node. The room that is kept for the pod itself is free to it, and kept on if it fails."""
        started = self._clock()
        kept = self._cache.unreserve(queued.uid)
        node = None
        try:
            choice = evaluator.choose(state, queued.info)
            node = choice.node
        finally:
            if node is None and kept is not None:
                self._cache.reserve(queued.info, kept)
        self._metrics.scheduling_algorithm_duration_seconds.observe(self._clock() - started)
        return choice

    async def _bind(self, queued: QueuedPod, assumed: Assumed) -> None:
        """The binding cycle of one pod."""
        pod = assumed.pod
        try:
            status = await binding.bind(assumed, self._waiting)
        except Exception as failure:
            log.exception("A plugin failed in the binding cycle", pod=pod.key, node=assumed.node)
            status = error(repr(failure))
        finally:
            self._bindings -= 1
            self._on_wake()
        if not status.ok:
            self._give_up(queued, assumed, status)
            return
        self._queue.done(queued.uid)
        self._conditions.forget(pod)
        for plugin in assumed.profile.post_bind:
            plugin.post_bind(assumed.state, pod, assumed.node)
        note = f"Successfully assigned {pod.key} to {assumed.node}"
        self._say(pod, "Normal", "Scheduled", "Binding", note)
        self._count(queued, assumed)
        log.v(2, "Bound pod", pod=pod.key, node=assumed.node, attempts=queued.attempts)

    def _refuse(self, queued: QueuedPod, state: CycleState, profile: Profile, choice: Choice) -> None:
        """No node is feasible: ask the post-filter plugins, say why, and wait for something to help."""
        details = []
        for plugin in profile.post_filter:
            _, status = plugin.post_filter(state, queued.info, choice.refusals)
            details += [reason for reason in status.reasons if reason]
        message = " ".join((choice.message, *details))
        self._report(queued, "unschedulable", UNSCHEDULABLE, message)
        self._queue.refuse(queued, frozenset(refused.status.plugin for refused in choice.refusals))

    def _give_up(self, queued: QueuedPod, assumed: Assumed, status: Status) -> None:
        """Undo an assumption: a plugin refused the pod at its place, or it certainly was not bound."""
        binding.unreserve(assumed)
        self._cache.forget(queued.uid)
        self._queue.move(ASSIGNED_POD_DELETE, assumed.pod, None)
        if status.rejected:
            self._report(queued, "unschedulable", UNSCHEDULABLE, status.message)
            self._queue.refuse(queued, frozenset((status.plugin,)))
        else:
            self._fail(queued, status.message)

    def _fail(self, queued: QueuedPod, message: str) -> None:
        """Something went wrong that is no fault of the pod: try again after a back-off."""
        log.error("Could not schedule pod", pod=queued.pod.key, error=message)
        self._report(queued, "error", SCHEDULER_ERROR, message)
        self._queue.retry(queued)

    def _report(self, queued: QueuedPod, result: str, reason: str, message: str) -> None:
        """Say on the pod, in the log and in the metrics why it was not scheduled."""
        pod = queued.pod
        self._say(pod, "Warning", "FailedScheduling", "Scheduling", message)
        self._conditions.set(pod, reason, message)
        self._metrics.schedule_attempts_total[result, pod.spec.scheduler_name].inc()
        log.v(2, "Unable to schedule pod", pod=pod.key, reason=message)

    def _say(self, pod: Pod, kind: str, reason: str, action: str, note: str) -> None:
        controller = pod.spec.scheduler_name
        self._recorder.event(
            pod_reference(pod), controller, kind=kind, reason=reason, action=action, note=note
        )

    def _count(self, queued: QueuedPod, assumed: Assumed) -> None:
        now = self._clock()
        metrics, profile = self._metrics, assumed.profile.scheduler_name
        metrics.schedule_attempts_total["scheduled", profile].inc()
        metrics.pod_scheduling_attempts.observe(queued.attempts)
        attempts = str(queued.attempts) if queued.attempts < 15 else "15+"
        metrics.pod_scheduling_sli_duration_seconds[attempts].observe(now - queued.added_at)
        if queued.flushed:
            metrics.pod_scheduled_after_flush_total.inc()
