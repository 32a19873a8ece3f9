"""Asking the planner, and taking its answer."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Final

from pallet.cache.cache import Cache
from pallet.client import Backoff
from pallet.framework.handle import Recorder
from pallet.logs import get_logger
from pallet.loop_budget import LoopBudget
from pallet.planner.interface import Plan, Planner, PlannerError, Problem
from pallet.planner.problem import pod_infos, pose
from pallet.podset.events import tell
from pallet.podset.member import Invalidated
from pallet.podset.metrics import PodSetMetrics
from pallet.podset.model import Attempt, PodSet
from pallet.podset.plan import PLAN_LIMIT, places, plan_size
from pallet.podset.queue import Queue
from pallet.podset.source import SetKey
from pallet.podset.states import begin_replanning, end_replanning, note_attempt, take_plan
from pallet.runtime.profile import Profile

log = get_logger(__name__)

PlannerFor = Callable[[SetKey], Planner | None]
"""The planner of a set; None when no planner looks after it."""

_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 60.0
"""Seconds between two calls of a planner that failed, or could not place everything."""

_PART: Final = 500
"""So many members get their places before the loop budget is asked."""

_RESET_AFTER: Final = 600.0
"""Seconds without such a call after which the delays begin with the first again: far longer than it takes for
reservations to expire."""


class Planning:
    """Makes the plans of sets. `profiles` are by scheduler name."""

    def __init__(
        self,
        cache: Cache,
        profiles: Mapping[str, Profile],
        planner_for: PlannerFor,
        budget: LoopBudget,
        queue: Queue,
        recorder: Recorder,
        metrics: PodSetMetrics,
        now: Callable[[], datetime],
        rng: Random,
    ) -> None:
        self.planner_for = planner_for
        self._cache = cache
        self._profiles = profiles
        self._budget = budget
        self._queue = queue
        self._recorder = recorder
        self._metrics = metrics
        self._now = now
        self._rng = rng
        self._tries: dict[SetKey, Backoff] = {}
        self._replans: dict[SetKey, Backoff] = {}

    def forget(self, key: SetKey) -> None:
        """Drop what is kept of a set that is gone."""
        self._tries.pop(key, None)
        self._replans.pop(key, None)

    async def plan(self, pod_set: PodSet, uids: Collection[str], *, replan: bool) -> None:
        """Have members planned. Those that are re-planned are held back until there is an answer.

        A planner that fails leaves every place as it was; the set's `attempt` says so. Nothing is done where
        the set has changed too much since this was decided.
        """
        if self._budget.exhausted:
            await self._budget.pause()
        planner = self.planner_for(pod_set.key)
        if planner is None or not _still_needed(pod_set, uids, replan=replan):
            return
        if replan:
            self._begin_replanning(pod_set, uids)
        try:
            problem = await self._problem(pod_set, uids)
            with problem.snapshot:
                plan = await planner.plan(problem)
            if self._budget.exhausted:
                await self._budget.pause()
        except PlannerError as error:
            self._fail(pod_set, str(error))
        except Exception as error:
            log.exception("A planner broke", planner=planner.name, pod_set=pod_set.key)
            self._fail(pod_set, f"planner {planner.name} broke: {error}")
        else:
            await self._take(pod_set, frozenset(uids), plan)
        finally:
            end_replanning(pod_set)

    def next_replan(self, key: SetKey) -> datetime:
        """When a set is to be re-planned, and not before: after a delay, which grows each time."""
        return self._later(self._replans, key)

    def _begin_replanning(self, pod_set: PodSet, uids: Collection[str]) -> None:
        places = (pod_set.members[uid].placed for uid in pod_set.invalidated if uid in uids)
        why = next(place.why for place in places if isinstance(place, Invalidated))
        begin_replanning(pod_set, uids, self.next_replan(pod_set.key))
        self._queue.regate(uids)
        self._metrics.replans_total[why.cause].inc()
        tell(self._recorder, pod_set, "Replanned", f"{why.reason}; {len(uids)} pods are re-planned")

    async def _problem(self, pod_set: PodSet, uids: Iterable[str]) -> Problem:
        _, namespace, name = pod_set.key
        infos = await pod_infos([pod_set.members[uid].pod for uid in uids], self._budget)
        return pose(self._cache, self._profiles, namespace, name, infos, seed=self._rng.getrandbits(32))

    async def _take(self, pod_set: PodSet, uids: frozenset[str], plan: Plan) -> None:
        """Give the members their places in slices, as far as they still wait for one."""
        members = pod_set.members
        waiting = {members[uid].name: uid for uid in members.waiting() if uid in uids}
        assignments = {waiting[pod]: node for pod, node in plan.assignments.items() if pod in waiting}
        refused = {
            uid: plan.refused.get(pod, f"planner {plan.planner} left this pod out of its answer")
            for pod, uid in waiting.items()
            if uid not in assignments
        }
        if not _fits(pod_set, assignments):
            reason = (
                f"the plan would be larger than an object may be ({PLAN_LIMIT} bytes); use smaller pod sets"
            )
            refused |= dict.fromkeys(assignments, reason)
            assignments = {}
        attempt = None
        if refused:
            attempt = Attempt(self._now(), self._later(self._tries, pod_set.key))
        else:
            self._tries.pop(pod_set.key, None)
        places = list(assignments.items())
        for start in range(0, len(places), _PART):
            part = dict(places[start : start + _PART])
            take_plan(pod_set, part, {}, planner=plan.planner, attempt=attempt)
            if self._budget.exhausted:
                await self._budget.pause()
        take_plan(pod_set, {}, refused, planner=plan.planner, attempt=attempt)

    def _fail(self, pod_set: PodSet, error: str) -> None:
        if pod_set.attempt is None or pod_set.attempt.error != error:
            tell(self._recorder, pod_set, "PlannerFailed", error)
        note_attempt(pod_set, Attempt(self._now(), self._later(self._tries, pod_set.key), error))

    def _later(self, backoffs: dict[SetKey, Backoff], key: SetKey) -> datetime:
        now = self._now()
        backoff = backoffs.setdefault(
            key, Backoff(_FIRST_DELAY, _LONGEST_DELAY, jitter=0.5, reset_after=_RESET_AFTER)
        )
        return now + timedelta(seconds=backoff.delay(now.timestamp()))


def _still_needed(pod_set: PodSet, uids: Collection[str], *, replan: bool) -> bool:
    """Whether these members are there and may go, and have no place, or the place of one is invalidated."""
    members = pod_set.members
    if not pod_set.let_go or not all(uid in members for uid in uids):
        return False
    if replan:
        return any(uid in pod_set.invalidated for uid in uids)
    return not any(members[uid].rank for uid in uids)


def _fits(pod_set: PodSet, assignments: Mapping[str, str]) -> bool:
    """Whether the plan with these places, by UID, stays below the size an object may have."""
    added = {pod_set.members[uid].name: node for uid, node in assignments.items()}
    return plan_size({**places(pod_set), **added}) <= PLAN_LIMIT
