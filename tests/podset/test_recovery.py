"""What happens when something does not go as planned."""

from collections.abc import Callable
from typing import Any

import pytest

from pallet.api.pod import Pod
from pallet.api.podset import (
    SCHEDULE_PLANS,
    SCHEDULE_TRIGGERS,
)
from pallet.cache.pod_info import PodInfo
from pallet.client.errors import AnswerLost, Unreachable
from pallet.planner.interface import PlannerError
from tests.builders import make_node, make_plan, make_pod, make_trigger
from tests.podset.fake_api import refusal
from tests.podset.world import World, settle

pytestmark = pytest.mark.anyio

GO = make_trigger(state="Schedule")


async def test_an_answer_about_a_trigger_that_went_meanwhile_does_not_bring_it_back(world: World) -> None:
    world.add(make_trigger(quiet="10s"), make_pod("web-0"))
    tell = world.api.told

    def delete_after_the_switch(plural: str, what: str, old: Any, new: Any) -> None:
        tell(plural, what, old, new)
        if what == "update" and plural == "scheduletriggers" and new.spec.state == "Schedule":
            world.api.remove(SCHEDULE_TRIGGERS, "trigger")

    async with world.running():
        await settle()
        world.api.told = delete_after_the_switch
        await settle(20)
        assert world.open(["web-0"]) == []
        assert world.plan() is None


