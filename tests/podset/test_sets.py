import pytest

from pallet.api.pod import Pod
from pallet.podset.member import UNPLANNED, Bound, Invalidation, Planned, Refused, State, Why
from pallet.podset.model import Attempt, PodSet
from pallet.podset.sets import PodSets
from pallet.podset.states import begin_replanning, note_attempt, take_back
from pallet.podset.triggers import LabelNaming, labelled
from tests.builders import SCHEDULER, at, make_plan, make_pod, make_trigger
from tests.podset.sets_of import WEB, answer, set_of, sets_of

GO = make_trigger(state="Schedule")
API = labelled("default", "api")


@pytest.mark.parametrize(
    ("pod", "member"),
    [
        pytest.param(make_pod("web-0"), True, id="pending"),
        pytest.param(make_pod("web-0", node="n1", phase="Running"), True, id="bound"),
        pytest.param(make_pod("web-0", pod_set=""), False, id="without the label"),
        pytest.param(make_pod("web-0", scheduler="default-scheduler"), False, id="of another scheduler"),
        pytest.param(make_pod("web-0", phase="Succeeded"), False, id="succeeded"),
        pytest.param(make_pod("web-0", phase="Failed"), False, id="failed"),
        pytest.param(make_pod("web-0", deleted=5), False, id="terminating"),
    ],
)
def test_who_is_a_member(pod: Pod, *, member: bool) -> None:
    pod_set = sets_of(pod).get(WEB)
    assert (pod_set is not None and "uid-web-0" in pod_set.members) == member


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(make_pod("web-0", phase="Succeeded", node="n1", version=2), id="succeeded"),
        pytest.param(make_pod("web-0", deleted=5, version=2), id="terminating"),
        pytest.param(make_pod("web-0", pod_set="", version=2), id="label removed"),
    ],
)
def test_a_member_leaves(last: Pod) -> None:
    first = make_pod("web-0")
    sets = sets_of(first, triggers=[GO])
    assert sets.put_pod(last, at(9), first) == {WEB: False}
    pod_set = sets.get(WEB)
    assert pod_set is not None
    assert not pod_set.members


def test_a_changed_label_moves_a_pod_when_it_is_seen() -> None:
    first, moved = make_pod("web-0"), make_pod("web-0", pod_set="api", version=2)
    sets = sets_of(first, triggers=[GO])
    assert sets.put_pod(moved, at(60), first) == {WEB: False, API: False}
    api, web = sets.get(API), sets.get(WEB)
    assert api is not None
    assert web is not None
    assert set(api.members) == {"uid-web-0"}
    assert not web.members
    assert api.last_joined == at(60)


def test_a_label_given_late_counts_from_when_it_is_seen() -> None:
    bare, labelled = make_pod("web-0", pod_set=""), make_pod("web-0", version=2)
    sets = sets_of(bare)
    sets.put_pod(labelled, at(60), bare)
    pod_set = sets.get(WEB)
    assert pod_set is not None
    assert pod_set.last_joined == at(60)


def test_joining_a_set_that_may_go_is_urgent_and_else_it_is_not() -> None:
    assert sets_of(triggers=[GO]).put_pod(make_pod("web-0"), at(0)) == {WEB: True}
    assert sets_of(triggers=[make_trigger()]).put_pod(make_pod("web-0"), at(0)) == {WEB: False}


