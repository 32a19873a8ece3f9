"""The metrics of pod sets. Durations are in seconds."""

from typing import Final, get_args

from pallet.framework.instruments import NO_LABELS, Instruments, exponential
from pallet.podset.model import SetKey
from pallet.podset.status import Phase

_FROM_1_MILLISECOND: Final = exponential(0.001, 2, 18)


class PodSetMetrics:
    """What is counted and timed about sets."""

    def __init__(self, instruments: Instruments) -> None:
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
            "Sets planned anew, by cause: the plugin that refused the planned node, or NodeGone.",
            "cause",
        )
        self._phases: dict[SetKey, Phase] = {}
        for phase in get_args(Phase):
            self.sets[phase].set(0)

    def planner_called(self, planner: str, result: str, seconds: float) -> None:
        """Count one call of a planner."""
        self.planner_calls_total[planner, result].inc()
        self.planner_call_seconds[planner].observe(seconds)

    def set_phase(self, key: SetKey, phase: Phase | None) -> None:
        """Count a set under its present state; None when it is gone."""
        before = self._phases.pop(key, None)
        if before is not None:
            self.sets[before].dec()
        if phase is not None:
            self._phases[key] = phase
            self.sets[phase].inc()
