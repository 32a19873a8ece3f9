"""What room is reserved for a set, against whom, and for how long."""

from typing import TYPE_CHECKING, cast

import pytest

from pallet.api.podset import SCHEDULE_PLANS
from pallet.cache.cache import Cache
from pallet.planner.interface import PlannerError
from pallet.plugins.inter_pod_affinity import InterPodAffinity, InterPodAffinityArgs
from pallet.plugins.node_resources_fit import NodeResourcesFit, NodeResourcesFitArgs
from pallet.plugins.node_unschedulable import NodeUnschedulable
from pallet.runtime.profile import Profile
from tests.builders import (
    SCHEDULER,
    make_node,
    make_plan,
    make_pod,
    make_trigger,
    pod_affinity,
    pod_term,
)
from tests.podset.fake_api import refusal
from tests.podset.world import World, settle
from tests.profiles import make_handle

if TYPE_CHECKING:
    from pallet.framework.interface import QueueSortPlugin

pytestmark = pytest.mark.anyio

GO = make_trigger(state="Schedule")


def some_filters(cache: Cache) -> Profile:
    """A profile with filters about nodes, about sums, and about other pods."""
    handle = make_handle(cache)
    affinity = InterPodAffinity(InterPodAffinityArgs(), handle)
    fit = NodeResourcesFit(NodeResourcesFitArgs(), handle)
    return Profile(
        SCHEDULER,
        {},
        cast("QueueSortPlugin", None),
        pre_filter=(affinity,),
        filter=(NodeUnschedulable(None, handle), fit, affinity),
    )


@pytest.fixture
def world() -> World:
    """Two nodes of 4 cpu."""
    world = World(some_filters)
    world.add(make_node("n1"), make_node("n2"))
    return world


async def test_a_plan_by_hand_for_pods_that_fit_nowhere_reserves_nothing(world: World) -> None:
    plan = {}
    for number in range(10):
        world.add(make_node(f"node-{number}"), make_pod(f"web-{number}", cpu="10000"))
        plan[f"web-{number}"] = f"node-{number}"
    world.api.put(SCHEDULE_PLANS, make_plan(plan, by_hand=True))
    world.add(GO)
    async with world.running():
        await settle()
        assert world.reserved() == {}


async def test_nothing_is_reserved_while_the_trigger_says_planning(world: World) -> None:
    world.add(make_trigger(), make_pod("web-0"))
    async with world.running():
        await settle()
        before = world.cache.snapshot.table.load_changes.stamp
        world.api.put(SCHEDULE_PLANS, make_plan({"web-0": "n1"}, by_hand=True))
        await settle()
        assert world.cache.snapshot.table.load_changes.stamp == before


async def test_a_pod_with_gates_of_its_own_holds_no_node(world: World) -> None:
    world.add(GO, make_pod("web-0", cpu="4", gates=["example.com/later"]))
    async with world.running():
        await settle()
        assert world.reserved() == {}
        assert world.planner is not None
        assert world.planner.asked == []
        world.add(make_pod("web-0", cpu="4"))
        await settle()
        assert world.reserved() == {"uid-web-0": "n1"}
        assert world.plan() == {"web-0": "n1"}


async def test_a_pod_with_gates_of_its_own_is_not_counted_and_keeps_no_quiet_time(world: World) -> None:
    world.add(make_trigger(quiet="10s"), make_pod("web-0", gates=["example.com/later"]))
    async with world.running():
        await settle(30)
        assert world.trigger().spec.state == "Planning"
        assert world.trigger().status.total == 0
        world.add(make_pod("web-0"))
        await settle(9)
        assert world.trigger().spec.state == "Planning"
        assert world.trigger().status.total == 1
        await settle(2)
        assert world.trigger().spec.state == "Schedule"


async def test_each_member_is_asked_about_with_those_before_it_in_place(world: World) -> None:
    near = pod_affinity(near=[pod_term("db")])
    world.add(GO, make_pod("web-0", affinity=near), make_pod("db-0", labels={"app": "db"}))
    assert world.planner is not None
    world.planner.order = ["db-0", "web-0"]
    async with world.running():
        await settle()
        assert world.reserved() == {"uid-db-0": "n1", "uid-web-0": "n1"}


async def test_a_planned_node_that_refuses_a_pod_has_the_set_re_planned_without_a_reservation(
    world: World,
) -> None:
    world.add(GO, make_pod("other", node="n1", cpu="4", pod_set=""), make_pod("web-0"), make_pod("web-1"))
    assert world.planner is not None
    world.planner.script = {"web-1": "n2"}
    async with world.running():
        await settle()
        assert world.reserved() == {"uid-web-1": "n2"}
        assert "Insufficient cpu" in world.told.notes("trigger", "Replanned")[0]


