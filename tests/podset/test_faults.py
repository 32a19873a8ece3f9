"""Faults of the original, and a scheduler's usual ones, as far as they concern pod sets."""

from typing import Any

import anyio
import pytest

from pallet.api.podset import LAST_JOINED, PLANNING_GENERATION, PLANNING_SINCE, SCHEDULE_PLANS
from tests.builders import at, make_node, make_plan, make_pod, make_trigger
from tests.podset.fake_api import refusal
from tests.podset.world import World, settle

pytestmark = pytest.mark.anyio

GO = make_trigger(state="Schedule")


def waiting(quiet: str = "10s", **fields: Any) -> Any:
    return make_trigger(quiet=quiet, **fields)


async def switches_at(world: World, *, within: float = 3600) -> float | None:
    """When the trigger is switched to Schedule, to the hundredth of a second; None when it is not in time."""
    world.switched = anyio.Event()
    with anyio.move_on_after(within):
        await world.switched.wait()
        return round(anyio.current_time(), 2)
    return None


async def test_fault_1_no_pod_goes_before_the_trigger_even_with_one_feasible_node() -> None:
    world = World()
    world.add(make_node("n1"), make_trigger(), make_pod("web-0"))
    async with world.running():
        await settle(60)
        assert world.open(["web-0"]) == []
        assert world.activated == []


