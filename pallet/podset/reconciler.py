"""The reconciler of pod sets: does what `decisions` says, and makes cache, queue and conditions follow.

A set is worked on by one task at a time, several sets at once. The task asks what is to be done, does the
first thing, and asks again, until the set is at rest or waits for a time.

Large sets are gone through in slices. During a pause anything may change: each member is taken as it is at
that moment, and whatever changed after that has marked the set, so that it is looked at again.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import anyio

from pallet.framework.handle import Recorder
from pallet.logs import get_logger
from pallet.loop_budget import LoopBudget
from pallet.podset.decisions import (
    Expire,
    LeaveUnmanaged,
    MakePlan,
    Step,
    TakeBack,
    TellMistake,
    TellUnused,
    Wait,
    decide,
    pending_since,
    switch_time,
)
from pallet.podset.events import Explainer, tell, tell_unused
from pallet.podset.member import UNMANAGED, Member
from pallet.podset.metrics import PodSetMetrics, state_of
from pallet.podset.model import Phase, PodSet
from pallet.podset.plan import is_behind
from pallet.podset.planning import Planning
from pallet.podset.queue import Queue
from pallet.podset.reservations import Reservations
from pallet.podset.sets import PodSets
from pallet.podset.source import SetKey
from pallet.podset.states import (
    keep_out,
    let_in,
    note_planner,
    phase_of,
    start,
    take_back,
    unused_told,
)
from pallet.podset.workqueue import SETTLE, Workqueue
from pallet.podset.writes import Writer

log = get_logger(__name__)

_AT_ONCE: Final = 64
"""Sets worked on at the same time."""

PLANS_AT_ONCE: Final = 4
"""Sets planned at the same time: each takes a fork of the cluster, and knows nothing of the places that the
others are about to get. More than one, so that a planner that does not answer does not stop the others."""

_ROUNDS: Final = 100
"""Steps done for a set before others have their turn."""

_AFTER_ERROR: Final = timedelta(minutes=1)
"""When a set is looked at again that could not be gone on with."""


class Reconciler:
    """Works on the sets that are due.

    reservation_timeout: how long room stays reserved for a set that does not advance
    now: the API server's time
    """

    def __init__(
        self,
        *,
        sets: PodSets,
        workqueue: Workqueue[SetKey],
        queue: Queue,
        reservations: Reservations,
        planning: Planning,
        writer: Writer,
        explainer: Explainer,
        recorder: Recorder,
        metrics: PodSetMetrics,
        now: Callable[[], datetime],
        budget: LoopBudget,
        reservation_timeout: timedelta,
    ) -> None:
        self._sets = sets
        self._workqueue = workqueue
        self._queue = queue
        self._reservations = reservations
        self._planning = planning
        self._writer = writer
        self._explainer = explainer
        self._recorder = recorder
        self._metrics = metrics
        self._now = now
        self._budget = budget
        self._reservation_timeout = reservation_timeout
        self._slots = anyio.Semaphore(_AT_ONCE)
        self._planners = anyio.Semaphore(PLANS_AT_ONCE, fast_acquire=True)

    async def run(self) -> None:
        """Look after the sets until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                for key in self._workqueue.take():
                    tasks.start_soon(self._look_after, key)
                await self._workqueue.wait()

    async def reserve(self, pod_set: PodSet) -> None:
        """Reserve what the plan says, and nothing else."""
        for uid in pod_set.members.in_order():
            if self._budget.exhausted:
                await self._budget.pause()
            await self._reserve(pod_set, uid)

    async def follow(self, pod_set: PodSet) -> None:
        """Reserve what the plan says, close gates and tell why, then open those that may be opened."""
        opening: list[Member] = []
        for uid in pod_set.members.in_order():
            if self._budget.exhausted:
                await self._budget.pause()
            member = await self._reserve(pod_set, uid)
            if member is not None and self._may_open(pod_set, member):
                opening.append(member)
        opening.sort(key=lambda member: (-member.pod.spec.priority, member.rank))
        for member in opening:
            if self._budget.exhausted:
                await self._budget.pause()
            self._open(pod_set, member.uid)

    async def _reserve(self, pod_set: PodSet, uid: str) -> Member | None:
        """Reserve for a member, and give it if it waits."""
        if uid in pod_set.members:
            await self._reservations.count(pod_set, pod_set.members[uid], self._budget)
        if uid not in pod_set.members:
            return None
        self._reservations.note_binding(pod_set, uid)
        if not pod_set.members[uid].waits:
            start(pod_set)
            return None
        self._reservations.keep(pod_set, pod_set.members[uid])
        return pod_set.members[uid]

    def _may_open(self, pod_set: PodSet, member: Member) -> bool:
        """Whether the gate of a waiting member has opened. If it is closed, tell the member why it waits, and
        the queue where it has just been closed."""
        gate = pod_set.gate_of(member.uid)
        if gate.open:
            return member.uid not in pod_set.let_in
        self._explainer.explain(member.pod, gate)
        if out := keep_out(pod_set, (member.uid,)):
            self._queue.regate(out)
        return False

    def _open(self, pod_set: PodSet, uid: str) -> None:
        """Let a member into the queue, if its gate is still open."""
        member = pod_set.members.get(uid)
        if member is not None and member.waits and pod_set.gate_of(uid).open:
            self._explainer.forget(member.pod)
            let_in(pod_set, uid)
            self._queue.activate((uid,))

    async def _look_after(self, key: SetKey) -> None:
        """Do what is to be done about one set. An unforeseen error delays this set alone."""
        try:
            async with self._slots:
                await self._settle(key)
        except Exception:
            log.exception("Cannot go on with a pod set, trying again later", pod_set=key)
            self._workqueue.add(key, self._now() + _AFTER_ERROR)
        finally:
            self._workqueue.done(key)

    async def _settle(self, key: SetKey) -> None:
        for _ in range(_ROUNDS):
            pod_set = self._sets.get(key)
            if pod_set is None or self._sets.forget_if_empty(key):
                self._planning.forget(key)
                self._writer.forget(key)
                self._metrics.forget(key)
                return
            note_planner(pod_set, exists=self._planning.planner_for(key) is not None)
            await self.follow(pod_set)
            if self._budget.exhausted:
                await self._budget.pause()
            self._measure(pod_set)
            step = self._first(pod_set)
            if step is None:
                return
            await self._do(pod_set, step)
            await self._budget.pause()  # an answer of the API can be as large as the set
        self._workqueue.add(key, self._now() + SETTLE)

    def _measure(self, pod_set: PodSet) -> None:
        self._metrics.overdue.note(pod_set.key, switch_time(pod_set))
        self._metrics.pending.note(pod_set.key, pending_since(pod_set))
        self._metrics.plan_behind.keep(pod_set.key, late=is_behind(pod_set))
        self._metrics.set_state(pod_set.key, state_of(pod_set))
        if phase_of(pod_set) is Phase.BOUND:
            took = pod_set.since_switch.to_last_bind()
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
            case LeaveUnmanaged(uids):
                take_back(pod_set, uids, UNMANAGED)
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
            case MakePlan(uids, replan):
                async with self._planners:
                    await self._planning.plan(pod_set, uids, replan=replan)
                    await self.reserve(pod_set)
            case Wait():
                pass
            case _:
                await self._writer.write(pod_set, step)
