import pytest
from msgspec.structs import replace

from pallet.api.podset import Assignment
from pallet.podset.decisions import (
    SWEEP,
    DropPlan,
    LeaveUnmanaged,
    MakePlan,
    SaveTimes,
    Step,
    StorePlan,
    Switch,
    Wait,
    WriteStatus,
    decide,
)
from pallet.podset.member import Invalidation
from pallet.podset.model import Attempt, PodSet
from pallet.podset.plan import signature
from pallet.podset.states import invalidate, join, note_binding, note_planner, take_back
from pallet.podset.triggers import Quiet, times
from tests.builders import at, make_plan, make_pod, make_trigger
from tests.podset.sets_of import answer, set_of

GO = make_trigger(state="Schedule")
GONE = Invalidation("NodeUnschedulable", "node n1 is cordoned")


def steps(pod_set: PodSet, now: float) -> list[Step]:
    """What is to be done, the status aside."""
    return [step for step in decide(pod_set, at(now)) if not isinstance(step, WriteStatus)]


def kinds(pod_set: PodSet, now: float) -> list[type[Step]]:
    return [type(step) for step in steps(pod_set, now) if not isinstance(step, Wait)]


def waits(pod_set: PodSet, now: float) -> list[Wait]:
    return [step for step in steps(pod_set, now) if isinstance(step, Wait)]


def saved(quiet: str, since: float, joined: float) -> dict[str, str]:
    return times(make_trigger(quiet=quiet), Quiet(at(since), at(joined)))


@pytest.mark.parametrize(
    ("pod_set", "now", "expected"),
    [
        pytest.param(set_of(make_pod("web-0")), 0, [], id="no trigger: wait for one"),
        pytest.param(set_of(trigger=GO), 0, [], id="a trigger without pods"),
        pytest.param(
            set_of(make_pod("web-0"), trigger=make_trigger()), 9e6, [], id="no quiet time: wait for ever"
        ),
        pytest.param(set_of(make_pod("web-0"), trigger=GO), 0, [MakePlan], id="Schedule: plan"),
        pytest.param(
            set_of(make_pod("web-0", node="n1"), trigger=make_trigger()), 0, [], id="bound before: no plan"
        ),
        pytest.param(
            set_of(make_pod("web-0", node="n1"), trigger=GO),
            0,
            [StorePlan],
            id="bound, let go, no plan: the plan is kept",
        ),
        pytest.param(
            set_of(make_pod("web-0", node="n1"), trigger=GO, plan=make_plan({"web-0": "n1"})),
            0,
            [],
            id="at rest",
        ),
        pytest.param(
            set_of(make_pod("web-0", node="n2"), trigger=GO, plan=make_plan({"web-0": "n1"})),
            0,
            [StorePlan],
            id="a binding differs from the stored plan: the plan is corrected",
        ),
        pytest.param(
            set_of(
                make_pod("web-0", node="n2"), make_pod("web-1"), trigger=GO, plan=make_plan({"web-0": "n2"})
            ),
            0,
            [MakePlan],
            id="a pod joins: it is planned at once",
        ),
        pytest.param(
            set_of(make_pod("web-0"), trigger=GO, plan=make_plan({"web-0": "n1", "gone": "n1"})),
            0,
            [StorePlan],
            id="a stale entry leaves the plan",
        ),
        pytest.param(
            set_of(trigger=GO, plan=make_plan({"web-0": "n1"})), 0, [DropPlan], id="the last pod is gone"
        ),
        pytest.param(
            set_of(plan=make_plan({"web-0": "n1"})), 0, [DropPlan], id="no pods, no trigger, a stale plan"
        ),
        pytest.param(
            set_of(
                make_pod("web-0"),
                make_pod("web-1", node="n1"),
                trigger=make_trigger(),
                plan=make_plan({"web-0": "n1", "web-1": "n1"}),
            ),
            0,
            [StorePlan],
            id="started under Planning: what is not bound leaves our plan",
        ),
        pytest.param(
            set_of(make_pod("web-0"), plan=make_plan({"web-0": "n1"})),
            0,
            [DropPlan],
            id="started without the trigger: likewise",
        ),
    ],
)
def test_what_is_to_be_done(pod_set: PodSet, now: float, expected: list[type[Step]]) -> None:
    assert kinds(pod_set, now) == expected


