"""Timing plugins from outside, with a clock that is turned by hand."""

from itertools import count

from pallet.framework.instruments import Instruments
from pallet.framework.metrics import Metrics
from pallet.framework.stopwatch import FILTER, SCORE, Stopwatch


def twice(number: int) -> int:
    return 2 * number


def test_each_call_is_counted_and_timed_and_a_cycle_adds_them_up() -> None:
    metrics = Metrics(Instruments())
    ticks = count()
    watch = Stopwatch(metrics, "web", lambda: float(next(ticks)))
    double = watch.timed(FILTER, "Doubles", twice)

    assert [double(1), double(2)] == [2, 4]
    watch.end_cycle("Success")

    assert metrics.plugin_evaluation_total["Doubles", FILTER, "web"].value == 2
    assert metrics.plugin_execution_duration_seconds["Doubles", FILTER, "Success"].sum == 2.0
    spent = metrics.framework_extension_point_duration_seconds
    assert (spent[FILTER, "Success", "web"].sum, spent[SCORE, "Success", "web"].sum) == (2.0, 0.0)


def test_the_next_cycle_begins_at_nothing() -> None:
    metrics = Metrics(Instruments())
    ticks = count()
    watch = Stopwatch(metrics, "web", lambda: float(next(ticks)))
    watch.timed(FILTER, "Doubles", twice)(1)
    watch.end_cycle("Success")
    watch.end_cycle("Unschedulable")
    assert metrics.framework_extension_point_duration_seconds[FILTER, "Unschedulable", "web"].sum == 0.0
