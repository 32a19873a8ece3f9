"""Each check finds what it is for in a history made by hand, and nothing in a lawful one."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.story import Story
from tools.chaos.checks import violations
from tools.chaos.checks.ends import ended, threw
from tools.chaos.checks.leases import LEASE_DURATION, RENEW_DEADLINE, TRANSIT
from tools.chaos.checks.rest import disagreeing, unplaced
from tools.chaos.checks.visibility import DEADLINE, GRACE
from tools.chaos.history import Object, replayed


def found(story: Story) -> list[str]:
    """The rules that were broken, in alphabetical order."""
    return sorted(violation.rule for violation in violations(story.history))


def led(story: Story | None = None) -> Story:
    """A node, and a replica that leads."""
    story = story or Story()
    story.node(0)
    story.renew(0)
    return story


def test_a_lawful_run_breaks_no_rule() -> None:
    story = led()
    story.trigger(1, "Planning", quiet=2.0)
    story.pod(1, pod_set="s")
    story.pod(1, "other")
    story.bind(1.5, name="other")
    story.write(3.5, "a-1", "patch", "scheduletriggers", name="t")
    story.trigger(3.51, "Schedule", quiet=2.0)
    story.write(3.6, "a-1", "create", "scheduleplans", 201)
    story.plan(3.61, p="n")
    story.bind(3.7)
    story.trigger(5, "Planning", quiet=2.0)
    story.gone(6, "pod", "p")
    story.renew(7, holder="")
    story.renew(7.1, agent="b-1")
    story.pod(8, "third")
    story.bind(8.1, name="third", agent="b-1")
    assert found(story) == []


def test_two_bindings_of_a_pod() -> None:
    story = led()
    story.pod(1)
    story.bind(2)
    story.write(3, "a-1", "create", "pods/binding", 201, name="p", uid="uid of p", node="m")
    assert found(story) == ["I1"]


def test_a_pod_that_moves() -> None:
    story = led()
    story.pod(1)
    story.bind(2)
    story.pod(3, node="m")
    assert found(story) == ["I1"]


def test_a_pod_that_is_bound_by_nothing_known() -> None:
    story = led()
    story.pod(1)
    story.pod(2, node="n")
    assert found(story) == ["I1"]


def test_a_binding_that_comes_later_explains_nothing() -> None:
    story = led()
    story.pod(1)
    story.pod(2, node="n")
    story.write(3, "a-1", "create", "pods/binding", 409, name="p", uid="uid of p", node="n")
    assert found(story) == ["I1"]


def test_a_changed_node_is_still_looked_after() -> None:
    story = led()
    story.pod(1, cpu=4000)
    story.bind(2)
    story.node(3, labels={"new": "label"})
    story.pod(4, "q")
    story.bind(5, name="q")
    assert found(story) == ["I2"]


def test_a_namesake_is_another_pod() -> None:
    story = led()
    story.pod(1)
    story.bind(2)
    story.gone(3, "pod", "p")
    story.node(3, "m")
    story.pod(4, uid="another")
    story.bind(5, "m")
    assert found(story) == []


def test_a_binding_whose_end_is_unknown_is_found_by_its_name() -> None:
    story = led()
    story.pod(1)
    story.write(2, "a-1", "create", "pods/binding", None, name="p")
    story.pod(2.1, node="n")
    assert found(story) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"cpu": 3000}, {"cpu": 1001}, id="cpu"),
        pytest.param({"memory": 2**32}, {"memory": 2**32 + 1}, id="memory"),
        pytest.param({"ports": (80, 81)}, {"ports": (81,)}, id="host ports"),
        pytest.param({"labels": {"app": "x"}}, {"apart": {"app": "x"}}, id="anti-affinity of the second"),
        pytest.param({"apart": {"app": "x"}}, {"labels": {"app": "x"}}, id="anti-affinity of the first"),
    ],
)
def test_a_node_with_too_much(first: dict[str, Any], second: dict[str, Any]) -> None:
    story = led()
    for name, what in (("p", first), ("q", second)):
        story.pod(1, name, **what)
        story.bind(2, name=name)
    assert found(story) == ["I2"]


def test_a_node_with_too_many_pods() -> None:
    story = led()
    for name in map(str, range(11)):
        story.pod(1, name, cpu=1)
        story.bind(2, name=name)
    assert found(story) == ["I2"]


@pytest.mark.parametrize("how", ["gone", "finished"])
def test_room_is_free_again(how: str) -> None:
    story = led()
    story.pod(1, cpu=4000)
    story.bind(2)
    if how == "gone":
        story.gone(3, "pod", "p")
    else:
        story.pod(3, cpu=4000, node="n", finished=True)
    story.pod(4, "q", cpu=4000)
    story.bind(5, name="q")
    assert found(story) == []


def test_a_node_is_not_empty_because_it_was_away() -> None:
    story = led()
    story.pod(1, cpu=4000)
    story.bind(2)
    story.gone(3, "minion", "n")
    story.node(4)
    story.pod(4, "q")
    story.bind(5.5, name="q")
    assert found(story) == ["I2"]


NODES: dict[str, Callable[[Story], None]] = {
    "cordoned": lambda story: story.node(3, unschedulable=True),
    "tainted": lambda story: story.node(3, taints=("key",)),
    "relabelled": lambda story: story.node(3, labels={}),
    "deleted": lambda story: story.gone(3, "minion", "n"),
}


@pytest.mark.parametrize("change", NODES.values(), ids=NODES)
@pytest.mark.parametrize(("sent", "expected"), [(2.9, []), (3 + GRACE - 0.1, []), (3 + GRACE + 0.1, ["I2"])])
def test_a_node_that_takes_no_pods(change: Callable[[Story], None], sent: float, expected: list[str]) -> None:
    story = Story()
    story.node(0, labels={"disk": "fast"})
    story.renew(0)
    story.pod(1, selector={"disk": "fast"})
    if sent < 3:
        story.bind(sent, seen=0.0)
        change(story)
    else:
        change(story)
        story.node(3.5, "other")  # what happens elsewhere does not matter
        story.bind(sent)
    assert found(story) == expected


def test_a_node_does_not_become_legal_by_changing() -> None:
    story = led()
    story.pod(1)
    story.node(2, unschedulable=True)
    story.node(3.9, unschedulable=True, taints=("key",))
    story.bind(4)
    assert found(story) == ["I2"]


def held_back(changed: float, sent: float) -> Story:
    """A set whose trigger goes back to Planning, and a binding."""
    story = led()
    story.renew(sent - 1)
    story.trigger(0, "Schedule")
    story.pod(0.5, pod_set="s")
    story.plan(0.6, p="n")
    story.trigger(changed, "Planning")
    story.bind(sent)
    return story


@pytest.mark.parametrize(("sent", "expected"), [(1 + GRACE - 0.1, []), (1 + GRACE + 0.1, ["I5"])])
def test_a_binding_after_the_trigger_went_back(sent: float, expected: list[str]) -> None:
    assert found(held_back(1, sent)) == expected


def test_a_binding_without_a_trigger() -> None:
    story = led()
    story.pod(0, pod_set="s")
    story.plan(0, p="n")
    story.bind(2)
    assert found(story) == ["I5"]


def test_the_first_trigger_by_name_counts() -> None:
    story = led()
    story.trigger(0, "Schedule", "u")
    story.trigger(0, "Planning", "t")
    story.pod(0, pod_set="s")
    story.plan(0, p="n")
    story.bind(2)
    assert found(story) == ["I5"]


@pytest.mark.parametrize(
    ("blind", "expected"),
    [
        pytest.param({"start": 5, "end": 20}, [], id="the watch was silent"),
        pytest.param({"start": 5, "end": 20, "resource": "scheduletriggers"}, [], id="that very watch"),
        pytest.param({"start": 5, "end": 20, "resource": "pods"}, ["I5"], id="another watch"),
        pytest.param({"start": 5, "end": 20, "replica": "b"}, ["I5"], id="the other replica's"),
        pytest.param({"start": 5, "end": 18.5}, ["I5"], id="silent no more"),
        pytest.param({"start": 11, "end": 20}, ["I5"], id="silent too late"),
        pytest.param({"start": 19.9 - DEADLINE - GRACE, "end": 20}, [], id="within the deadline"),
        pytest.param({"start": 19.5 - DEADLINE - GRACE, "end": 20}, ["I5"], id="beyond the deadline"),
    ],
)
def test_silence_excuses(blind: dict[str, float | str], expected: list[str]) -> None:
    story = held_back(9, 19.8)
    story.unseeing(**blind)  # type: ignore[arg-type]
    assert found(story) == expected


def test_silences_that_follow_each_other_are_one() -> None:
    story = held_back(9, 19.8)
    story.unseeing(5, 12)
    story.unseeing(12.5, 19)
    assert found(story) == []


def test_a_binding_elsewhere_than_planned() -> None:
    story = led()
    story.node(0, "m")
    story.trigger(0, "Schedule")
    story.pod(0, pod_set="s")
    story.plan(1, p="n")
    story.bind(3, "m")
    assert found(story) == ["plan"]


def test_a_binding_without_a_plan() -> None:
    story = led()
    story.trigger(0, "Schedule")
    story.pod(0, pod_set="s")
    story.bind(3)
    assert found(story) == ["plan"]


@pytest.mark.parametrize(("sent", "expected"), [(2 + GRACE - 0.1, []), (2 + GRACE + 0.1, ["plan"])])
def test_a_binding_by_the_plan_of_before(sent: float, expected: list[str]) -> None:
    story = led()
    story.node(0, "m")
    story.trigger(0, "Schedule")
    story.pod(0, pod_set="s")
    story.plan(1, p="n")
    story.plan(2, p="m")
    story.bind(sent)
    assert found(story) == expected


def switched(after: float, *, joined: float = 0.0, by_hand: bool = False) -> Story:
    """A trigger with a quiet time of ten seconds is switched so long after it was made."""
    story = led()
    story.trigger(0, "Planning", quiet=10.0)
    story.pod(joined, pod_set="s")
    story.renew(after - 1)
    if not by_hand:
        story.write(after, "a-1", "patch", "scheduletriggers", name="t")
    story.trigger(after + 0.01, "Schedule", quiet=10.0)
    return story


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param(switched(10.0), [], id="in time"),
        pytest.param(switched(9.0), ["early", "early"], id="early"),
        pytest.param(switched(12.0, joined=5.0), ["early"], id="early for the last pod"),
        pytest.param(switched(12.0, joined=11.5), [], id="the pod was just seen"),
        pytest.param(switched(5.0, by_hand=True), [], id="by hand"),
    ],
)
def test_a_quiet_time(story: Story, expected: list[str]) -> None:
    assert found(story) == expected


def test_a_quiet_time_that_is_changed_counts_on_from_where_it_began() -> None:
    story = led()
    story.trigger(0, "Planning", quiet=12.0)
    story.pod(0, pod_set="s")
    story.trigger(8, "Planning", quiet=10.0)
    story.renew(9)
    story.write(10.5, "a-1", "patch", "scheduletriggers", name="t")
    story.trigger(10.51, "Schedule", quiet=10.0)
    assert found(story) == []


def test_a_trigger_that_says_schedule_already_is_not_switched() -> None:
    story = led()
    story.trigger(0, "Schedule", quiet=12.0)
    story.pod(0, pod_set="s")
    story.write(1, "a-1", "patch", "scheduletriggers", name="t")
    story.trigger(1.01, "Schedule", quiet=10.0)
    assert found(story) == []


def test_a_write_on_another_trigger_is_no_switch() -> None:
    story = led()
    story.trigger(0, "Planning", quiet=10.0)
    story.pod(0, pod_set="s")
    story.write(1, "a-1", "patch", "scheduletriggers", name="another")
    story.trigger(1.01, "Schedule", quiet=10.0)
    assert found(story) == []


@pytest.mark.parametrize(
    ("late", "expected"), [(RENEW_DEADLINE + TRANSIT / 2, []), (RENEW_DEADLINE + 2 * TRANSIT, ["I9"])]
)
def test_a_write_after_the_renew_deadline(late: float, expected: list[str]) -> None:
    story = led()
    story.write(late, "a-1", "patch", "pods/status", name="p")
    assert found(story) == expected


def test_a_write_that_outlasts_the_lease() -> None:
    story = led()
    story.write(1, "a-1", "patch", "pods/status", name="p", seconds=LEASE_DURATION - 0.9)
    story.write(1, "a-1", "patch", "pods/status", name="p", seconds=LEASE_DURATION - 1.1)
    story.write(1, "a-1", "patch", "pods/status", 504, name="p", seconds=LEASE_DURATION)
    assert found(story) == ["I9"]


def test_a_write_of_a_process_that_never_led() -> None:
    story = led()
    story.write(1, "b-1", "patch", "pods/status", name="p")
    assert found(story) == ["I9"]


def test_a_write_after_another_process_took_the_lease() -> None:
    story = led()
    story.renew(5, agent="b-1")
    story.write(5.5, "a-1", "patch", "pods/status", name="p")
    assert found(story) == ["I9"]


def test_a_write_after_the_lease_was_given_up() -> None:
    story = led()
    story.renew(5, holder="")
    story.write(5.5, "a-1", "patch", "pods/status", name="p")
    assert found(story) == ["I9"]


def test_questions_may_be_asked_by_all() -> None:
    story = led()
    story.write(1, "b-1", "create", "tokenreviews")
    assert found(story) == []


def at_rest(story: Story) -> dict[str, Object]:
    """Everything as it is at the end."""
    state: dict[str, Object] = {}
    for _, _, now in replayed(story.history.changes):
        state = dict(now)
    return state


@pytest.mark.parametrize(
    ("pod", "node", "expected"),
    [
        pytest.param({}, {}, 1, id="there is room"),
        pytest.param({"node": "n"}, {}, 0, id="bound"),
        pytest.param({"terminating": True}, {}, 0, id="going"),
        pytest.param({"cpu": 3001}, {}, 0, id="too large"),
        pytest.param({}, {"unschedulable": True}, 0, id="cordoned"),
        pytest.param({}, {"taints": ("key",)}, 0, id="tainted"),
        pytest.param({"tolerated": ("key",)}, {"taints": ("key",)}, 1, id="tolerated"),
        pytest.param({"selector": {"disk": "fast"}}, {}, 0, id="not selected"),
        pytest.param({"pod_set": "s"}, {}, 1, id="let go"),
        pytest.param({"pod_set": "other"}, {}, 0, id="held back"),
    ],
)
def test_what_is_pending_at_rest(pod: dict[str, Any], node: dict[str, Any], expected: int) -> None:
    story = Story()
    story.node(0, **node)
    story.trigger(0, "Schedule")
    story.trigger(0, "Planning", "u", "other")
    story.pod(0, "there", node="n")
    story.pod(0, **pod)
    assert [each.rule for each in unplaced(at_rest(story), 9)] == ["I4"] * expected


def test_a_finished_pod_leaves_room_at_rest() -> None:
    story = Story()
    story.node(0)
    story.pod(0, "done", node="n", cpu=4000, finished=True)
    story.pod(0)
    assert [each.rule for each in unplaced(at_rest(story), 9)] == ["I4"]


@pytest.mark.parametrize("end", [{"terminating": True}, {"finished": True}])
def test_pods_at_their_end_have_no_place_in_a_plan(end: dict[str, Any]) -> None:
    story = Story()
    story.trigger(0, "Schedule")
    story.pod(0, "p", pod_set="s", node="n")
    story.pod(0, "q", pod_set="s", node="n", **end)
    story.plan(1, p="n")
    assert list(disagreeing(at_rest(story), 9)) == []


@pytest.mark.parametrize(
    ("state", "members", "plan", "expected"),
    [
        ("Schedule", {"p": "n"}, {"p": "n"}, 0),
        ("Schedule", {"p": "n"}, {"p": "m"}, 1),
        ("Schedule", {"p": "n"}, None, 1),
        ("Schedule", {"p": "n", "q": "n"}, {"p": "n"}, 1),
        ("Schedule", {"p": "n"}, {"p": "n", "q": "n"}, 1),
        ("Schedule", {"p": ""}, None, 0),
        ("Schedule", {}, {"p": "n"}, 1),
        ("Planning", {}, {"p": "n"}, 1),
        ("Planning", {"p": ""}, None, 0),
        ("Planning", {"p": ""}, {"p": "n"}, 1),
        ("Planning", {"p": "n"}, {"p": "n"}, 0),
    ],
)
def test_plan_and_bindings_at_rest(
    state: str, members: dict[str, str], plan: dict[str, str] | None, expected: int
) -> None:
    story = Story()
    story.trigger(0, state)
    for name, node in members.items():
        story.pod(0, name, pod_set="s", node=node)
    if plan is not None:
        story.plan(1, **plan)
    assert [each.rule for each in disagreeing(at_rest(story), 9)] == ["I7"] * expected


TIME = "2026-03-01T10:00:00.123456Z"
TRACEBACK = f"""{TIME} INFO app.life "Scheduling"
  + Exception Group Traceback (most recent call last):
  |   File "x.py", line 1, in f
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "y.py", line 1, in g
    | msgspec.DecodeError: JSON is malformed
"""


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (f'{TIME} WARNING client "Lost" error="no answer: ValueError"\n', []),
        (TRACEBACK, ["msgspec.DecodeError: JSON is malformed"]),
        (f'{TIME} ERROR x "A plugin failed" traceback="Traceback\\nValueError: no"', ["ValueError: no"]),
    ],
)
def test_what_was_thrown(log: str, expected: list[str]) -> None:
    texts = [each.text for each in threw({"a-1": log})]
    assert len(texts) == len(expected)
    assert all(words in text for words, text in zip(expected, texts, strict=True))


@pytest.mark.parametrize(
    ("code", "log", "expected"),
    [(None, "", 0), (0, "", 0), (-9, "", 0), (1, "leadership lost: ...", 0), (1, "OSError", 1), (-11, "", 1)],
)
def test_how_processes_end(code: int | None, log: str, expected: int) -> None:
    assert len(list(ended({"a-1": code}, {"a-1": log}))) == expected
