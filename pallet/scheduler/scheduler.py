"""The loop: takes pods from the queue one by one, decides where each goes, and has it bound.

Between popping a pod and assuming its place nothing is awaited, so a decision sees one state of the cluster.
Binding cycles run beside the loop, at most MAX_BINDINGS of them; pods that wait at Permit or PreBind do not
count.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from random import Random

import anyio
import anyio.abc
import numpy as np

from pallet.api.pod import Pod
from pallet.cache.cache import Cache, Hold
from pallet.cache.reservation import Reservation
from pallet.cache.snapshot import Fork
from pallet.client.errors import ApiError, Unreachable
from pallet.extenders.extender import ExtenderError
from pallet.extenders.extenders import Extenders
from pallet.framework.diagnosis import NodesToStatus, fit_message
from pallet.framework.events import ASSIGNED_POD_DELETE
from pallet.framework.extender_result import ExtenderResult
from pallet.framework.handle import Recorder
from pallet.framework.metrics import Metrics
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Code, PluginError, Status
from pallet.framework.waiting import WaitingPods
from pallet.informers.view import View
from pallet.logs import get_logger
from pallet.loop_budget import LoopBudget
from pallet.runtime.checked import Report
from pallet.runtime.evaluator import Choice, Evaluator
from pallet.runtime.metrics_recorder import POST_FILTER, PrometheusRecorder, samples
from pallet.runtime.post_filter import run_post_filters
from pallet.runtime.profile import Profile
from pallet.scheduler.binding import Assumed, BindingCycle
from pallet.scheduler.conditions import SCHEDULER_ERROR, UNSCHEDULABLE, ConditionWriter
from pallet.scheduler.lifting import some_of
from pallet.scheduler.outcomes import Outcomes, named, refusing
from pallet.scheduler.queue import SchedulingQueue
from pallet.scheduler.queued_pod import QueuedPod
from pallet.scheduler.score_log import log_scores
from pallet.scheduler.workers import Workers

log = get_logger(__name__)

MAX_BINDINGS = 256

SETTLE_SECONDS = 0.1
"""How long the loop waits for a settled view before it looks whether it has to end."""

_ONE_ROW = np.zeros(1, np.intp)


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
        budget: LoopBudget,
        extenders: Extenders | None = None,
        view: View | None = None,
        wrong: Report | None = None,
    ) -> None:
        self._view = view
        self._cache = cache
        self._queue = queue
        self._conditions = conditions
        self._rng = rng
        self._metrics = metrics
        self._clock = clock
        self._budget = budget
        self._recorders = {name: PrometheusRecorder(metrics, name) for name in profiles}
        self._evaluators = {
            name: Evaluator(profile, cache.snapshot, rng, self._recorders[name], wrong)
            for name, profile in profiles.items()
        }
        self._samples = samples()
        self._binding = BindingCycle(waiting, metrics, clock)
        self._outcomes = Outcomes(recorder, conditions, metrics, clock)
        self._extenders = extenders
        self._slots = anyio.Semaphore(MAX_BINDINGS, fast_acquire=True)
        self._cycles = 0
        self._stopping = False
        self._starved = False
        self._wake = anyio.Event()
        queue.wake = self._on_wake
        metrics.goroutines["binding"].follow(lambda: self._cycles)

    def stop(self) -> None:
        """Start nothing new; `run` returns when the bindings under way have ended."""
        self._stopping = True
        self._on_wake()

    async def run(self) -> None:
        """Schedule until stopped. When cancelled, bindings under way are given up where they stand."""
        async with anyio.create_task_group() as tasks:
            bindings = Workers(tasks, self._bind)
            while not self._stopping:
                self._queue.flush()
                while self._slots.value and not self._budget.exhausted:
                    if self._view is not None and self._view.is_in_doubt:
                        await self._settle(self._view)
                        break
                    queued = self._queue.pop()
                    if queued is None:
                        await self._idle()
                        break
                    if self._extenders and self._extenders.are_asked_about(queued.pod):
                        assumed = await self._cycle_with_extenders(queued, self._extenders)
                    else:
                        assumed = self._cycle(queued)
                    if assumed is not None:
                        self._slots.acquire_nowait()
                        bindings.start(assumed)
                else:
                    await self._breathe()
            bindings.end()

    def _on_wake(self) -> None:
        self._wake.set()

    async def _idle(self) -> None:
        """Wait until there is a pod to pop, or one whose time has come."""
        due = self._queue.next_flush()
        timeout = None if due is None else max(0.0, due - self._clock())
        with anyio.move_on_after(timeout):
            await self._wake.wait()
        self._wake = anyio.Event()

    async def _settle(self, view: View) -> None:
        """Wait until the view is in doubt no more, or for a moment: the loop may have to end."""
        with anyio.move_on_after(SETTLE_SECONDS):
            await view.settled()

    async def _breathe(self) -> None:
        """Let others run; when too many bindings are under way, wait until one ends."""
        if self._slots.value:
            await self._budget.pause()
            return
        self._wake, self._starved = anyio.Event(), True
        await self._wake.wait()
        self._starved = False

    def _free_slot(self) -> None:
        """A binding needs its slot no longer; the loop is woken where it waits for one."""
        self._slots.release()
        if self._starved:
            self._on_wake()

    async def _cycle_with_extenders(self, queued: QueuedPod, extenders: Extenders) -> Assumed | None:
        """The cycle of a pod that extenders want to be asked about; meanwhile no other cycle starts."""
        feasible = self._feasible(queued)
        extender_result = None
        try:
            if feasible:
                extender_result = await extenders.result(queued.pod, feasible)
        except (ExtenderError, ApiError, Unreachable) as failure:
            self._fail(queued, str(failure))
            return None
        if not self._queue.is_in_flight(queued.uid):
            return None  # it is gone, or has a node
        return self._cycle(queued, extender_result)

    def _feasible(self, queued: QueuedPod) -> list[str]:
        """The nodes that can take a pod now; none where that cannot be told, as its cycle will say."""
        own = self._cache.unreserve(queued.uid)
        evaluator = self._evaluators[queued.pod.spec.scheduler_name]
        try:
            nodes = evaluator.feasible(CycleState(), queued.info)
            if not nodes and (yielding := self._yielding(queued.pod)):
                with self._without(yielding) as fork:
                    nodes = evaluator.on(fork).feasible(CycleState(), queued.info)
        except Exception as failure:  # noqa: BLE001 - plugins may raise anything
            log.v(4, "Cannot tell which nodes are feasible", **named(queued.pod), error=failure)
            return []
        finally:
            if own is not None:
                self._cache.reserve(queued.info, own.node, own.owner)
        return nodes

    def _cycle(self, queued: QueuedPod, extender_result: ExtenderResult | None = None) -> Assumed | None:
        """The scheduling cycle of one pod: choose, assume, reserve, permit. None when it gets no place."""
        pod = queued.pod
        if pod.terminating:
            self._outcomes.skipped(pod)
            self._queue.done(queued.uid)
            return None
        if self._has_place(queued.uid):
            self._queue.done(queued.uid)
            return None
        try:
            assumed = self._place(queued, extender_result)
        except PluginError as failure:
            self._fail(queued, str(failure))
            return None
        except Exception as failure:
            log.exception("A plugin failed", **named(pod))
            self._fail(queued, repr(failure))
            return None
        if assumed is None:
            return None
        status = self._binding.reserve(assumed)
        if status.ok:
            status = self._binding.permit(assumed)
        if not status.ok and status.code is not Code.WAIT:
            self._give_up(assumed, status)
            return None
        if log.enabled(4):
            log.v(4, "Assumed pod", **named(pod), node=assumed.node)
        return assumed

    def _has_place(self, uid: str) -> bool:
        """Whether a pod is bound already, or about to be."""
        held = self._cache.location(uid)
        return held is not None and held.hold is not Hold.RESERVED

    def _place(self, queued: QueuedPod, extender_result: ExtenderResult | None) -> Assumed | None:
        """Choose a node and assume the pod there.

        The room that is reserved for the pod itself is free to it, and stays reserved if it fails. Where no
        node is left, it is decided again, and preempted, without reservations that do not count against its
        priority.
        """
        evaluator = self._evaluators[queued.pod.spec.scheduler_name]
        own = self._cache.unreserve(queued.uid)
        yielding: Sequence[Reservation] = ()
        node = None
        try:
            with ExitStack() as forks:
                state, choice = self._choose(evaluator, queued, extender_result)
                if choice.node is None and (yielding := self._yielding(queued.pod)):
                    evaluator = evaluator.on(forks.enter_context(self._without(yielding)))
                    state, choice = self._choose(evaluator, queued, extender_result)
                node = choice.node
                log_scores(evaluator, queued.info, choice)
                if node is None:
                    nominated, remedy = self._seek_remedy(evaluator, state, queued, choice)
        finally:
            if node is None and own is not None:
                self._cache.reserve(queued.info, own.node, own.owner)
        self._cache.outrank([each for each in yielding if each.node == node])
        if node is None:
            message = " ".join(filter(None, (choice.message, remedy)))
            self._report(queued, "unschedulable", UNSCHEDULABLE, message, nominated)
            if len(yielding) < len(self._cache.yielding(queued.pod.spec.priority)):
                self._queue.retry(queued)  # others are lifted then
            else:
                self._queue.refuse(queued, *refusing(refused.status for refused in choice.refusals))
            return None
        self._cache.assume(queued.info, node)
        self._cache.snapshot.nominator.drop(queued.uid)
        return Assumed(evaluator.profile, state, queued, queued.info, node, own)

    def _yielding(self, pod: Pod) -> Sequence[Reservation]:
        """Reservations that do not count against a pod's priority, as many as there is the time for."""
        return some_of(self._cache.yielding(pod.spec.priority), self._rng)

    def _without(self, reservations: Iterable[Reservation]) -> Fork:
        """The cluster as it is without some reservations."""
        fork = self._cache.snapshot.fork()
        for reservation in reservations:
            fork.remove_from(reservation.info, reservation.node)
        return fork

    def _choose(
        self, evaluator: Evaluator, queued: QueuedPod, extender_result: ExtenderResult | None
    ) -> tuple[CycleState, Choice]:
        state = CycleState(sampled=next(self._samples))
        started = self._clock()
        choice = evaluator.choose(state, queued.info, extender_result=extender_result)
        self._metrics.scheduling_algorithm_duration_seconds.observe(self._clock() - started)
        self._recorders[evaluator.profile.scheduler_name].end_cycle(scored=choice.feasible > 1)
        return state, choice

    async def _bind(self, assumed: Assumed) -> None:
        """The binding cycle of one pod, which begins with a slot. One that has to wait gives it to others."""
        self._cycles += 1
        try:
            status, preparers = SUCCESS, self._binding.preparers(assumed)
            waits = self._binding.is_waiting(assumed)
            if waits or preparers:
                # It may take long, and a cluster autoscaler wants to know where the pod will go.
                self._conditions.nominate(assumed.pod, assumed.node)
            if waits:
                status = await self._beside(self._binding.permission(assumed))
            if status.ok:
                self._queue.settle(assumed.queued.uid)
                if preparers:
                    status = await self._beside(self._binding.pre_bind(assumed, preparers))
            if status.ok:
                status = await self._binding.bind(assumed)
        finally:
            self._cycles -= 1
            self._free_slot()
        if status.ok:
            self._queue.done(assumed.queued.uid)
            note = self._binding.scheduled_note(assumed)
            self._outcomes.bound(assumed.queued, assumed.pod, assumed.node, note)
            self._binding.post_bind(assumed)
        else:
            self._give_up(assumed, status)

    async def _beside(self, wait: Awaitable[Status]) -> Status:
        """Wait for what may take minutes, and let another pod have the slot meanwhile."""
        self._free_slot()
        status = await wait
        await self._slots.acquire()
        return status

    def _seek_remedy(
        self, evaluator: Evaluator, state: CycleState, queued: QueuedPod, choice: Choice
    ) -> tuple[str | None, str]:
        """No node is feasible: ask the post-filter plugins for a node to nominate, and what they have to say.

        The name is empty where an earlier nomination is to be taken back, None where it stands. Without any
        nodes nobody refused, and so there is nothing to be done about it.
        """
        profile = evaluator.profile
        if not choice.refusals or not profile.post_filter:
            return "", ""
        started = self._clock()
        nominated, status = run_post_filters(
            profile,
            state,
            queued.info,
            evaluator.snapshot,
            choice.refusals,
            evaluator.row_filters,
            self._recorders[profile.scheduler_name],
        )
        key = POST_FILTER, status.code.label, profile.scheduler_name
        self._metrics.framework_extension_point_duration_seconds[key].observe(self._clock() - started)
        if status.ok:
            log.v(2, "Nominated a node", **named(queued.pod), node=nominated)
        return nominated, status.message

    def _give_up(self, assumed: Assumed, status: Status) -> None:
        """Undo an assumption: a plugin refused the pod at its place, or it certainly was not bound."""
        queued = assumed.queued
        self._binding.unreserve(assumed)
        self._cache.forget(queued.uid)
        if assumed.reserved is not None and self._queue.is_in_flight(queued.uid):
            self._cache.reserve(queued.info, assumed.reserved.node, assumed.reserved.owner)
        if status.rejected:
            message = fit_message(1, [NodesToStatus(status, _ONE_ROW)])
            self._report(queued, "unschedulable", UNSCHEDULABLE, message)
            self._queue.refuse(queued, *refusing([status]))
        else:
            self._fail(queued, status.message)
        self._queue.move(ASSIGNED_POD_DELETE, assumed.pod, None, but=queued.uid)

    def _fail(self, queued: QueuedPod, message: str) -> None:
        """Something went wrong that is no fault of the pod: try again after a back-off."""
        log.error("Could not schedule pod", **named(queued.pod), error=message)
        self._report(queued, "error", SCHEDULER_ERROR, message)
        self._queue.retry(queued)

    def _report(
        self, queued: QueuedPod, result: str, reason: str, message: str, nominated: str | None = ""
    ) -> None:
        """Say why a pod was not scheduled, and nominate its node (see `Outcomes.unscheduled`).

        Nothing is said on a pod that is gone meanwhile, or that another scheduler gave a node.
        """
        self._outcomes.count(queued, result)
        log.v(2, "Unable to schedule pod", **named(queued.pod), reason=message)
        if self._queue.is_in_flight(queued.uid):
            nominator = self._cache.snapshot.nominator
            self._outcomes.unscheduled(queued, reason, message, nominator, nominated)