@pytest.mark.parametrize(
    ("pod_set", "now", "expected"),
    [
        pytest.param(set_of(make_pod("web-0"), trigger=make_trigger(quiet="10s")), 9.9, False, id="not over"),
        pytest.param(set_of(make_pod("web-0"), trigger=make_trigger(quiet="10s")), 10, True, id="over"),
        pytest.param(set_of(trigger=make_trigger(quiet="10s")), 9e6, False, id="a set without pods"),
        pytest.param(
            set_of(make_pod("web-0", node="n1"), trigger=make_trigger(quiet="10s")), 99, False, id="all bound"
        ),
        pytest.param(
            set_of(make_pod("web-0", phase="Failed"), trigger=make_trigger(quiet="10s")),
            99,
            False,
            id="failed",
        ),
        pytest.param(
            set_of(make_pod("web-0"), trigger=make_trigger(quiet="soon")), 9e6, False, id="an invalid label"
        ),
        pytest.param(
            set_of(make_pod("web-0", created=50), trigger=make_trigger(quiet="10s"), now=50.5),
            60.4,
            False,
            id="joined late",
        ),
        pytest.param(
            set_of(
                make_pod("web-0"), trigger=make_trigger(quiet="10s", annotations=saved("10s", 0, 30)), now=300
            ),
            40,
            True,
            id="a kept join of a pod that is gone",
        ),
    ],
)
def test_when_a_trigger_is_switched(pod_set: PodSet, now: float, *, expected: bool) -> None:
    assert (Switch in kinds(pod_set, now)) == expected


def test_before_the_end_of_the_quiet_time_there_is_nothing_but_to_wait_for_it() -> None:
    trigger = make_trigger(quiet="10s", annotations=saved("10s", 0, 0))
    assert steps(set_of(make_pod("web-0"), trigger=trigger), 4) == [Wait(at(10))]


def test_times_are_kept_at_once_and_then_once_a_second() -> None:
    pod_set = set_of(make_pod("web-0"), trigger=make_trigger(quiet="10s"))
    assert kinds(pod_set, 0) == [SaveTimes]
    pod_set.written.times = at(0.5)
    assert kinds(pod_set, 1) == []
    assert Wait(at(1.5)) in waits(pod_set, 1)


def test_without_a_quiet_time_nothing_is_kept() -> None:
    assert kinds(set_of(make_pod("web-0"), trigger=make_trigger()), 0) == []


def test_what_is_taken_back_leaves_the_plan_which_goes_with_its_last_entry() -> None:
    plan = make_plan({"web-0": "n1", "web-1": "n1"})
    pod_set = set_of(make_pod("web-0"), make_pod("web-1", node="n1"), trigger=make_trigger(), plan=plan)
    take_back(pod_set, ["uid-web-0"])
    left = (Assignment("web-1", "n1"),)
    assert steps(pod_set, 0) == [StorePlan(left, signature("scripted", left))]
    none_bound = set_of(make_pod("web-0"), trigger=make_trigger(), plan=make_plan({"web-0": "n1"}))
    take_back(none_bound, ["uid-web-0"])
    assert kinds(none_bound, 0) == [DropPlan]


def test_the_plan_lists_places_in_the_order_of_binding() -> None:
    pod_set = set_of(make_pod("web-0", node="n9"), make_pod("web-1"), make_pod("web-2"), trigger=GO)
    answer(pod_set, {"uid-web-2": "n1", "uid-web-1": "n2"}, {})
    entries = (Assignment("web-0", "n9"), Assignment("web-2", "n1"), Assignment("web-1", "n2"))
    assert steps(pod_set, 0) == [StorePlan(entries, signature("none", entries))]


