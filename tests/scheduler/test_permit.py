"""Pods that wait for permission, from the promise of a place to its end."""

import anyio
import pytest

from pallet.cache.pod_info import PodInfo
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Code, Status
from pallet.scheduler.scheduler import MAX_BINDINGS
from tests.builders import make_pod
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.scheduler.probe import Probe
from tests.scheduler.world import World, a_world

pytestmark = pytest.mark.anyio

WAIT = Status(Code.WAIT)


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


class TestPermit:
    @pytest.fixture(autouse=True)
    def waits(self, probe: Probe) -> None:
        probe.said["permit"] = WAIT

    async def test_a_pod_waits_and_is_bound_once_allowed(self, world: World) -> None:
        world.add_pod("a")
        await anyio.sleep(5)
        assert world.api.bound == []
        assert world.held() == ["a"]
        (held_back,) = world.waiting
        assert held_back.pending == ("Probe",)
        held_back.allow("Probe")
        await world.until(lambda: world.api.bound == ["a n1"])
        assert list(world.waiting) == []
        assert world.metrics.permit_wait_duration_seconds["Success"].sum >= 5

    async def test_one_that_is_allowed_before_its_wait_began_is_bound(self, world: World) -> None:
        world.scheduler.stop()
        await anyio.sleep(1)
        world.add_pod("a")
        queued = world.queue.pop()
        assert queued is not None
        assumed = world.scheduler._cycle(queued)
        assert assumed is not None
        (held_back,) = world.waiting
        held_back.allow("Probe")
        await world.scheduler._bind(assumed)
        assert world.api.bound == ["a n1"]

    @pytest.mark.parametrize("how", ["rejected", "timed out"])
    async def test_one_that_is_not_allowed_is_refused_by_the_plugin(self, world: World, how: str) -> None:
        world.add_pod("a")
        await world.until(lambda: world.held() == ["a"])
        if how == "rejected":
            (held_back,) = world.waiting
            held_back.reject("Probe", "too few of us")
        await world.until(lambda: bool(world.api.events))
        reason = {
            "rejected": "too few of us",
            "timed out": "rejected due to timeout after waiting 10s at plugin Probe",
        }[how]
        assert world.api.notes == [f"FailedScheduling: 0/1 nodes are available: 1 {reason}."]
        assert world.held() == []
        await anyio.sleep(30)
        assert world.queue._unschedulable.get("uid-a") is not None
        world.add_node("n2")
        await world.until(lambda: len(list(world.waiting)) == 1)

    async def test_each_plugin_has_its_own_time(self) -> None:
        short, long = Probe("Short"), Probe("Long")
        short.said["permit"] = long.said["permit"] = WAIT
        long.wait = 60
        async with a_world(short, long) as world:
            world.add_pod("a")
            await world.until(lambda: world.held() == ["a"])
            (held_back,) = world.waiting
            held_back.allow("Short")
            await anyio.sleep(50)
            assert world.held() == ["a"]
            await world.until(lambda: bool(world.api.events))
            assert "after waiting 60s at plugin Long" in world.api.notes[0]

    @pytest.mark.parametrize("what", ["deleted", "terminating", "bound by somebody else"])
    async def test_a_pod_that_needs_no_place_any_more_does_not_wait(
        self, world: World, probe: Probe, what: str
    ) -> None:
        probe.wait = 800
        pod = world.add_pod("a")
        await world.until(lambda: world.held() == ["a"])
        if what == "deleted":
            world.delete(pod)
        elif what == "terminating":
            world.handlers.update_pod(pod, make_pod("a", deleted=5, version=2))
        else:
            world.api.pods[pod.key]["spec"]["nodeName"] = "n9"
            world.watch(pod)
        await world.until(lambda: not list(world.waiting))
        await anyio.sleep(1)
        assert anyio.current_time() < 60
        assert world.held() == []
        assert "Probe unreserve a" in probe.asked

    async def test_waiting_pods_do_not_keep_others_from_being_bound(self, world: World, probe: Probe) -> None:
        probe.said["permit"] = lambda pod: WAIT if pod.metadata.name.startswith("w") else SUCCESS
        world.add_node("big", "4", pods=1000)
        for number in range(MAX_BINDINGS + 1):
            world.add_pod(f"w{number}", cpu="1m", priority=1)
        world.add_pod("a", cpu="1m")
        await world.until(lambda: len(world.api.bound) == 1)
        assert len(list(world.waiting)) == MAX_BINDINGS + 1
        for held_back in world.waiting:
            held_back.allow("Probe")
        await world.until(lambda: len(world.api.bound) == MAX_BINDINGS + 2)

    async def test_long_preparations_do_not_keep_others_from_being_bound(self) -> None:
        ready = anyio.Event()

        class Prepares(Probe):
            async def pre_bind(self, state: CycleState, info: PodInfo, node_name: str) -> Status:
                if info.pod.metadata.name.startswith("w"):
                    await ready.wait()
                return SUCCESS

        async with a_world(Prepares()) as world:
            world.add_node("big", "4", pods=1000)
            for number in range(MAX_BINDINGS + 1):
                world.add_pod(f"w{number}", cpu="1m", priority=1)
            world.add_pod("a", cpu="1m")
            await world.until(lambda: len(world.api.bound) == 1)
            ready.set()
            await world.until(lambda: len(world.api.bound) == MAX_BINDINGS + 2)

    async def test_a_waiting_pod_keeps_the_events_it_must_not_miss(self, world: World) -> None:
        world.add_pod("a")
        await world.until(lambda: world.held() == ["a"])
        world.add_node("n2")
        (held_back,) = world.waiting
        held_back.reject("Probe", "no")
        await world.until(lambda: len(list(world.waiting)) == 1 and bool(world.api.events))
