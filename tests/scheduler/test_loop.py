"""The loop under load and at its end, and room that is kept for planned pods."""

from itertools import pairwise

import anyio
import pytest
from aiohttp import web

from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from pallet.framework.status import Code, Status, error, unschedulable
from pallet.loop_budget import SLICE_SECONDS
from pallet.scheduler.scheduler import MAX_BINDINGS
from tests.builders import make_pod
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.scheduler.probe import Probe
from tests.scheduler.world import ALWAYS, World, a_world
from tools.faults.proxy import Exchange

pytestmark = pytest.mark.anyio

WAIT = Status(Code.WAIT)


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


class TestReservation:
    async def test_the_room_kept_for_a_pod_is_free_to_it_and_to_nobody_else(self, world: World) -> None:
        owner = make_pod("owner", cpu="4")
        world.cache.reserve(PodInfo(owner), "n1", Owner())
        world.add_pod("other")
        await world.until(lambda: bool(world.api.events))
        assert world.api.bound == []
        world.add_pod("owner", cpu="4")
        await world.until(lambda: world.api.bound == ["owner n1"])
        assert world.held() == ["owner"]

    @pytest.mark.parametrize("point", ["filter", "reserve", "permit", "pre_bind"])
    async def test_it_is_kept_when_the_pod_fails(self, world: World, probe: Probe, point: str) -> None:
        owner = make_pod("owner", cpu="4")
        world.cache.reserve(PodInfo(owner), "n1", Owner())
        probe.said[point] = error("not now") if point == "pre_bind" else unschedulable("not now")
        world.add_pod("owner", cpu="4")
        await world.until(lambda: bool(world.api.events))
        assert world.held() == ["owner"]
        del probe.said[point]
        world.add_node("n2", "1")
        await world.until(lambda: world.api.bound == ["owner n1"])

    async def test_it_is_kept_when_a_plugin_breaks(self, world: World, probe: Probe) -> None:
        world.cache.reserve(PodInfo(make_pod("owner", cpu="4")), "n1", Owner())
        probe.said["pre_filter"] = ValueError("broken")
        world.add_pod("owner", cpu="4")
        await world.until(lambda: bool(world.api.events))
        assert world.held() == ["owner"]

    async def test_it_goes_with_the_pod(self, world: World, probe: Probe) -> None:
        probe.said["permit"] = WAIT
        pod = make_pod("owner", cpu="4")
        world.cache.reserve(PodInfo(pod), "n1", Owner())
        world.add_pod("owner", cpu="4")
        await world.until(lambda: len(list(world.waiting)) == 1)
        world.delete(pod)
        await world.until(lambda: "Probe unreserve owner" in probe.asked)
        assert world.held() == []


class TestLoop:
    async def test_not_more_bindings_than_allowed_run_at_once(self, world: World) -> None:
        running, most = 0, 0
        release = anyio.Event()

        async def slow(exchange: Exchange) -> web.StreamResponse:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await release.wait()
            running -= 1
            return await world.api.bind(exchange)

        world.meet("POST", "/binding$", slow, times=ALWAYS)
        world.add_node("big", "4", pods=1000)
        for number in range(MAX_BINDINGS + 20):
            world.add_pod(f"p{number}", cpu="1m")
        under_way = world.metrics.goroutines["binding"]
        await world.until(lambda: running > 0 and under_way.value == MAX_BINDINGS)
        await anyio.sleep(1)
        assert under_way.value == MAX_BINDINGS
        release.set()
        await world.until(lambda: len(world.api.bound) == MAX_BINDINGS + 20)
        assert most <= MAX_BINDINGS

    async def test_the_end_of_a_binding_wakes_the_loop_only_when_it_waits_for_a_slot(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        release = anyio.Event()

        async def slow(exchange: Exchange) -> web.StreamResponse:
            await release.wait()
            return await world.api.bind(exchange)

        world.meet("POST", "/binding$", slow)
        world.add_pod("a")
        await world.until(lambda: world.held() == ["a"])
        await anyio.sleep(1)
        turns: list[None] = []
        monkeypatch.setattr(world.queue, "flush", lambda: turns.append(None))
        release.set()
        await world.until(lambda: world.api.bound == ["a n1"])
        await anyio.sleep(1)
        assert turns == []

    async def test_others_have_their_turn_between_slices(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 0.0
        cycles: list[float] = []

        def cycle(queued: object) -> None:
            nonlocal now
            now += 0.002
            cycles.append(now)

        monkeypatch.setattr(world.budget, "_clock", lambda: now)
        monkeypatch.setattr(world.scheduler, "_cycle", cycle)
        turns: list[int] = []
        for number in range(20):
            world.queue.add(make_pod(f"p{number}"))
        while len(cycles) < 20:
            await anyio.lowlevel.checkpoint()
            turns.append(len(cycles))
        longest = int(SLICE_SECONDS / 0.002) + 1
        assert turns[0] <= longest
        assert all(later - earlier <= longest for earlier, later in pairwise(turns))

    async def test_a_backoff_ends_even_while_others_wait(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A pod of high priority must not wait until the queue has run dry."""
        seen: list[str] = []
        now = 1000.0
        monkeypatch.setattr(world.queue, "_clock", lambda: now)
        monkeypatch.setattr(world.budget, "_clock", lambda: now)

        def cycle(queued: object) -> None:
            nonlocal now
            now += 0.5
            name = queued.pod.metadata.name  # type: ignore[attr-defined]  # a QueuedPod
            seen.append(name)
            if name == "high" and seen.count("high") == 1:
                world.queue.retry(queued)  # type: ignore[arg-type]  # a QueuedPod
            else:
                world.queue.done(f"uid-{name}")

        monkeypatch.setattr(world.scheduler, "_cycle", cycle)
        for number in range(20):
            world.queue.add(make_pod(f"p{number:02}"))
        world.queue.add(make_pod("high", priority=9))
        await world.until(lambda: len(seen) == 22)
        assert 1 < len(seen) - 1 - seen[::-1].index("high") < 6

    async def test_a_pod_in_backoff_is_tried_when_its_time_comes(self, world: World, probe: Probe) -> None:
        probe.said["reserve"] = error("not yet")
        world.add_pod("a")
        await world.until(lambda: "Probe reserve a" in probe.asked)
        start = anyio.current_time()
        del probe.said["reserve"]
        await world.until(lambda: bool(world.api.bound))
        assert 0.9 <= anyio.current_time() - start <= 1.5

    async def test_stop_lets_bindings_end_and_starts_nothing_new(self) -> None:
        probe = Probe()
        probe.said["permit"] = WAIT
        async with a_world(probe) as world:
            world.add_pod("a")
            await world.until(lambda: world.held() == ["a"])
            world.scheduler.stop()
            await anyio.sleep(1)
            world.add_pod("b")
            (held_back,) = world.waiting
            held_back.allow("Probe")
            await world.until(lambda: world.api.bound == ["a n1"])
            await anyio.sleep(5)
            assert world.api.bound == ["a n1"]

    async def test_cancelled_while_bindings_run_it_ends_at_once(self) -> None:
        probe = Probe()
        probe.said["permit"] = WAIT
        async with a_world(probe) as world:
            world.add_pod("a")
            await world.until(lambda: world.held() == ["a"])
        assert world.api.bound == []
        assert list(world.waiting) == []
        assert world.metrics.goroutines["binding"].value == 0
