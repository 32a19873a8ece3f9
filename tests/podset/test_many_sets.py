"""Many sets that are to be planned at the same time."""

from dataclasses import dataclass, field

import anyio
import pytest

from pallet.api.plan_name import plan_name
from pallet.api.podset import SCHEDULE_PLANS
from pallet.planner.interface import Plan, Problem
from pallet.podset.reconciler import PLANS_AT_ONCE
from tests.builders import make_node, make_plan, make_pod, make_trigger
from tests.podset.world import ScriptedPlanner, World, settle

pytestmark = pytest.mark.anyio

SETS = 4 * PLANS_AT_ONCE


@dataclass
class SlowPlanner(ScriptedPlanner):
    """Takes a second for each plan; notes how many it makes at a time, and how many pods it found placed."""

    at_once: int = 0
    most_at_once: int = 0
    found: list[int] = field(default_factory=list)

    async def plan(self, problem: Problem) -> Plan:
        snapshot = problem.snapshot
        self.found.append(sum(len(list(snapshot.pods(row))) for row in snapshot.rows()))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await anyio.sleep(1)
        self.at_once -= 1
        return await super().plan(problem)


@pytest.fixture
def planner() -> SlowPlanner:
    return SlowPlanner()


@pytest.fixture
def world(planner: SlowPlanner) -> World:
    world = World()
    world.planner = planner
    world.add(make_node("n1"))
    for number in range(SETS):
        world.add(make_pod(f"web-{number}", pod_set=f"set-{number}"))
    return world


def switch_all(world: World) -> None:
    for number in range(SETS):
        world.add(make_trigger(f"trigger-{number}", pod_set=f"set-{number}", state="Schedule"))


async def test_few_sets_are_planned_at_a_time_and_each_finds_the_places_of_those_before(
    world: World, planner: SlowPlanner
) -> None:
    async with world.running():
        switch_all(world)
        await settle(10)
        assert len(world.activated) == SETS
    assert planner.most_at_once == PLANS_AT_ONCE
    assert planner.found == [each // PLANS_AT_ONCE * PLANS_AT_ONCE for each in range(SETS)]


async def test_a_set_that_waits_for_its_turn_is_planned_as_it_is_then(
    world: World, planner: SlowPlanner
) -> None:
    last = SETS - 1
    async with world.running():
        switch_all(world)
        await settle(0.5)
        world.remove_pods(f"web-{last}")
        world.add(make_pod("late", pod_set=f"set-{last}"), make_trigger("trigger-7", pod_set="set-7"))
        await settle(10)
        stored = world.api.read(SCHEDULE_PLANS, plan_name("default", f"set-{last}"))
        assert stored is not None
        assert [each.pod for each in stored.spec.plan] == ["late"]
    planned = {name for names in planner.asked for name in names}
    assert planned == {f"web-{number}" for number in range(last) if number != 7} | {"late"}


async def test_a_plan_that_somebody_else_stored_meanwhile_is_obeyed(
    world: World, planner: SlowPlanner
) -> None:
    last = SETS - 1
    async with world.running():
        switch_all(world)
        await settle(0.5)
        world.api.put(SCHEDULE_PLANS, make_plan({f"web-{last}": "n1"}, pod_set=f"set-{last}", by_hand=True))
        await settle(10)
        assert len(world.activated) == SETS
    assert [f"web-{last}"] not in planner.asked
