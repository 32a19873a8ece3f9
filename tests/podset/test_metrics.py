"""What tells an operator that a set is not where it should be."""

import pytest
from prometheus_client import generate_latest

from pallet.api.pod import PODS
from pallet.api.podset import SCHEDULE_PLANS, SCHEDULE_TRIGGERS
from pallet.framework.instruments import Instruments
from pallet.podset.metrics import FEW, PodSetMetrics
from tests.builders import at, make_plan, make_pod, make_trigger
from tests.podset.fake_api import refusal
from tests.podset.sets_of import WEB
from tests.podset.world import World, settle

pytestmark = pytest.mark.anyio

GO = make_trigger(state="Schedule")
UNAVAILABLE = refusal(503, "ServiceUnavailable")


async def test_a_trigger_that_cannot_be_switched_is_overdue_until_it_is(world: World) -> None:
    world.add(make_trigger(quiet="10s"), make_pod("web-0"))
    async with world.running():
        await settle(9.9)
        world.api.refuse = [("patch scheduletriggers", UNAVAILABLE)] * 1000
        assert world.metrics.overdue.longest() == 0
        await settle(60)
        assert world.metrics.overdue.longest() == pytest.approx(59.9, abs=0.1)
        world.api.refuse = []
        await settle(60)
        assert world.trigger().spec.state == "Schedule"
        assert world.metrics.overdue.longest() == 0


@pytest.mark.parametrize("because", ["switched by hand", "no pods", "nothing left"])
async def test_nothing_is_overdue_that_nobody_waits_for(world: World, because: str) -> None:
    world.add(make_trigger(quiet="10s"), make_pod("web-0"))
    world.api.refuse = [("patch scheduletriggers", UNAVAILABLE)] * 1000
    async with world.running():
        await settle(60)
        assert world.metrics.overdue.longest() > 0
        if because == "switched by hand":
            world.add(GO)
        else:
            world.remove_pods("web-0")
        if because == "nothing left":
            world.api.remove(SCHEDULE_TRIGGERS, "trigger")
        await settle(1)
        assert world.metrics.overdue.longest() == 0


async def test_a_plan_that_cannot_be_stored_is_behind_until_it_is(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    world.api.refuse = [("create scheduleplans", UNAVAILABLE)] * 1000
    async with world.running():
        await settle(60)
        assert world.metrics.plan_behind.longest() == pytest.approx(60, abs=0.1)
        world.api.refuse = []
        await settle(60)
        assert world.plan() == {"web-0": "n1"}
        assert world.metrics.plan_behind.longest() == 0


async def test_a_pod_bound_by_somebody_else_is_counted_once_and_the_plan_follows(world: World) -> None:
    world.add(GO, make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        await settle()
        world.bind("web-0")
        pod = world.pod("web-1")
        assert world.gates.verdict(pod).node == "n1"
        for labels in ({}, {"changed": "later"}):
            world.api.put(PODS, make_pod("web-1", uid=pod.metadata.uid, node="n2", labels=labels))
        await settle(2)
        assert world.metrics.bound_off_plan_total.value == 1
        assert world.plan() == {"web-0": "n1", "web-1": "n2"}
        assert world.metrics.plan_behind.longest() == 0


async def test_a_replica_that_stands_by_counts_nobody(world: World) -> None:
    """It may hear of another one's plan after it hears of the bindings."""
    world.add(GO, make_pod("web-0"))
    world.stand_by()
    world.api.put(SCHEDULE_PLANS, make_plan({"web-0": "n1"}))
    world.api.put(PODS, make_pod("web-0", uid=world.pod("web-0").metadata.uid, node="n2"))
    assert world.metrics.bound_off_plan_total.value == 0


def test_the_longest_of_all_sets_is_shown() -> None:
    instruments = Instruments()
    metrics = PodSetMetrics(instruments, lambda: at(100))
    shown = generate_latest(instruments.registry).decode()
    assert "\npodset_trigger_overdue_seconds 0.0\n" in shown
    assert "\npodset_plan_behind_seconds 0.0\n" in shown
    assert "\npodset_bound_off_plan_total 0.0\n" in shown

    for name, since in (("one", 40), ("two", 70), ("later", 130)):
        metrics.overdue.note(WEB._replace(name=name), at(since))
        metrics.pending.note(WEB._replace(name=name), at(since))
    metrics.plan_behind.keep(WEB, late=True)
    shown = generate_latest(instruments.registry).decode()
    assert "\npodset_trigger_overdue_seconds 60.0\n" in shown
    assert "\npodset_plan_behind_seconds 0.0\n" in shown
    assert "\npodset_oldest_pending_seconds 60.0\n" in shown
    assert '\npodset_pending_seconds{pod_set="default/two"} 30.0\n' in shown

    metrics.forget(WEB._replace(name="one"))
    assert metrics.overdue.longest() == 30


async def test_a_set_is_pending_from_its_switch_until_its_last_pod_is_bound(world: World) -> None:
    world.add(make_trigger(), make_pod("web-0"), make_pod("web-1"))
    async with world.running():
        await settle(100)
        assert world.metrics.pending.longest() == 0
        world.add(GO)
        await settle(60)
        world.bind("web-0")
        await settle(30)
        assert world.metrics.pending.longest() == pytest.approx(90, abs=0.1)
        assert world.metrics.pending.longest_few() == {"default/web": pytest.approx(90, abs=0.1)}
        world.bind("web-1")
        await settle(1)
        assert world.metrics.pending.longest() == 0
        assert world.metrics.pending.longest_few() == {}


async def test_a_set_that_pods_join_and_are_bound_is_as_old_as_the_oldest_that_waits(world: World) -> None:
    world.add(GO)
    async with world.running():
        for number in range(10):
            world.add(make_pod(f"web-{number}", created=10 * number))
            await settle(10)
            assert world.metrics.pending.longest() == pytest.approx(10, abs=1)
            world.bind(f"web-{number}")


async def test_it_is_as_old_after_a_restart(world: World) -> None:
    world.add(GO, make_pod("web-0"))
    async with world.running():
        await settle(100)
    async with world.running():
        await settle(1)
        assert world.metrics.pending.longest() == pytest.approx(100, abs=1.1)


async def test_only_few_sets_have_a_series_of_their_own(world: World) -> None:
    async with world.running():
        for number in range(FEW + 5):
            world.add(make_trigger(f"t-{number}", pod_set=f"set-{number}", state="Schedule", created=number))
            world.add(make_pod(f"web-{number}", pod_set=f"set-{number}", created=number))
            await settle(1)
        told = world.metrics.pending.longest_few()
        assert list(told) == [f"default/set-{number}" for number in range(FEW)]