@pytest.mark.parametrize(
    ("sets", "pod", "why", "message"),
    [
        pytest.param(
            PodSets(LabelNaming({SCHEDULER})), make_pod("bare", pod_set=""), None, "", id="no label"
        ),
        pytest.param(
            sets_of(make_pod("web-0")),
            make_pod("web-0"),
            Why.HELD,
            'pod set "web" has no ScheduleTrigger in namespace "default"',
            id="no trigger",
        ),
        pytest.param(
            sets_of(make_pod("web-0"), triggers=[make_trigger()], plan=make_plan({"web-0": "n1"})),
            make_pod("web-0"),
            Why.HELD,
            'waiting for ScheduleTrigger "trigger" to switch from Planning to Schedule',
            id="Planning, even with a plan",
        ),
        pytest.param(
            sets_of(make_pod("web-0"), triggers=[GO]),
            make_pod("web-0"),
            Why.BEING_PLANNED,
            'pod set "web" is being planned',
            id="Schedule, no plan yet",
        ),
        pytest.param(
            sets_of(make_pod("web-0"), triggers=[GO], plan=make_plan({"web-1": "n1"})),
            make_pod("web-0"),
            Why.BEING_PLANNED,
            'pod set "web" is being planned',
            id="a plan that does not name it",
        ),
        pytest.param(
            sets_of(triggers=[GO], plan=make_plan({"web-0": "n1"})),
            make_pod("web-0"),
            Why.BEING_PLANNED,
            'pod set "web" is being planned',
            id="a pod that is not known yet",
        ),
        pytest.param(
            sets_of(make_pod("web-0"), triggers=[make_trigger("b", state="Schedule"), make_trigger("a")]),
            make_pod("web-0"),
            Why.HELD,
            'waiting for ScheduleTrigger "a" to switch from Planning to Schedule',
            id="several triggers: the first by name counts",
        ),
        pytest.param(
            sets_of(make_pod("web-0"), triggers=[GO], plan=make_plan({"web-0": "n1"})),
            make_pod("web-0"),
            None,
            "",
            id="Schedule and a stored plan that names it",
        ),
    ],
)
def test_the_gate(sets: PodSets, pod: Pod, why: Why | None, message: str) -> None:
    gate = sets.verdict(pod)
    assert (gate.why, gate.message) == (why, message)


def test_an_open_gate_names_the_planned_node() -> None:
    sets = sets_of(make_pod("web-0"), triggers=[GO], plan=make_plan({"web-0": "n1"}))
    assert sets.verdict(make_pod("web-0")).node == "n1"


def test_a_place_opens_the_gate_only_when_it_is_stored() -> None:
    sets = sets_of(make_pod("web-0"), triggers=[GO])
    pod_set = sets.get(WEB)
    assert pod_set is not None
    answer(pod_set, {"uid-web-0": "n1"}, {})
    assert sets.verdict(make_pod("web-0")).why is Why.BEING_PLANNED
    sets.put_plan(make_plan({"web-0": "n1"}))
    assert sets.verdict(make_pod("web-0")).open


def test_a_refused_pod_and_a_failed_planner_close_the_gate_with_their_reason() -> None:
    pod_set = set_of(make_pod("web-0"), make_pod("web-1"), trigger=GO)
    sets = PodSets(LabelNaming({SCHEDULER}))
    sets._sets[WEB] = pod_set
    answer(pod_set, {}, {"uid-web-0": "0/3 nodes are available: 3 Insufficient cpu."})
    refused = sets.verdict(make_pod("web-0"))
    assert (refused.why, refused.message) == (Why.REFUSED, "0/3 nodes are available: 3 Insufficient cpu.")
    note_attempt(pod_set, Attempt(at(0), at(1), error="planner greedy is down"))
    failed = sets.verdict(make_pod("web-1"))
    assert (failed.why, failed.message) == (Why.PLANNER_FAILED, "planner greedy is down")


def test_a_member_that_is_planned_anew_waits_and_the_others_do_not() -> None:
    plan = make_plan({"web-0": "n1", "web-1": "n1"})
    sets = sets_of(make_pod("web-0"), make_pod("web-1"), triggers=[GO], plan=plan)
    pod_set = sets.get(WEB)
    assert pod_set is not None
    begin_replanning(pod_set, ["uid-web-0"], at(1))
    assert sets.verdict(make_pod("web-0")).why is Why.BEING_PLANNED
    assert sets.verdict(make_pod("web-1")).open


def test_a_pod_of_the_same_name_does_not_inherit_the_place_of_the_one_before() -> None:
    old, new = make_pod("web-0"), make_pod("web-0", uid="uid-new")
    sets = sets_of(old, triggers=[GO], plan=make_plan({"web-0": "n1"}))
    sets.drop_pod(old)
    sets.put_pod(new, at(1))
    sets.put_plan(make_plan({"web-0": "n1"}, version=2))
    assert not sets.verdict(new).open


def test_a_restart_takes_the_places_over_from_the_stored_plan() -> None:
    pod_set = set_of(
        make_pod("web-0", node="n9"),
        make_pod("web-1"),
        trigger=GO,
        plan=make_plan({"web-1": "n2", "web-0": "n1"}),
    )
    assert state(pod_set, "web-1") == Planned("n2", 1, stored=True)
    assert state(pod_set, "web-0") == Bound(), "the plan is corrected, not the pod"


