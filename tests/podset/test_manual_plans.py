"""Plans that were written by hand."""

from collections.abc import Mapping
from itertools import count

import msgspec
import pytest

from pallet.api.labels import Labels
from pallet.api.podset import PLANNED_BY, SCHEDULE_PLANS, Assignment, SchedulePlan
from pallet.podset.plan import is_manual, planner_of, signature
from tests.builders import make_node, make_plan, make_pod, make_trigger
from tests.podset.sets_of import WEB
from tests.podset.world import World, settle

pytestmark = pytest.mark.anyio

GO = make_trigger(state="Schedule")
NAME = WEB.plan_name
_uids = count()


def write(world: World, nodes: Mapping[str, str]) -> None:
    """Create a plan by hand."""
    world.api.put(SCHEDULE_PLANS, make_plan(nodes, by_hand=True, uid=f"by-hand-{next(_uids)}"))


def stored(world: World) -> SchedulePlan:
    plan = world.api.read(SCHEDULE_PLANS, NAME)
    assert plan is not None
    return plan


async def test_what_the_scheduler_writes_is_signed_with_the_planner_and_a_hash(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle()
        plan = stored(world)
        assert not is_manual(plan)
        assert planner_of(plan) == "scripted"
        assert plan.metadata.annotations[PLANNED_BY] == signature("scripted", [Assignment("web-0", "n1")])


def test_a_plan_is_manual_without_a_signature_or_with_other_entries() -> None:
    ours, other = make_plan({"a": "n1"}), make_plan({"a": "n2"})
    assert not is_manual(ours)
    assert is_manual(msgspec.structs.replace(ours, spec=other.spec))
    unsigned = msgspec.structs.replace(ours.metadata, annotations=Labels({}))
    assert is_manual(msgspec.structs.replace(ours, metadata=unsigned))
    assert is_manual(make_plan({}, by_hand=True))


async def test_one_written_under_planning_is_kept_and_shown_and_reserves_nothing(world: World) -> None:
    world.add(make_trigger(), make_pod("web-0"))
    async with world.running():
        await settle()
        write(world, {"web-0": "n2"})
        await settle(5)
        assert world.plan() == {"web-0": "n2"}
        assert world.api.written("patch", "scheduleplans") == []
        assert world.reserved() == {}
        assert world.open(["web-0"]) == []
        planned = world.trigger().status.conditions[0]
        assert (planned.type, planned.status, planned.reason) == ("Planned", "True", "Manual")
        assert world.trigger().status.planned == 1


@pytest.mark.parametrize("restarted", [False, True])
async def test_it_is_obeyed_at_the_switch_without_asking_a_planner(world: World, *, restarted: bool) -> None:
    world.add(make_trigger(), make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        write(world, {"web-0": "n2", "web-1": "n1"})
        await settle()
        if not restarted:
            world.add(GO)
            await settle()
    if restarted:
        world.add(GO)
    async with world.running():
        await settle()
        assert world.reserved() == {"uid-web-0": "n2", "uid-web-1": "n1"}
        world.bind_all()
        await settle()
        assert world.bindings() == {"web-0": "n2", "web-1": "n1"}
        assert world.planner is not None
        assert world.planner.asked == []
        assert is_manual(stored(world))
        assert world.told.notes("trigger", "PlanEntriesNotUsed") == []


async def test_one_written_before_the_first_pod_is_kept_until_it_is_obeyed(world: World) -> None:
    world.add(make_trigger())
    async with world.running():
        write(world, {"web-0": "n2"})
        await settle(120)
        assert world.plan() == {"web-0": "n2"}
        world.add(make_pod("web-0"))
        await settle()
        world.add(GO)
        await settle()
        assert world.plan() == world.bound_after_opening() == {"web-0": "n2"}


async def test_it_stays_manual_when_a_deleted_pod_leaves_it_and_goes_with_the_last_one(world: World) -> None:
    world.add(make_trigger(), make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        write(world, {"web-0": "n2", "web-1": "n1", "later": "n1"})
        await settle()
        world.remove_pods("web-1")
        await settle(2)
        assert world.plan() == {"web-0": "n2", "later": "n1"}
        assert is_manual(stored(world))
        world.remove_pods("web-0")
        await settle(2)
        assert world.plan() is None


async def test_a_change_by_hand_makes_ours_manual_for_good(world: World) -> None:
    """Even when what is left of it after a deletion is what we once wrote."""
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        await settle()
        world.bind("web-0")
        world.add(make_trigger())
        await settle(2)
        assert world.plan() == {"web-0": "n1"}
        assert not is_manual(stored(world))
        edited = make_plan({"web-0": "n1", "web-1": "n2"}, uid=stored(world).metadata.uid, by_hand=True)
        world.api.put(SCHEDULE_PLANS, edited)
        await settle()
        assert world.plan() == {"web-0": "n1", "web-1": "n2"}
        world.remove_pods("web-1")
        await settle(2)
        assert world.plan() == {"web-0": "n1"}
        assert is_manual(stored(world))


async def test_ours_is_deleted_when_the_trigger_switches_back(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle()
        world.add(make_trigger())
        await settle()
        assert world.plan() is None


async def test_a_manual_one_survives_the_switch_back(world: World) -> None:
    world.add(make_trigger(), make_pod("web-0"))
    async with world.running():
        write(world, {"web-0": "n2"})
        world.add(GO)
        await settle()
        world.add(make_trigger())
        await settle()
        assert world.plan() == {"web-0": "n2"}
        assert world.reserved() == {}


async def test_an_entry_that_is_refused_to_a_popped_pod_is_told_and_the_others_stand(
    world: World,
) -> None:
    """The pod may be popped as soon as the plan is seen, before room is reserved."""
    world.add(make_trigger(), make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        write(world, {"web-0": "n2", "web-1": "n2"})
        await settle()
        world.add(GO)
        told = world.lose("web-0")
        assert told == 'planned node "n2" does not fit any more, another is planned for this pod'
        await settle()
        assert world.plan() == {"web-0": "n1", "web-1": "n2"}
        assert world.planner is not None
        assert world.planner.asked == [["web-0"]]
        [note] = world.told.notes("trigger", "PlanEntriesNotUsed")
        assert 'pod web-0: node "n2", planned for pod web-0, is refused' in note
        assert world.told.notes("trigger", "Replanned") == []


async def test_entries_that_cannot_be_used_are_told_and_their_pods_planned(world: World) -> None:
    full = make_pod("full", pod_set="", node="n3")
    world.add(make_node("n3", cordoned=True), full, make_trigger())
    world.add(*(make_pod(name) for name in ("web-0", "web-1", "web-2")), make_pod("gated", gates=["later"]))
    async with world.running():
        write(world, {"web-0": "n2", "web-1": "no-such-node", "gated": "n1", "no-such-pod": "n1"})
        await settle()
        world.add(GO)
        await settle()
        assert world.plan() == {"web-0": "n2", "web-1": "n1", "web-2": "n1"}
        assert not is_manual(stored(world))
        assert world.planner is not None
        assert world.planner.asked == [["web-1", "web-2"]], "what is valid is not planned again"
        [note] = world.told.notes("trigger", "PlanEntriesNotUsed")
        assert note.startswith(f"3 entries of SchedulePlan {NAME}, written by hand, are not used: ")
        assert 'pod web-1: node "no-such-node", planned for pod web-1, is gone' in note
        assert "pod gated: the set has no such pod" in note
        assert "pod no-such-pod: the set has no such pod" in note


async def test_what_is_changed_by_hand_after_the_switch_is_obeyed_at_once(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle()
        edited = make_plan({"web-0": "n2"}, uid=stored(world).metadata.uid, by_hand=True)
        world.api.put(SCHEDULE_PLANS, edited)
        await settle()
        assert world.gates.verdict(world.pod("web-0")).node == "n2"
        assert world.reserved() == {"uid-web-0": "n2"}
