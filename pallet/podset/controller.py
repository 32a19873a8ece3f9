"""The controller of pod sets: hears of pods, triggers, plans and nodes, and does what `decisions` says.

An event marks its set and wakes the controller: nothing is polled between a trigger's switch and the first
binding. A set is worked on by one task at a time, several sets at once. The task asks what is to be done,
does the first thing, and asks again, until the set is at rest or waits for a time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final

import anyio

from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.api.podset import SchedulePlan, ScheduleTrigger
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import node_update
from pallet.framework.handle import Recorder
from pallet.framework.profile import Profile
from pallet.framework.status import Status
from pallet.informers.informer import Handler
from pallet.logs import get_logger
from pallet.loop_budget import LoopBudget
from pallet.podset.api import Api
from pallet.podset.decisions import (
    Expire,
    MakePlan,
    Release,
    Step,
    TakeBack,
    TellMistake,
    TellUnused,
    Wait,
    decide,
    pending_since,
    switch_time,
)
from pallet.podset.events import Conditions, Explainer, tell, tell_unused
from pallet.podset.metrics import PodSetMetrics, state_of
from pallet.podset.model import Gate, Phase, PodSet
from pallet.podset.plan import is_behind
from pallet.podset.planning import PlannerFor, Planning
from pallet.podset.reconciler import Reconciler
from pallet.podset.reservations import Reservations
from pallet.podset.sets import PodSets, Touched
from pallet.podset.source import Naming, SetKey
from pallet.podset.states import (
    keep_out,
    leave_unmanaged,
    note_planner,
    phase_of,
    take_back,
    time_to_last_bind,
    unused_told,
)
from pallet.podset.termination import invalidation
from pallet.podset.workqueue import Workqueue
from pallet.podset.writes import Writer

log = get_logger(__name__)

_SETTLE: Final = timedelta(milliseconds=100)
"""How long news that nobody waits for may gather."""

_AT_ONCE: Final = 64
"""Sets worked on at the same time."""

PLANS_AT_ONCE: Final = 4
"""Sets planned at the same time: each takes a copy of the cluster, and knows nothing of the places that the
others are about to get. More than one, lest a planner that does not answer keep the others waiting."""

_ROUNDS: Final = 100
"""Steps done for a set before others have their turn."""

_LONGEST_SLEEP: Final = 60.0
"""Seconds after which the time is looked at again: the clock may have been set meanwhile."""


class PodSetController:
    """Opens and closes the gates of pod sets, and keeps their triggers and plans.

    profiles: by scheduler name; may be filled after this object is made, for their plugins ask it
    activate: takes the UIDs of pods whose gate has opened, in the order in which they are to be bound
    regate: takes the UIDs of pods whose gate has closed
    released: takes a pod whose reserved room others may use again
    reservation_timeout: how long room stays reserved for a set that does not advance
    now: the API server's time
    """

    def __init__(
        self,
        *,
        naming: Naming,
        cache: Cache,
        api: Api,
        profiles: Mapping[str, Profile],
        planner_for: PlannerFor,
        activate: Callable[[Iterable[str]], object],
        regate: Callable[[Iterable[str]], object],
        released: Callable[[Pod], object],
        conditions: Conditions,
        recorder: Recorder,
        metrics: PodSetMetrics,
        now: Callable[[], datetime],
        rng: Random,
        budget: LoopBudget,
        reservation_timeout: timedelta,
    ) -> None:
        self.sets = PodSets(naming)
        self._activate = activate
        self._regate = regate
        self._metrics = metrics
        self._now = now
        self._budget = budget
        self._recorder = recorder
        self._reservation_timeout = reservation_timeout
        self._reservations = Reservations(cache, profiles, self.look_at, released, metrics, now)
        self._planning = Planning(cache, profiles, planner_for, budget, regate, recorder, metrics, now, rng)
        self._writer = Writer(api, self.sets, recorder, metrics, now)
        self._explainer = Explainer(conditions, recorder)
        self._reconciler = Reconciler(self._reservations, budget, self._explainer, activate, regate)
        self._workqueue: Workqueue[SetKey] = Workqueue()
        self._wake = anyio.Event()
        self._slots = anyio.Semaphore(_AT_ONCE)
        self._planners = anyio.Semaphore(PLANS_AT_ONCE, fast_acquire=True)
        self._in_charge = False

    def pod_handler(self) -> Handler[Pod]:
        """What the informer of all pods is to call."""
        return Handler(self._put_pod, lambda old, new: self._put_pod(new, old), self._drop_pod)

    def trigger_handler(self) -> Handler[ScheduleTrigger]:
        """What the informer of triggers is to call."""

        def put(trigger: ScheduleTrigger) -> None:
            self._touch(self.sets.put_trigger(trigger, self._now()))

        return Handler(
            put, lambda _, new: put(new), lambda trigger: self._touch(self.sets.drop_trigger(trigger))
        )

    def plan_handler(self) -> Handler[SchedulePlan]:
        """What the informer of plans is to call."""

        def put(plan: SchedulePlan) -> None:
            self._touch(self.sets.put_plan(plan))

        return Handler(put, lambda _, new: put(new), lambda plan: self._touch(self.sets.drop_plan(plan)))

    def node_handler(self) -> Handler[Node]:
        """What the informer of nodes is to call, after the cache's own handler."""
        return Handler(lambda _: self._cluster_changed(), self._update_node, self._drop_node)

    async def restore(self) -> None:
        """Begin where the stored plans say, with room reserved for every planned pod that is not bound.

        To be called when the informers have synced, before the first pod is scheduled and before `run`.
        """
        self._in_charge = True
        self.sets.restore()
        for pod_set in self.sets:
            if pod_set.let_go:
                await self._reconciler.reserve(pod_set)
            self._touch({pod_set.key: True})

    async def run(self) -> None:
        """Look after the sets until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                now = self._now()
                for key in self._workqueue.take(now):
                    tasks.start_soon(self._look_after, key)
                self._wake = anyio.Event()
                due = self._workqueue.next()
                rest = _LONGEST_SLEEP if due is None else min((due - now).total_seconds(), _LONGEST_SLEEP)
                with anyio.move_on_after(rest):
                    await self._wake.wait()

    def verdict(self, pod: Pod) -> Gate:
        """Answer whether a pod may be scheduled now, and where to."""
        return self.sets.verdict(pod)

    def blocked(self, info: PodInfo, node: str, refusals: Sequence[Status]) -> str:
        """Take note that a pod's planned node was refused, and tell in words what will be done about it.

        Pods that are on their way out are waited for. For anything else the rest of the set is re-planned, or
        only this pod where the plan is manual.
        """
        if self._reservations.waits(info, node):
            return f'waiting for pods to leave node "{node}", where this pod is planned'
        touched = self.sets.invalidate(info.uid, invalidation(info.pod, node, refusals))
        self._touch(touched)
        manual = any(pod_set.manual for pod_set in map(self.sets.get, touched) if pod_set)
        planned = "another is planned for this pod" if manual else "the pod set is re-planned"
        return f'planned node "{node}" does not fit any more, {planned}'

    def begin(self, pod: Pod) -> None:
        """Record that the binding of a planned pod begins: what its set has reserved is firm."""
        self.sets.note_start(pod)

    def look_at(self, pod: Pod) -> None:
        """Look at a pod's set again soon: its binding did not come about."""
        key = self.sets.key_of(pod)
        if key is not None:
            self._touch({key: True})

    def _put_pod(self, pod: Pod, old: Pod | None = None) -> None:
        self._note_stray(pod)
        self._touch(self.sets.put_pod(pod, self._now(), old))
        moved = old is not None and self.sets.key_of(old) != self.sets.key_of(pod)
        if moved or pod.finished or pod.terminating:
            self._let_go_of(pod)
        if moved and not pod.spec.node_name:
            self._activate([pod.metadata.uid])
        if pod.finished and old is not None and not old.finished:
            self._cluster_changed()

    def _note_stray(self, pod: Pod) -> None:
        """Count a pod that somebody bound elsewhere.

        Not while another replica is in charge: its plans may be heard of after its bindings.
        """
        planned = self.sets.strays_from(pod)
        if planned and self._in_charge:
            self._metrics.bound_off_plan_total.inc()
            log.warning("Bound off plan", pod=pod.key, node=pod.spec.node_name, planned=planned)

    def _drop_pod(self, pod: Pod) -> None:
        self._touch(self.sets.drop_pod(pod))
        self._let_go_of(pod)
        if pod.spec.node_name:
            self._cluster_changed()

    def _let_go_of(self, pod: Pod) -> None:
        self._reservations.release(pod, "withdrawn")
        self._explainer.forget(pod)

    def _update_node(self, old: Node, new: Node) -> None:
        if node_update(old, new) is not None:
            self._cluster_changed()

    def _drop_node(self, node: Node) -> None:
        name = node.metadata.name
        planned = (
            pod_set.key
            for pod_set in self.sets
            if any(member.rank and member.node == name for member in pod_set.members.values())
        )
        self._touch(dict.fromkeys(planned, True))

    def _cluster_changed(self) -> None:
        self._touch(self.sets.note_change())

    def _touch(self, touched: Touched) -> None:
        if touched:
            now = self._now()
            for key, urgent in touched.items():
                self._workqueue.add(key, now if urgent else now + _SETTLE)
                self._close(self.sets.get(key))
            self._wake.set()

    def _close(self, pod_set: PodSet | None) -> None:
        """Close the gates that a trigger has just closed before the next pod is taken from the queue."""
        if pod_set is not None and pod_set.let_in and not pod_set.let_go:
            self._regate(keep_out(pod_set, pod_set.members))

    async def _look_after(self, key: SetKey) -> None:
        """Do what is to be done about one set. An error that nobody foresaw delays this set alone."""
        try:
            async with self._slots:
                await self._settle(key)
        except Exception:
            log.exception("Cannot go on with a pod set, trying again later", pod_set=key)
            self._workqueue.add(key, self._now() + timedelta(seconds=_LONGEST_SLEEP))
        finally:
            self._workqueue.done(key)
            self._wake.set()

    async def _settle(self, key: SetKey) -> None:
        for _ in range(_ROUNDS):
            pod_set = self.sets.get(key)
            if pod_set is None or self.sets.forget_if_empty(key):
                self._planning.forget(key)
                self._writer.forget(key)
                self._metrics.forget(key)
                return
            note_planner(pod_set, exists=self._planning.planner_for(key) is not None)
            await self._reconciler.follow(pod_set)
            if self._budget.exhausted:
                await self._budget.pause()
            self._measure(pod_set)
            step = self._first(pod_set)
            if step is None:
                return
            await self._do(pod_set, step)
        self._workqueue.add(key, self._now() + _SETTLE)

    def _measure(self, pod_set: PodSet) -> None:
        self._metrics.overdue.note(pod_set.key, switch_time(pod_set))
        self._metrics.pending.note(pod_set.key, pending_since(pod_set))
        self._metrics.plan_behind.keep(pod_set.key, late=is_behind(pod_set))
        self._metrics.set_state(pod_set.key, state_of(pod_set))
        if phase_of(pod_set) is Phase.BOUND:
            took = time_to_last_bind(pod_set)
            if took is not None:
                self._metrics.trigger_to_last_bind_seconds.observe(took.total_seconds())

    def _first(self, pod_set: PodSet) -> Step | None:
        """The first step that can be done now; None when all that is left waits for a time."""
        times = []
        for step in decide(pod_set, self._now(), self._reservation_timeout):
            until = step.until if isinstance(step, Wait) else self._writer.held_until(pod_set.key, step)
            if until is None:
                return step
            times.append(until)
        if times:
            self._workqueue.add(pod_set.key, min(times))
        return None

    async def _do(self, pod_set: PodSet, step: Step) -> None:
        match step:
            case TakeBack(uids):
                take_back(pod_set, uids)
            case Release(uids):
                leave_unmanaged(pod_set, uids)
            case Expire():
                replan_at = self._planning.next_replan(pod_set.key)
                words = self._reservations.expire(pod_set, self._reservation_timeout, replan_at)
                tell(self._recorder, pod_set, "ReservationExpired", words)
            case TellUnused():
                tell_unused(self._recorder, pod_set)
                unused_told(pod_set)
            case TellMistake(mistake):
                pod_set.written.mistake = mistake
                if mistake:
                    tell(self._recorder, pod_set, "InvalidQuietTime", mistake)
            case MakePlan(uids, anew):
                async with self._planners:
                    await self._planning.plan(pod_set, uids, anew=anew)
                    await self._reconciler.reserve(pod_set)
            case Wait():
                pass
            case _:
                await self._writer.write(pod_set, step)
