from typing import Any

import msgspec
import pytest

from pallet.api.podset import Condition, ScheduleTriggerStatus
from pallet.podset.member import UNMANAGED
from pallet.podset.metrics import SetState, state_of
from pallet.podset.model import Attempt, PodSet
from pallet.podset.states import note_attempt, note_planner, put_plan, put_trigger, take_back
from pallet.podset.status import conflict_status, is_news, status_of
from pallet.podset.triggers import quiet_of
from tests.builders import at, make_plan, make_pod, make_trigger
from tests.podset.sets_of import answer, set_of

GO = make_trigger(state="Schedule")


def status(pod_set: PodSet, now: float = 0) -> ScheduleTriggerStatus:
    trigger = pod_set.trigger
    assert trigger is not None
    quiet = None if pod_set.let_go else quiet_of(trigger, at(0), pod_set.last_joined, read=at(0))
    return status_of(pod_set, trigger, quiet, at(now))


def told(pod_set: PodSet) -> dict[str, tuple[str, str]]:
    return {each.type: (each.status, each.reason) for each in status(pod_set).conditions}


@pytest.mark.parametrize(
    ("pod_set", "expected"),
    [
        pytest.param(
            set_of(make_pod("web-0"), make_pod("web-1"), trigger=make_trigger()),
            {"total": 2, "gated": 2, "planned": 0, "bound": 0},
            id="held back",
        ),
        pytest.param(
            set_of(
                make_pod("web-0", node="n1"),
                make_pod("web-1"),
                make_pod("web-2"),
                trigger=GO,
                plan=make_plan({"web-0": "n1", "web-1": "n1"}),
            ),
            {"total": 3, "gated": 1, "planned": 2, "bound": 1},
            id="one bound, one planned, one joined",
        ),
        pytest.param(
            set_of(make_pod("web-0", phase="Succeeded"), make_pod("web-1", deleted=3), trigger=GO),
            {"total": 0, "gated": 0, "planned": 0, "bound": 0},
            id="finished and terminating pods do not count",
        ),
    ],
)
def test_counts(pod_set: PodSet, expected: dict[str, int]) -> None:
    counted = msgspec.structs.asdict(status(pod_set))
    assert {name: counted[name] for name in expected} == expected


def refused() -> PodSet:
    pod_set = set_of(make_pod("web-0"), make_pod("web-1"), trigger=GO)
    answer(pod_set, {}, {"uid-web-0": "no room"})
    return pod_set


def failed() -> PodSet:
    pod_set = set_of(make_pod("web-0"), trigger=GO)
    note_attempt(pod_set, Attempt(at(0), at(1), error="planner is down"))
    return pod_set


def ordinary() -> PodSet:
    pod_set = set_of(make_pod("web-0"), trigger=GO)
    note_planner(pod_set, exists=False)
    take_back(pod_set, ["uid-web-0"], UNMANAGED)
    return pod_set


@pytest.mark.parametrize(
    ("pod_set", "planned", "bound"),
    [
        (
            set_of(make_pod("web-0"), trigger=make_trigger()),
            ("False", "AwaitingTrigger"),
            ("False", "Pending"),
        ),
        (set_of(trigger=GO), ("False", "NoPods"), ("False", "NoPods")),
        (set_of(make_pod("web-0"), trigger=GO), ("False", "BeingPlanned"), ("False", "Pending")),
        (refused(), ("False", "PodsRefused"), ("False", "Pending")),
        (failed(), ("False", "PlannerFailed"), ("False", "Pending")),
        (ordinary(), ("False", "NoPlanner"), ("False", "Pending")),
        (
            set_of(make_pod("web-0"), trigger=GO, plan=make_plan({"web-0": "n1"})),
            ("True", "Stored"),
            ("False", "Pending"),
        ),
        (
            set_of(make_pod("web-0", node="n1"), trigger=GO, plan=make_plan({"web-0": "n1"})),
            ("True", "Stored"),
            ("True", "AllBound"),
        ),
    ],
)
def test_conditions(pod_set: PodSet, planned: tuple[str, str], bound: tuple[str, str]) -> None:
    assert told(pod_set) == {"Planned": planned, "Bound": bound}


def test_refused_pods_are_named_with_their_reason() -> None:
    planned = next(each for each in status(refused()).conditions if each.type == "Planned")
    assert planned.message == "1 of 2 pods have no place; web-0: no room"


def test_an_invalid_quiet_time_is_reported() -> None:
    pod_set = set_of(make_pod("web-0"), trigger=make_trigger(quiet="soon"))
    condition = status(pod_set).conditions[0]
    assert (condition.type, condition.status) == ("InvalidQuietTime", "True")
    assert "'soon' is not a duration" in condition.message


@pytest.mark.parametrize(
    ("pod_set", "until"),
    [
        pytest.param(
            set_of(make_pod("web-0"), trigger=make_trigger(quiet="10s"), now=0.4), 11, id="rounded up"
        ),
        pytest.param(set_of(trigger=make_trigger(quiet="10s")), None, id="no pods"),
        pytest.param(set_of(make_pod("web-0"), trigger=make_trigger()), None, id="no quiet time"),
        pytest.param(set_of(make_pod("web-0"), trigger=GO), None, id="switched"),
    ],
)
def test_quiet_until(pod_set: PodSet, until: float | None) -> None:
    assert status(pod_set).quiet_until == (None if until is None else at(until))


def test_a_condition_keeps_its_date_while_its_status_stands() -> None:
    pod_set = set_of(make_pod("web-0"), trigger=make_trigger())
    pod_set.written.reported["uid-trigger"] = status(pod_set, now=5)
    put_trigger(pod_set, GO, at(0))
    answer(pod_set, {"uid-web-0": "n1"}, {})
    put_plan(pod_set, make_plan({"web-0": "n1"}), manual=False)
    dates = {each.type: each.last_transition_time for each in status(pod_set, now=60).conditions}
    assert dates == {"Planned": at(60), "Bound": at(5)}


def test_a_trigger_that_does_not_count_says_so() -> None:
    pod_set = set_of(make_pod("web-0"), trigger=make_trigger("a"))
    (condition,) = conflict_status(pod_set, make_trigger("b"), make_trigger("a"), at(0)).conditions
    assert (condition.type, condition.status, condition.reason) == ("Conflict", "True", "SeveralTriggers")
    assert 'ScheduleTrigger "a", the first by name, gates pod set "web"' in condition.message


@pytest.mark.parametrize(
    ("changes", "news"),
    [
        ({"bound": 7}, False),
        ({"conditions": (Condition("Bound", "False", "Pending", "7 of 9 pods are bound"),)}, False),
        ({"conditions": (Condition("Bound", "True", "AllBound"),)}, True),
        ({"observed_generation": 2}, True),
    ],
)
def test_what_is_news(changes: dict[str, Any], *, news: bool) -> None:
    before = ScheduleTriggerStatus(
        conditions=(Condition("Bound", "False", "Pending", "6 of 9 pods are bound"),)
    )
    assert is_news(before, msgspec.structs.replace(before, **changes)) == news


@pytest.mark.parametrize(
    ("pod_set", "state"),
    [
        (set_of(make_pod("web-0")), "awaiting-trigger"),
        (set_of(make_pod("web-0"), trigger=make_trigger()), "planning"),
        (set_of(make_pod("web-0"), trigger=GO), "scheduling"),
        (set_of(make_pod("web-0", node="n1"), trigger=GO), "scheduled"),
    ],
)
def test_what_a_set_is_counted_as(pod_set: PodSet, state: SetState) -> None:
    assert state_of(pod_set) == state