async def test_fault_2_the_plan_is_not_rewritten_to_follow_what_would_score_better(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle()
        world.add(make_node("n3", cpu="64"))
        await settle(50)
        assert world.gates.verdict(world.pod("web-0")).node == "n1"
        assert world.plan() == {"web-0": "n1"}
        assert world.planner is not None
        assert len(world.planner.problems) == 1


async def test_fault_3_every_pod_that_joins_resets_the_quiet_time(world: World) -> None:
    async with world.running():
        world.add(waiting())
        for number in range(5):
            world.add(make_pod(f"web-{number}", created=anyio.current_time()))
            await settle(8)
        assert await switches_at(world) == 42.0


async def test_fault_5_a_conflict_on_the_switch_is_read_again_and_tried_again(world: World) -> None:
    world.add(waiting(), make_pod("web-0"))
    conflict = ("patch scheduletriggers", refusal(409, "Conflict"))
    world.api.refuse = [("patch scheduletriggers", None), conflict, conflict, conflict]
    async with world.running():
        at_last = await switches_at(world)
        assert at_last is not None
        assert 10.0 <= at_last <= 12.0
        assert world.api.gets == 3


async def test_fault_5_a_foreign_change_just_before_the_switch_is_respected(world: World) -> None:
    world.add(waiting(), make_pod("web-0"))
    async with world.running():
        await settle(9.9)
        world.add(waiting("60s"))
        assert await switches_at(world) == 60.0


async def test_fault_5_a_change_that_the_watch_has_not_told_yet_is_respected_too(world: World) -> None:
    world.add(waiting(), make_pod("web-0"))
    async with world.running():
        await settle(9.9)
        tell, world.api.told = world.api.told, lambda *_: None
        world.add(waiting("60s"))
        world.api.told = tell
        assert await switches_at(world) == 60.0


async def test_fault_5_errors_drop_no_timer(world: World) -> None:
    world.add(waiting(), make_pod("web-0"))
    world.api.refuse = [("patch scheduletriggers", refusal(503, "ServiceUnavailable"))] * 12
    async with world.running():
        assert await switches_at(world) is not None


async def test_fault_5_switched_back_the_quiet_time_begins_anew(world: World) -> None:
    world.add(waiting(), make_pod("web-0"))
    async with world.running():
        assert await switches_at(world) == 10.0
        await settle(20)
        world.add(waiting())
        assert await switches_at(world) == 40.0


async def test_fault_5_switched_there_and_back_before_anybody_looked_it_begins_anew(world: World) -> None:
    world.add(waiting(), make_pod("web-0"))
    async with world.running():
        await settle(5)
        tell, world.api.told = world.api.told, lambda *_: None
        world.add(GO)
        world.api.told = tell
        world.add(waiting())
        assert await switches_at(world) == 15.0


@pytest.mark.parametrize("kills", [1, 3])
async def test_fault_5_a_restart_does_not_change_the_quiet_time(world: World, kills: int) -> None:
    world.add(waiting(), make_pod("web-0"))
    async with world.running():
        await settle(3.3)
        world.add(make_pod("web-1", created=3))
        await settle(2)
    for _ in range(kills):
        async with world.running():
            await settle(1)
    async with world.running():
        assert await switches_at(world) == 14.0, "the whole second after the last join, and the quiet time"


async def test_fault_5_a_restart_after_the_end_switches_at_once(world: World) -> None:
    world.add(waiting(), make_pod("web-0"))
    async with world.running():
        await settle(5)
    await settle(60)
    async with world.running():
        assert await switches_at(world) == 65.0


async def test_deleting_the_youngest_pod_does_not_shorten_the_quiet_time(world: World) -> None:
    world.add(waiting(), make_pod("web-0"))
    async with world.running():
        await settle(5)
        world.add(make_pod("web-1", created=5))
        await settle(1.5)
        world.remove_pods("web-1")
        await settle(1)
    async with world.running():
        assert await switches_at(world) == 15.0


async def test_a_set_without_pods_never_fires(world: World) -> None:
    world.add(waiting("1s"))
    async with world.running():
        assert await switches_at(world, within=600) is None
        world.add(make_pod("web-0", created=anyio.current_time()))
        assert await switches_at(world) == 601.0


async def test_a_set_whose_pods_are_all_bound_does_not_fire(world: World) -> None:
    world.add(waiting("1s"), make_pod("web-0", node="n1"))
    async with world.running():
        assert await switches_at(world, within=600) is None


async def test_a_quiet_time_may_be_mended_or_changed_while_it_counts(world: World) -> None:
    world.add(waiting("soon"), make_pod("web-0"))
    async with world.running():
        assert await switches_at(world, within=20) is None
        assert world.trigger().status.conditions[0].type == "InvalidQuietTime"
        world.add(waiting("60s"))
        await settle(10)
        world.add(waiting("45s"))
        assert await switches_at(world) == 45.0
        assert [each.type for each in world.trigger().status.conditions] == ["Planned", "Bound"]


async def test_what_the_quiet_time_counts_from_is_kept_on_the_trigger(world: World) -> None:
    world.add(waiting(), make_pod("web-0"))
    async with world.running():
        await settle(2)
        kept = world.trigger().metadata.annotations
        assert kept[PLANNING_SINCE] == kept[LAST_JOINED] == "2030-01-01T00:00:00.000000Z"
        assert world.trigger().status.quiet_until == at(10)


async def test_fault_6_bound_pods_are_never_planned_again(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        await settle()
        world.bind("web-0")
    async with world.running():
        world.add(make_node("n1", cordoned=True))
        await settle()
        assert world.planner is not None
        world.planner.default = "n2"
        world.lose("web-1")
        await settle()
        assert world.planner.asked == [["web-0", "web-1"], ["web-1"]]
        assert world.plan() == {"web-0": "n1", "web-1": "n2"}


async def test_fault_7_deletions_missed_while_it_was_down_leave_no_stale_entries(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        await settle()
        world.bind_all()
        await settle()
    world.remove_pods("web-0")
    async with world.running():
        await settle()
        assert world.plan() == {"web-1": "n1"}
    world.remove_pods("web-1")
    async with world.running():
        await settle()
        assert world.plan() is None


async def test_fault_9_nothing_is_read_but_through_the_watches(world: World) -> None:
    world.add(waiting(), *(make_pod(f"web-{number}") for number in range(20)))
    async with world.running():
        await settle(15)
        world.bind_all()
        await settle(5)
        assert world.bindings() == world.plan()
        assert world.api.gets == 0


async def test_a_restart_with_a_plan_reserves_room_before_anything_is_scheduled(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        await settle()
        world.bind("web-0")
    async with world.running():
        assert world.reserved() == {"uid-web-1": "n1"}
        assert world.open(["web-1"]) == ["web-1"]
        await settle()
        assert world.planner is not None
        assert len(world.planner.problems) == 1, "the stored plan is obeyed, not made again"


async def test_a_binding_that_differs_from_a_restored_plan_corrects_the_plan(world: World) -> None:
    world.add(GO, make_pod("web-0", node="n2"), make_pod("web-1"))
    async with world.running():
        await settle()
    world.api.put(SCHEDULE_PLANS, make_plan({"web-0": "n1", "web-1": "n1"}))
    async with world.running():
        await settle()
        assert world.plan() == {"web-0": "n2", "web-1": "n1"}


async def test_a_planned_node_that_went_while_it_was_down_is_replaced(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle()
    world.remove_node("n1")
    async with world.running():
        assert world.planner is not None
        world.planner.default = "n2"
        await settle()
        assert world.plan() == {"web-0": "n2"}


@pytest.mark.parametrize("writes", range(9))
async def test_killed_between_any_two_writes_a_set_is_placed_as_planned(world: World, writes: int) -> None:
    world.add(waiting("2s"), *(make_pod(f"web-{number}") for number in range(4)))
    world.api.halts_at = writes
    async with world.running():
        await settle(5)
        world.bind_all()
        await settle(3)
    halted, world.api.halts_at = world.bindings(), None
    async with world.running():
        assert world.planner is not None
        world.planner.default = "n2"
        await settle(5)
        world.bind_all()
        await settle(3)
        assert world.plan() == world.bindings()
        assert len(world.bindings()) == 4
        assert halted.items() <= world.bindings().items()


@pytest.mark.parametrize("annotation", [LAST_JOINED, PLANNING_SINCE])
async def test_an_annotation_from_the_future_does_not_stall_the_set(world: World, annotation: str) -> None:
    world.add(waiting(annotations={annotation: "9999-12-31T23:59:59Z", PLANNING_GENERATION: "1"}))
    world.add(make_pod("web-0"))
    world.api.refuse = [("patch scheduletriggers", refusal(500, "InternalError"))] * 3  # also if uncorrected
    async with world.running():
        await settle(30)
        assert world.trigger().spec.state == "Schedule"


async def test_a_bad_quiet_time_is_told_once_on_its_trigger(world: World) -> None:
    world.add(waiting("soon"), make_pod("web-0"))
    async with world.running():
        await settle(30)
        world.add(make_pod("web-1"))
        await settle(30)
        [note] = world.told.notes("trigger", "InvalidQuietTime")
        assert note.startswith("label planner.ciena.io/quiet-time: 'soon' is not a duration")
        world.add(waiting("10s"))
        await settle(1)
        world.add(waiting("-1s"))
        await settle(1)
        assert len(world.told.notes("trigger", "InvalidQuietTime")) == 2