def test_what_somebody_else_writes_into_the_plan_is_obeyed() -> None:
    sets = sets_of(
        make_pod("web-0"), make_pod("web-1"), triggers=[GO], plan=make_plan({"web-0": "n1", "web-1": "n1"})
    )
    sets.put_plan(make_plan({"web-0": "n2", "web-1": "n1"}, version=2))
    assert sets.verdict(make_pod("web-0")).node == "n2"
    assert sets.verdict(make_pod("web-1")).node == "n1"


def test_the_echo_of_an_own_write_changes_nothing() -> None:
    sets = sets_of(make_pod("web-0"), triggers=[GO])
    pod_set = sets.get(WEB)
    assert pod_set is not None
    answer(pod_set, {"uid-web-0": "n1"}, {})
    pod_set.written.on_its_way = {"web-0": "n1"}
    take_back(pod_set, ["uid-web-0"])
    sets.put_plan(make_plan({"web-0": "n1"}))
    assert state(pod_set, "web-0") == UNPLANNED


def test_older_states_and_plans_of_other_names_are_passed_over() -> None:
    sets = sets_of(make_pod("web-0"), triggers=[make_trigger(state="Schedule", version=5)])
    sets.put_trigger(make_trigger(version=4), at(0))
    sets.put_plan(make_plan({"web-0": "n1"}, version=9))
    sets.put_plan(make_plan({"web-0": "n2"}, version=8))
    stray = make_plan({"web-0": "n3"}, pod_set="other")
    sets.put_plan(type(stray)(type(stray.metadata)(name="stray", namespace="default"), stray.spec))
    assert sets.verdict(make_pod("web-0")).node == "n1"


def test_an_answer_that_comes_after_the_plan_was_seen_to_go_is_passed_over() -> None:
    plan = make_plan({"web-0": "n1"})
    sets = sets_of(make_pod("web-0"), triggers=[GO], plan=plan)
    sets.drop_plan(plan)
    assert sets.put_plan(make_plan({"web-0": "n1"}, version=2)) == {}
    assert not sets.verdict(make_pod("web-0")).open


def test_a_trigger_whose_label_changes_gates_the_other_set() -> None:
    sets = sets_of(make_pod("web-0"), triggers=[make_trigger()])
    assert sets.put_trigger(make_trigger(pod_set="api", version=2), at(1)) == {WEB: True, API: True}
    assert sets.verdict(make_pod("web-0")).message.startswith('pod set "web" has no ScheduleTrigger')


def test_news_of_the_cluster_concerns_only_sets_whose_pods_found_no_place() -> None:
    sets = sets_of(make_pod("web-0"), make_pod("api-0", pod_set="api"), triggers=[GO])
    assert sets.note_change() == {}
    pod_set = sets.get(WEB)
    assert pod_set is not None
    note_attempt(pod_set, Attempt(at(0), at(1)))
    assert sets.note_change() == {WEB: False}
    assert sets.note_change() == {}, "once is enough"


def state(pod_set: PodSet, name: str) -> State:
    return pod_set.members[f"uid-{name}"].state


def test_a_refused_pod_whose_spec_changes_is_worth_another_try() -> None:
    sets = sets_of(make_pod("web-0", cpu="64"), triggers=[GO])
    pod_set = sets.get(WEB)
    assert pod_set is not None
    answer(pod_set, {}, {"uid-web-0": "no room"})
    assert sets.put_pod(make_pod("web-0", cpu="64", version=2), at(1)) == {WEB: False}
    assert state(pod_set, "web-0") == Refused("no room")
    assert sets.put_pod(make_pod("web-0", cpu="1", version=3), at(1)) == {WEB: True}
    assert state(pod_set, "web-0") == UNPLANNED


def test_a_lost_place_is_forgotten_when_the_pod_is_bound_after_all() -> None:
    sets = sets_of(make_pod("web-0"), triggers=[GO], plan=make_plan({"web-0": "n1"}))
    pod_set = sets.get(WEB)
    assert pod_set is not None
    assert sets.invalidate("uid-web-0", Invalidation("NodeResourcesFit", "full")) == {WEB: True}
    sets.put_pod(make_pod("web-0", node="n1", version=2), at(1), make_pod("web-0"))
    assert not pod_set.invalidated
    assert state(pod_set, "web-0") == Bound(1)


def test_a_set_of_which_nothing_is_left_is_forgotten() -> None:
    pod, trigger = make_pod("web-0"), make_trigger()
    sets = sets_of(pod, triggers=[trigger])
    sets.drop_pod(pod)
    assert not sets.forget_if_empty(WEB)
    sets.drop_trigger(trigger)
    assert sets.forget_if_empty(WEB)
    assert sets.get(WEB) is None
