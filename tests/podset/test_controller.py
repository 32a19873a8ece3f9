"""What happens as planned."""

from typing import Any

import msgspec
import pytest

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.pod import PODS, Pod
from pallet.api.podset import (
    POD_SET_LABEL,
    SCHEDULE_TRIGGERS,
)
from tests.builders import make_node, make_pod, make_trigger
from tests.podset.world import World, settle

pytestmark = pytest.mark.anyio

GO = make_trigger(state="Schedule")


async def test_a_set_is_planned_stored_and_let_go_when_its_trigger_switches(world: World) -> None:
    world.add(make_trigger(), make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        await settle()
        assert world.plan() is None
        assert world.planner is not None
        assert world.planner.problems == []
        assert world.told.conditions["web-0"] == (
            "AwaitingTrigger",
            'waiting for ScheduleTrigger "trigger" to switch from Planning to Schedule',
        )
        world.planner.script = {"web-1": "n2"}
        world.add(GO)
        await settle(0.001)
        assert world.plan() == {"web-0": "n1", "web-1": "n2"}
        assert world.activated == ["uid-web-0", "uid-web-1"]
        assert world.reserved() == {"uid-web-0": "n1", "uid-web-1": "n2"}
        world.bind("web-0", "web-1")
        await settle()
        assert world.plan() == {"web-0": "n1", "web-1": "n2"}
        assert world.planner.asked == [["web-0", "web-1"]]


async def test_nothing_is_written_again_when_all_is_at_rest(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle()
        world.bind("web-0")
        await settle(10)
        before = len(world.api.writes)
        world.add(make_node("n3"))
        await settle(600)
        assert len(world.api.writes) == before


async def test_pods_are_activated_by_priority_and_then_in_the_order_of_the_plan(world: World) -> None:
    world.add(make_pod("web-0"), make_pod("web-1", priority=5), make_pod("web-2"))
    async with world.running():
        world.add(GO)
        await settle()
        assert world.activated == ["uid-web-1", "uid-web-0", "uid-web-2"]


async def test_room_is_reserved_before_the_plan_is_stored_and_the_gate_opens_after_it(world: World) -> None:
    world.add(make_pod("web-0"))
    tell, seen = world.api.told, list[tuple[dict[str, str], list[str]]]()

    def look(plural: str, what: str, old: Any, new: Any) -> None:
        if (plural, what) == ("scheduleplans", "add"):
            seen.append((world.reserved(), world.open(["web-0"])))
        tell(plural, what, old, new)

    async with world.running():
        world.api.told = look
        world.add(GO)
        await settle(0.01)
        assert seen == [({"uid-web-0": "n1"}, [])]
        assert world.open(["web-0"]) == ["web-0"]


async def test_a_pod_that_joins_is_planned_at_once_with_the_others_where_they_are(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle()
        assert world.planner is not None
        world.planner.default = "n2"
        world.add(make_pod("web-1"))
        await settle(0.001)
        assert world.plan() == {"web-0": "n1", "web-1": "n2"}
        assert world.planner.asked == [["web-0"], ["web-1"]]
        assert world.planner.placed[1] == {"uid-web-0"}


async def test_a_deleted_pod_leaves_the_plan_and_the_last_one_takes_it_along(world: World) -> None:
    world.add(GO, *(make_pod(f"web-{number}") for number in range(10)))
    async with world.running():
        await settle()
        world.bind(*(f"web-{number}" for number in range(10)))
        await settle(2)
        for number in range(9):
            world.remove_pods(f"web-{number}")
            await settle(0.05)
        await settle(2)
        assert world.plan() == {"web-9": "n1"}
        assert len(world.api.written("patch", "scheduleplans")) <= 2, "shrinking is coalesced"
        world.remove_pods("web-9")
        await settle()
        assert world.plan() is None


@pytest.mark.parametrize(
    "last", [{"phase": "Succeeded", "node": "n1"}, {"phase": "Failed", "node": "n1"}, {"deleted": 30}]
)
async def test_a_pod_that_is_over_does_not_keep_the_plan_alive(world: World, last: dict[str, Any]) -> None:
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle()
        assert world.plan() is not None
        world.add(make_pod("web-0", **last))
        await settle(2)
        assert world.plan() is None
        assert world.reserved() == {}


async def test_a_surge_pod_of_a_rollout_is_planned_while_the_old_one_runs(world: World) -> None:
    world.add(GO, make_pod("web-old"))
    async with world.running():
        await settle()
        world.bind("web-old")
        world.add(make_pod("web-new"))
        await settle()
        world.bind("web-new")
        world.add(make_pod("web-old", node="n1", deleted=30))
        await settle(2)
        assert world.plan() == {"web-new": "n1"}
        assert world.planner is not None
        assert world.planner.asked == [["web-old"], ["web-new"]], "the bound one is never planned again"


async def test_a_pod_moved_to_another_set_takes_nothing_along(world: World) -> None:
    world.add(GO, make_trigger("api", pod_set="api"), make_pod("web-0"))
    async with world.running():
        await settle()
        assert world.reserved() == {"uid-web-0": "n1"}
        world.add(make_pod("web-0", pod_set="api"))
        await settle()
        assert world.open(["web-0"]) == []
        assert world.reserved() == {}
        assert world.plan() is None


async def test_a_pod_that_loses_its_label_is_scheduled_like_any_other(world: World) -> None:
    world.add(make_trigger(), make_pod("web-0"))
    async with world.running():
        await settle()
        bare = world.pod("web-0")
        world.api.put(PODS, msgspec.structs.replace(bare, metadata=unlabelled(bare)))
        assert world.activated == ["uid-web-0"]
        assert world.told.conditions == {}


def unlabelled(pod: Pod) -> ObjectMeta:
    return msgspec.structs.replace(pod.metadata, labels=Labels({POD_SET_LABEL: ""}))


async def test_switched_back_the_set_gives_its_places_up_and_keeps_its_bindings(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        await settle()
        world.bind("web-0")
        world.add(make_trigger())
        assert world.regated == ["uid-web-1"], "at once, before the next pod is taken from the queue"
        await settle(2)
        assert world.plan() == {"web-0": "n1"}
        assert world.reserved() == {}
        assert world.open(["web-1"]) == []


async def test_without_a_planner_pods_are_scheduled_one_by_one(world: World) -> None:
    world.planner = None
    world.add(make_trigger(), make_pod("web-0"))
    async with world.running():
        await settle()
        assert world.open(["web-0"]) == []
        world.add(GO)
        await settle()
        assert world.activated == ["uid-web-0"]
        assert world.gates.verdict(world.pod("web-0")).node == ""
        assert world.plan() is None


async def test_the_first_of_several_triggers_counts_and_the_other_says_so(world: World) -> None:
    world.add(make_trigger("a"), make_trigger("b", state="Schedule"), make_pod("web-0"))
    async with world.running():
        await settle(2)
        assert world.open(["web-0"]) == []
        assert [each.type for each in world.trigger("b").status.conditions] == ["Conflict"]
        world.api.remove(SCHEDULE_TRIGGERS, "a")
        await settle(2)
        assert world.plan() == {"web-0": "n1"}
        assert [each.type for each in world.trigger("b").status.conditions] == ["Planned", "Bound"]


async def test_the_status_follows_at_most_once_a_second(world: World) -> None:
    world.add(make_trigger())
    async with world.running():
        await settle(5)
        before = len(world.api.written("patch", "scheduletriggers/status"))
        for number in range(40):
            world.add(make_pod(f"web-{number}"))
            await settle(0.05)
        await settle(2)
        assert len(world.api.written("patch", "scheduletriggers/status")) - before <= 4
        assert world.trigger().status.total == 40


async def test_times_from_the_switch_are_measured(world: World) -> None:
    world.add(make_trigger(), make_pod("web-0"))
    async with world.running():
        await settle()
        world.add(GO)
        await settle()
        world.bind("web-0")
        await settle()
        assert world.metrics.trigger_to_plan_seconds.count == 1
        assert world.metrics.trigger_to_last_bind_seconds.count == 1
        assert world.metrics.trigger_to_last_bind_seconds.sum == pytest.approx(0.5, abs=0.01)
        assert world.metrics.sets["scheduled"].value == 1