def test_entries_that_only_leave_the_plan_wait_for_more_of_them() -> None:
    pod_set = set_of(make_pod("web-0", node="n1"), trigger=GO, plan=make_plan({"web-0": "n1", "web-1": "n1"}))
    pod_set.written.plan = at(5)
    assert steps(pod_set, 5.2) == [Wait(at(6))]
    assert kinds(pod_set, 6) == [StorePlan]


def test_a_member_whose_binding_has_begun_is_neither_planned_nor_taken_back() -> None:
    plan = make_plan({"web-0": "n1"})
    pod_set = set_of(make_pod("web-0"), trigger=make_trigger(), plan=plan)
    note_binding(pod_set, "uid-web-0", "n1")
    assert steps(pod_set, 0) == []


def test_when_one_place_is_lost_all_that_wait_are_planned_anew() -> None:
    plan = make_plan({"web-0": "n1", "web-1": "n2", "web-2": "n3"})
    pod_set = set_of(
        make_pod("web-0"), make_pod("web-1"), make_pod("web-2", node="n3"), trigger=GO, plan=plan
    )
    invalidate(pod_set, "uid-web-0", GONE)
    assert steps(pod_set, 0) == [MakePlan(("uid-web-0", "uid-web-1"), replan=True)]


def test_planning_anew_backs_off_while_newcomers_do_not_wait() -> None:
    pod_set = set_of(make_pod("web-0"), make_pod("web-1"), trigger=GO, plan=make_plan({"web-0": "n1"}))
    invalidate(pod_set, "uid-web-0", GONE)
    pod_set.replan_at = at(8)
    assert steps(pod_set, 0) == [Wait(at(8)), MakePlan(("uid-web-1",))]


REFUSED = Attempt(at(0), at(2))


@pytest.mark.parametrize(
    ("attempt", "newcomer", "now", "expected"),
    [
        pytest.param(REFUSED, False, 3, Wait(at(0) + SWEEP), id="refused: wait for a change"),
        pytest.param(REFUSED, False, SWEEP.total_seconds(), None, id="refused long ago: try again"),
        pytest.param(
            replace(REFUSED, changed=True), False, 1, Wait(at(2)), id="a change: not before the back-off"
        ),
        pytest.param(replace(REFUSED, changed=True), False, 2, None, id="a change: try again"),
        pytest.param(REFUSED, True, 1, None, id="a newcomer: at once"),
        pytest.param(
            replace(REFUSED, error="down"), True, 1, Wait(at(2)), id="a planner that is down: back off"
        ),
        pytest.param(replace(REFUSED, error="down"), False, 2, None, id="a planner that was down: try again"),
    ],
)
def test_when_pods_without_a_place_are_tried_again(
    attempt: Attempt, *, newcomer: bool, now: float, expected: Wait | None
) -> None:
    pods = [make_pod("web-0"), *([make_pod("web-1")] if newcomer else [])]
    pod_set = set_of(*pods, trigger=GO)
    answer(pod_set, {}, {"uid-web-0": "no room"}, attempt)
    assert steps(pod_set, now) == [expected or MakePlan(tuple(pod.metadata.uid for pod in pods))]


def test_without_a_planner_pods_are_let_go_and_no_plan_is_kept() -> None:
    pod_set = set_of(make_pod("web-0"), make_pod("web-1", node="n1"), trigger=GO)
    note_planner(pod_set, exists=False)
    assert steps(pod_set, 0) == [LeaveUnmanaged(("uid-web-0",))]


def test_the_status_comes_last_and_counts_only_once_a_second() -> None:
    pod_set = set_of(make_pod("web-0"), trigger=GO)
    *_, status = decide(pod_set, at(0))
    assert isinstance(status, WriteStatus)
    pod_set.written.reported = {"uid-trigger": status.status}
    pod_set.written.status = at(0)
    assert all(not isinstance(step, WriteStatus) for step in decide(pod_set, at(0.1)))
    join(pod_set, make_pod("web-1"), at(0))
    assert decide(pod_set, at(0.1))[-1] == Wait(at(1))
    assert isinstance(decide(pod_set, at(1))[-1], WriteStatus)
