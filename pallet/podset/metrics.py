"""The metrics of pod sets. Durations are in seconds."""

from collections.abc import Callable
from datetime import datetime
from heapq import nsmallest
from operator import itemgetter
from typing import Final, Literal, get_args

from pallet.framework.instruments import NO_LABELS, Instruments, exponential
from pallet.podset.model import Phase, PodSet
from pallet.podset.source import SetKey
from pallet.podset.states import phase_of

SetState = Literal["awaiting-trigger", "planning", "scheduling", "scheduled"]
"""The label `state` of podset_sets."""

FEW: Final = 20
"""So many sets get a series of their own."""

_FROM_1_MILLISECOND: Final = exponential(0.001, 2, 18)


class Lateness:
    """Since when each set is late with something, or from when on it will be."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._since: dict[SetKey, datetime] = {}

    def note(self, key: SetKey, since: datetime | None) -> None:
        """Take note of a set; with None it is not late, and will not be."""
        if since is None:
            self._since.pop(key, None)
        else:
            self._since[key] = since

    def keep(self, key: SetKey, *, late: bool) -> None:
        """Take note that a set is late as of now, if it was not before, or that it is not."""
        if late:
            self._since.setdefault(key, self._now())
        else:
            self._since.pop(key, None)

    def longest(self) -> float:
        """Seconds that the latest of all sets is late; 0 when none is."""
        since = min(self._since.values(), default=None)
        return 0.0 if since is None else max(0.0, (self._now() - since).total_seconds())

    def longest_few(self) -> dict[str, float]:
        """Seconds by set, of the FEW sets that are late for longest."""
        now, late = self._now(), nsmallest(FEW, self._since.items(), key=itemgetter(1))
        return {str(key): max(0.0, (now - since).total_seconds()) for key, since in late}


class PodSetMetrics:
    """What is counted and timed about sets; `now` is the API server's time."""

    def __init__(self, instruments: Instruments, now: Callable[[], datetime]) -> None:
        counter, gauge, histogram = instruments.counter, instruments.gauge, instruments.histogram
        self.sets = gauge(
            "podset_sets",
            "Pod sets, by state: awaiting-trigger (there is none), planning, scheduling or scheduled.",
            "state",
        )
        self.trigger_to_plan_seconds = histogram(
            "podset_trigger_to_plan_seconds",
            "Time from a trigger's switch to Schedule until the plan is stored.",
            bounds=_FROM_1_MILLISECOND,
        )[NO_LABELS]
        self.trigger_to_last_bind_seconds = histogram(
            "podset_trigger_to_last_bind_seconds",
            "Time from a trigger's switch to Schedule until the last pod of the set is bound.",
            bounds=_FROM_1_MILLISECOND,
        )[NO_LABELS]
        self.planner_calls_total = counter(
            "podset_planner_calls_total",
            "Calls of planners, by planner and result: success or error.",
            "planner",
            "result",
        )
        self.planner_call_seconds = histogram(
            "podset_planner_call_seconds",
            "Time of a planner's call.",
            "planner",
            bounds=_FROM_1_MILLISECOND,
        )
        self.replans_total = counter(
            "podset_replans_total",
            "Sets re-planned, by cause: the plugin that refused the planned node, NodeGone, or Expired.",
            "cause",
        )
        self.reserved_pods = gauge(
            "podset_reserved_pods",
            "Pods of sets for which room is reserved: they are planned, and their binding has not begun.",
        )[NO_LABELS]
        self.reservations_released_total = counter(
            "podset_reservations_released_total",
            "Reservations that ended before their pod was being bound, by cause: withdrawn (the plan or the "
            "trigger does not ask for it any more), refused (the node does not take the pod any more), "
            "outranked (a pod of a higher priority took room there) or expired (the set did not advance).",
            "cause",
        )
        self.bound_off_plan_total = counter(
            "podset_bound_off_plan_total",
            "Pods that were seen bound to another node than the one planned for them.",
        )[NO_LABELS]
        self.overdue = Lateness(now)
        gauge(
            "podset_trigger_overdue_seconds",
            "How long ago the quiet time ended of a trigger that still says Planning; the longest time.",
        )[NO_LABELS].follow(self.overdue.longest)
        self.plan_behind = Lateness(now)
        gauge(
            "podset_plan_behind_seconds",
            "How long a stored plan has not said where its pods are, or are to go; the longest time.",
        )[NO_LABELS].follow(self.plan_behind.longest)
        self.pending = Lateness(now)
        gauge(
            "podset_oldest_pending_seconds",
            "How long a pod of a set has been without a node since its trigger's switch, or since it joined "
            "later; the longest time.",
        )[NO_LABELS].follow(self.pending.longest)
        instruments.follow(
            "podset_pending_seconds",
            f"The same by set, of the {FEW} sets that have waited longest.",
            "pod_set",
            self.pending.longest_few,
        )
        self._states: dict[SetKey, SetState] = {}
        for state in get_args(SetState):
            self.sets[state].set(0)

    def planner_called(self, planner: str, result: str, seconds: float) -> None:
        """Count one call of a planner."""
        self.planner_calls_total[planner, result].inc()
        self.planner_call_seconds[planner].observe(seconds)

    def forget(self, key: SetKey) -> None:
        """Stop counting a set that is gone."""
        self.set_state(key, None)
        self.overdue.note(key, None)
        self.plan_behind.note(key, None)
        self.pending.note(key, None)

    def set_state(self, key: SetKey, state: SetState | None) -> None:
        """Count a set under its present state; None when it is gone."""
        before = self._states.pop(key, None)
        if before is not None:
            self.sets[before].dec()
        if state is not None:
            self._states[key] = state
            self.sets[state].inc()


def state_of(pod_set: PodSet) -> SetState:
    """How far a set has come, as podset_sets counts it."""
    match phase_of(pod_set):
        case Phase.HELD:
            return "awaiting-trigger" if pod_set.trigger is None else "planning"
        case Phase.BOUND | Phase.MEMBERS_MISSING:
            return "scheduled"
        case _:
            return "scheduling"