async def test_room_is_reserved_in_place_of_pods_that_leave_until_they_are_overdue(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("victim", pod_set="", node="n1", cpu="4", deleted=10))
    async with world.running():
        await settle(39)
        assert world.reserved() == {"uid-web-0": "n1"}
        assert world.planner is not None
        assert len(world.planner.problems) == 1
        world.planner.default = "n2"
        await settle(2)
        assert world.reserved() == {"uid-web-0": "n2"}
        assert len(world.planner.problems) == 2


async def test_what_a_set_that_does_not_advance_has_reserved_is_released_and_reported(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        await settle(59)
        assert len(world.reserved()) == world.metrics.reserved_pods.value == 2
        assert world.trigger().status.reserved == 2
        assert world.released == []
        assert world.planner is not None
        world.planner.failures = [PlannerError("down")]
        await settle(3)
        assert world.reserved() == {}
        assert world.metrics.reserved_pods.value == 0
        assert [pod.metadata.name for pod in world.released] == ["web-0", "web-1"]
        assert world.metrics.reservations_released_total["expired"].value == 2
        assert world.told.notes("trigger", "ReservationExpired") == [
            "no pod was bound for 1m0s: the room reserved for 2 pods is released"
        ]


async def test_a_set_whose_reservations_expired_is_re_planned_with_growing_delays(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle(62)
        assert world.planner is not None
        assert len(world.planner.problems) == 2
        assert world.metrics.replans_total["Expired"].value == 1
        assert world.reserved() == {"uid-web-0": "n1"}
        released = []
        for _ in range(600):
            await settle(1)
            released.append(world.reserved() == {})
        assert released.count(True) > 100


async def test_a_set_that_advances_keeps_its_reservations(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"), make_pod("web-2"))
    async with world.running():
        for name in ("web-0", "web-1"):
            await settle(50)
            world.bind(name)
        await settle(50)
        assert world.reserved() == {"uid-web-2": "n1"}
        await settle(20)
        assert world.metrics.reservations_released_total["expired"].value == 1


async def test_a_plan_that_cannot_be_stored_keeps_no_room(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    world.api.refuse = [("create scheduleplans", refusal(403, "Forbidden"))] * 20
    async with world.running():
        await settle(2)
        assert world.reserved() == {}
        await settle(600)
        assert world.plan() == {"web-0": "n1"}


async def test_reservations_are_firm_from_the_first_binding_of_the_set_on(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        await settle()
        assert len(world.cache.yielding(1)) == 2
        assert world.cache.yielding(0) == []
        world.gates.begin(world.pod("web-0"))
        assert world.cache.yielding(1) == []


async def test_after_a_restart_they_are_firm_where_a_pod_is_bound(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        await settle()
        world.bind("web-0")
        await settle()
    async with world.running():
        await settle()
        assert world.reserved() == {"uid-web-1": "n1"}
        assert world.cache.yielding(1) == []


def take_room(world: World, node: str) -> None:
    """Take what is reserved on a node for a pod of priority 1."""
    world.cache.outrank([each for each in world.cache.yielding(1) if each.node == node])


async def test_a_set_whose_room_is_taken_by_a_higher_priority_is_re_planned(world: World) -> None:
    world.add(GO, make_pod("web-0", cpu="2"), make_pod("web-1", cpu="2"))
    async with world.running():
        await settle()
        assert world.planner is not None
        world.planner.default = "n2"
        take_room(world, "n1")
        world.cache.put_pod(make_pod("high", node="n1", cpu="4", priority=1))
        await settle()
        assert world.reserved() == {"uid-web-0": "n2", "uid-web-1": "n2"}
        assert world.metrics.reservations_released_total["outranked"].value == 2


async def test_a_set_whose_room_is_still_there_keeps_its_plan(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle()
        take_room(world, "n1")
        await settle()
        assert world.reserved() == {"uid-web-0": "n1"}
        assert world.planner is not None
        assert len(world.planner.problems) == 1


async def test_a_set_of_higher_priority_takes_the_room_of_one_that_has_not_started(world: World) -> None:
    world.remove_node("n2")
    world.add(GO, make_pod("web-0", cpu="4"))
    async with world.running():
        await settle()
        world.add(make_trigger("urgent", pod_set="db", state="Schedule"))
        world.add(make_pod("db-0", pod_set="db", cpu="4", priority=1))
        await settle()
        assert world.reserved() == {"uid-db-0": "n1"}
        assert world.metrics.replans_total["NodeResourcesFit"].value > 0


async def test_a_pod_that_goes_has_its_room_released_for_others(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        await settle()
        world.remove_pods("web-0")
        assert [pod.metadata.name for pod in world.released] == ["web-0"]