async def test_a_trigger_switched_back_while_the_planner_works_gets_no_plan(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    assert world.planner is not None
    world.planner.meanwhile = lambda: world.add(make_trigger())
    async with world.running():
        await settle(2)
        assert world.plan() is None
        assert world.reserved() == {}


async def test_pods_deleted_while_the_planner_works_are_left_out(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    assert world.planner is not None
    world.planner.meanwhile = lambda: world.remove_pods("web-0")
    async with world.running():
        await settle(2)
        assert world.plan() == {"web-1": "n1"}


async def test_a_failing_planner_is_asked_again_and_the_reason_is_told(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    assert world.planner is not None
    world.planner.failures = [PlannerError("planner greedy is down"), PlannerError("planner greedy is down")]
    async with world.running():
        await settle()
        assert world.told.conditions["web-0"] == ("SchedulerError", "planner greedy is down")
        assert world.trigger().status.conditions[0].reason == "PlannerFailed"
        await settle(10)
        assert world.plan() == {"web-0": "n1"}
        assert world.told.reasons("trigger").count("PlannerFailed") == 1
        assert "web-0" not in world.told.conditions


async def test_a_planner_that_breaks_delays_its_set_only(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    assert world.planner is not None
    world.planner.failures = [ZeroDivisionError("oops")]
    async with world.running():
        await settle(5)
        assert world.plan() == {"web-0": "n1"}


async def test_a_pod_without_a_place_says_why(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    assert world.planner is not None
    world.planner.refusing = {"web-1": "0/2 nodes are available: 2 Insufficient cpu."}
    async with world.running():
        await settle()
        assert world.plan() == {"web-0": "n1"}
        assert world.told.conditions["web-1"] == (
            "Unschedulable",
            "0/2 nodes are available: 2 Insufficient cpu.",
        )
        assert world.told.reasons("web-1") == ["FailedScheduling"]


@pytest.mark.parametrize(
    ("change", "helps"),
    [
        pytest.param(lambda world: world.add(make_node("n3")), True, id="a new node"),
        pytest.param(lambda world: world.add(make_node("n2", cpu="64")), True, id="a larger node"),
        pytest.param(lambda world: world.remove_pods("other"), True, id="a bound pod is gone"),
        pytest.param(lambda world: world.add(make_other(phase="Succeeded")), True, id="a bound pod is over"),
        pytest.param(lambda world: world.add(make_node("n2")), False, id="a heartbeat"),
        pytest.param(lambda world: world.add(make_other()), False, id="a pod's status"),
        pytest.param(lambda world: world.remove_pods("loose"), False, id="a pod that was not bound is gone"),
    ],
)
async def test_a_pod_without_a_place_is_tried_again_when_something_may_help(
    world: World, change: Callable[[World], None], *, helps: bool
) -> None:
    world.add(GO, make_pod("web-0"), make_other(), make_pod("loose", pod_set=""))
    assert world.planner is not None
    world.planner.refusing = {"web-0": "no room"}
    async with world.running():
        await settle(45)
        change(world)
        await settle()
        assert len(world.planner.problems) == 1 + helps


async def test_a_pod_that_a_planner_left_out_is_asked_about_again_within_a_minute(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    assert world.planner is not None
    world.planner.refusing = {"web-1": "no licence is free"}
    async with world.running():
        await settle(60)
        assert world.planner.asked[1:] == [["web-1"]]
        for _ in range(5):
            world.add(make_node("n2", cpu=str(8 + len(world.planner.asked))))  # a change does not delay it
            before = len(world.planner.asked)
            await settle(60)
            assert len(world.planner.asked) > before


def make_other(**fields: Any) -> Pod:
    return make_pod("other", pod_set="", node="n2", **fields)


async def test_a_plan_too_large_for_an_object_is_refused_with_its_reason(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pallet.podset.planning.PLAN_LIMIT", 60)
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle()
        assert world.plan() == {"web-0": "n1"}
        world.add(make_pod("web-1"), make_pod("web-2"))
        await settle(2)
        assert world.plan() == {"web-0": "n1"}
        assert "larger than an object may be" in world.told.conditions["web-1"][1]
        assert world.trigger().status.conditions[0].reason == "PodsRefused"


async def test_a_lost_place_has_the_rest_planned_anew_and_backs_off(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"), make_pod("web-2"))
    async with world.running():
        await settle()
        world.bind("web-2")
        await settle()
        world.activated.clear()
        assert world.planner is not None
        world.planner.default = "n2"
        world.lose("web-0")
        await settle(0.001)
        assert world.plan() == {"web-2": "n1", "web-0": "n2", "web-1": "n2"}
        assert world.activated == ["uid-web-0", "uid-web-1"]
        assert world.told.reasons("trigger").count("Replanned") == 1
        assert world.metrics.replans_total["NodeUnschedulable"].value == 1
        world.lose("web-1")
        await settle(0.5)
        assert len(world.planner.problems) == 2
        await settle(2)
        assert len(world.planner.problems) == 3


async def test_nobody_of_a_set_goes_while_it_is_planned_anew(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    seen: list[list[str]] = []
    async with world.running():
        await settle()
        assert world.planner is not None
        world.planner.meanwhile = lambda: seen.append(world.open(["web-0", "web-1"]))
        world.lose("web-0")
        await settle()
        assert seen == [[]]
        assert world.regated == ["uid-web-0", "uid-web-1"]
        assert world.open(["web-0", "web-1"]) == ["web-0", "web-1"]


async def test_pods_planned_on_a_node_that_goes_are_planned_anew(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle()
        assert world.planner is not None
        world.planner.default = "n2"
        world.remove_node("n1")
        await settle()
        assert world.plan() == {"web-0": "n2"}
        assert world.metrics.replans_total["NodeGone"].value == 1


async def test_a_place_lost_while_the_binding_failed_is_kept_again(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle()
        world.cache.unreserve("uid-web-0")
        world.gates.look_at(world.pod("web-0"))
        await settle(0.001)
        assert world.reserved() == {"uid-web-0": "n1"}


async def test_a_trigger_of_which_an_older_crd_prunes_the_status_is_not_written_for_ever(
    world: World,
) -> None:
    world.api.prunes_status = True
    world.add(make_trigger(), make_pod("web-0"))
    async with world.running():
        await settle(300)
        assert len(world.api.written("patch", "scheduletriggers/status")) == 1


async def test_a_status_that_cannot_be_written_stops_nothing(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    world.api.refuse = [("patch scheduletriggers/status", refusal(403, "Forbidden"))] * 50
    async with world.running():
        await settle()
        world.add(make_pod("web-1"))
        await settle()
        assert world.plan() == {"web-0": "n1", "web-1": "n1"}


@pytest.mark.parametrize(
    "error",
    [refusal(500, "InternalError"), Unreachable("https://api", "gone"), AnswerLost("create", "plan", "gone")],
)
async def test_a_plan_that_cannot_be_written_is_written_later(world: World, error: Exception) -> None:
    world.add(GO, make_pod("web-0"))
    world.api.refuse = [("create scheduleplans", error)] * 4
    async with world.running():
        await settle(0.01)
        assert world.open(["web-0"]) == []
        await settle(5)
        assert world.open(["web-0"]) == ["web-0"]
        assert world.planner is not None
        assert len(world.planner.problems) == 1, "the planner is not asked again for that"


async def test_a_plan_that_exists_without_its_label_is_taken_over(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    stray = make_plan({})
    world.api.put(
        SCHEDULE_PLANS,
        type(stray)(type(stray.metadata)(name=stray.metadata.name, namespace="default", uid="u"), stray.spec),
    )
    async with world.running():
        await settle(2)
        assert world.plan() == {"web-0": "n1"}
        assert world.open(["web-0"]) == ["web-0"]


async def test_a_plan_that_went_unseen_is_created_again(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle()
        unseen(world, lambda: world.api.remove(SCHEDULE_PLANS, make_plan({}).metadata.name))
        world.add(make_pod("web-1"))
        await settle(2)
        assert world.plan() == {"web-0": "n1", "web-1": "n1"}
        assert world.open(["web-0", "web-1"]) == ["web-0", "web-1"]


async def test_a_trigger_that_went_unseen_is_not_switched_for_ever(world: World) -> None:
    world.add(make_trigger(quiet="10s"), make_pod("web-0"))
    async with world.running():
        await settle(5)
        unseen(world, lambda: world.api.remove(SCHEDULE_TRIGGERS, "trigger"))
        await settle(600)
        assert len([body for body in world.api.written("patch", "scheduletriggers") if "spec" in body]) == 1
        assert "has no ScheduleTrigger" in world.told.conditions["web-0"][1]


def unseen(world: World, change: Callable[[], None]) -> None:
    """Do something that the watch does not tell."""
    tell, world.api.told = world.api.told, lambda *_: None
    change()
    world.api.told = tell


async def test_a_plan_deleted_by_hand_is_written_again(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        await settle()
        world.bind("web-0")
        world.api.remove(SCHEDULE_PLANS, make_plan({}).metadata.name)
        assert world.open(["web-1"]) == []
        await settle()
        assert world.plan() == {"web-0": "n1", "web-1": "n1"}
        assert world.open(["web-1"]) == ["web-1"]


async def test_what_passes_by_itself_is_waited_for(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("victim", pod_set="", node="n1", deleted=10))
    async with world.running():
        await settle()
        words = world.gates.blocked(
            PodInfo(world.pod("web-0")), "n1", [], world.cache.snapshot, lambda _: True
        )
        assert words == 'waiting for pods to leave node "n1", where this pod is planned'
        await settle(5)
        assert world.planner is not None
        assert len(world.planner.problems) == 1
        assert world.open(["web-0"]) == ["web-0"]
