"""Timing plugins from outside, with a clock that is turned by hand."""

from itertools import count, islice

import pytest

from pallet.framework.instruments import Histogram, Instruments
from pallet.framework.metrics import Metrics
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, SUCCESS, Status, unschedulable
from pallet.runtime.metrics_recorder import (
    FILTER,
    PRE_FILTER,
    PRE_SCORE,
    SCORE,
    UNRECORDED,
    PrometheusRecorder,
    samples,
)


class Scene:
    """A stopwatch whose clock goes on by a second whenever it is looked at."""

    def __init__(self) -> None:
        self.metrics = Metrics(Instruments())
        ticks = count()
        self.watch = PrometheusRecorder(self.metrics, "web", lambda: float(next(ticks)))

    def evaluations(self, point: str) -> float:
        return self.metrics.plugin_evaluation_total["Doubles", point, "web"].value

    def execution(self, point: str, status: str = "Success") -> Histogram:
        return self.metrics.plugin_execution_duration_seconds["Doubles", point, status]

    def seen(self) -> dict[tuple[str, str], tuple[int, float]]:
        """How often and how long each extension point took, by point and status."""
        durations = self.metrics.framework_extension_point_duration_seconds
        return {values[:2]: (each.count, each.sum) for values, each in durations.rows() if each.count}  # type: ignore[misc]  # three labels


def twice(_: CycleState, number: int) -> int:
    return 2 * number


def test_a_cycle_of_ten_is_sampled() -> None:
    assert [number for number, sampled in enumerate(islice(samples(), 30)) if sampled] == [0, 10, 20]


@pytest.mark.parametrize(("sampled", "seconds"), [(True, 2.0), (False, 0.0)])
def test_each_call_is_counted_and_the_plugin_timed_in_sampled_cycles(sampled: bool, seconds: float) -> None:  # noqa: FBT001 - a table's column
    scene, state = Scene(), CycleState(sampled=sampled)
    double = scene.watch.judged(FILTER, "Doubles", twice)

    assert [double(state, 1), double(state, 2)] == [2, 4]
    scene.watch.end_cycle(scored=True)

    assert scene.evaluations(FILTER) == 2
    assert scene.execution(FILTER).sum == seconds
    assert scene.seen() == {
        (FILTER, "Success"): (1, 2.0), (PRE_SCORE, "Success"): (1, 0.0), (SCORE, "Success"): (1, 0.0)
    }  # fmt: skip


def test_the_next_cycle_begins_at_nothing() -> None:
    scene = Scene()
    scene.watch.judged(SCORE, "Doubles", twice)(CycleState(), 1)
    scene.watch.end_cycle(scored=True)
    scene.watch.end_cycle(scored=True)
    assert scene.seen()[SCORE, "Success"] == (2, 1.0)


def test_a_cycle_without_scoring_is_none_of_score() -> None:
    scene = Scene()
    scene.watch.end_cycle(scored=False)
    assert scene.seen() == {(FILTER, "Success"): (1, 0.0)}


@pytest.mark.parametrize(
    ("status", "label"),
    [(SUCCESS, "Success"), (SKIP, "Skip"), (unschedulable("no"), "Unschedulable")],
)
def test_other_points_are_timed_by_what_the_plugin_answers(status: Status, label: str) -> None:
    scene = Scene()

    def pre_filter() -> tuple[None, Status]:
        return None, status

    def pre_score() -> Status:
        return status

    assert scene.watch.executed(PRE_FILTER, "Doubles", pre_filter)() == (None, status)
    assert scene.watch.executed(PRE_SCORE, "Doubles", pre_score)() is status
    assert [scene.execution(point, label).sum for point in (PRE_FILTER, PRE_SCORE)] == [1.0, 1.0]


def test_pre_filter_is_timed_with_its_status_and_pre_score_where_it_came_to_that() -> None:
    scene = Scene()
    for status in (SUCCESS, unschedulable("no")):
        scene.watch.begin()
        scene.watch.pre_filtered(status)
    scene.watch.begin()
    scene.watch.pre_scored()
    scene.watch.end_cycle(scored=True)
    assert scene.seen() == {
        (PRE_FILTER, "Success"): (1, 1.0), (PRE_FILTER, "Unschedulable"): (1, 1.0),
        (FILTER, "Success"): (1, 0.0), (PRE_SCORE, "Success"): (1, 1.0), (SCORE, "Success"): (1, 0.0),
    }  # fmt: skip


def test_unwatched_methods_stay_themselves() -> None:
    assert UNRECORDED.executed(PRE_FILTER, "Doubles", twice) is twice
    assert UNRECORDED.judged(FILTER, "Doubles", twice) is twice
