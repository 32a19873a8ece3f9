"""The loop, from a pending pod to its binding, and every way in which that can fail."""

from collections.abc import AsyncIterator
from itertools import pairwise

import anyio
import pytest
from aiohttp import web
from msgspec.structs import replace

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import ASSIGNED_POD_DELETE, Action, ClusterEvent, EventInterest, EventResource
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Code, Status, error, unschedulable
from pallet.scheduler.scheduler import MAX_BINDINGS, SLICE_SECONDS
from tests.builders import SCHEDULER, make_pod
from tests.faults.proxy import Exchange, answer, cut
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.scheduler.probe import Probe
from tests.scheduler.world import ALWAYS, World, a_world

pytestmark = pytest.mark.anyio

WAIT = Status(Code.WAIT)
POINTS = ("pre_filter", "filter", "reserve", "permit", "pre_bind")


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


@pytest.fixture
async def probe() -> Probe:
    probe = Probe()
    probe.interests = [EventInterest(ClusterEvent(EventResource.NODE, Action.ADD))]
    return probe


@pytest.fixture
async def world(probe: Probe) -> AsyncIterator[World]:
    async with a_world(probe) as world:
        yield world


def nowhere(world: World, pod: Pod) -> bool:
    """Whether neither the queue nor the cache knows a pod."""
    uid = pod.metadata.uid
    queue = world.queue
    return queue._find(uid) is None and not queue.is_in_flight(uid) and world.cache.placement(uid) is None


async def test_a_pod_is_bound_and_that_is_said_and_counted(world: World, probe: Probe) -> None:
    pod = world.add_pod("a")
    await world.until(lambda: bool(world.api.events))
    assert world.api.bound == ["a n1"]
    assert world.held() == ["a"]
    assert world.api.notes == ["Scheduled: Successfully assigned default/a to n1"]
    assert [asked.split()[1] for asked in probe.asked] == [
        *("pre_enqueue", "pre_enqueue", "pre_filter", "filter", "reserve", "permit", "pre_bind", "post_bind")
    ]
    world.watch(pod)
    assert world.held() == ["a"]
    assert world.queue.pop() is None
    metrics = world.metrics
    assert metrics.schedule_attempts_total["scheduled", SCHEDULER].value == 1
    assert metrics.scheduling_attempt_duration_seconds["scheduled", SCHEDULER].count == 1
    assert metrics.pod_scheduling_sli_duration_seconds["1"].count == 1
    assert metrics.pod_scheduling_attempts.count == 1
    points = metrics.framework_extension_point_duration_seconds
    before, after = ("PreFilter", "Filter"), ("Reserve", "Permit", "PreBindPreFlight", "PreBind", "Bind")
    for point in (*before, *after, "PostBind"):
        assert points[point, "Success", SCHEDULER].count == 1, point
    assert points["Score", "Success", SCHEDULER].count == 0  # one node needs no ranking
    plugins = metrics.plugin_execution_duration_seconds
    for point in ("PreEnqueue", "PreFilter", "Filter", "Reserve", "PreBind", "PostBind"):
        assert plugins[probe.name, point, "Success"].count == 1, point
    assert plugins["DefaultBinder", "Bind", "Success"].count == 1
    world.add_pod("b")
    await world.until(lambda: world.api.bound == ["a n1", "b n1"])
    assert points["PreFilter", "Success", SCHEDULER].count == 2
    assert plugins[probe.name, "PreFilter", "Success"].count == 1  # only some cycles are sampled
    assert metrics.plugin_evaluation_total[probe.name, "PreFilter", SCHEDULER].value == 2


async def test_a_pod_that_does_not_fit_is_told_why_and_waits(world: World) -> None:
    world.add_pod("a", cpu="5")
    await world.until(lambda: bool(world.api.events and world.api.conditions))
    why = "0/1 nodes are available: 1 Insufficient cpu."
    assert world.api.notes == [f"FailedScheduling: {why}"]
    assert [(each["reason"], each["message"]) for each in world.api.conditions] == [("Unschedulable", why)]
    await anyio.sleep(200)
    assert len(world.api.events) == 1
    world.add_node("n2", "8")
    await world.until(lambda: world.api.bound == ["a n2"])


async def test_without_nodes_kube_schedulers_words_are_used_and_any_event_helps(world: World) -> None:
    node = world.cache.snapshot.table.nodes[0]
    assert node is not None
    world.handlers.delete_node(node)
    world.add_pod("a")
    await world.until(lambda: bool(world.api.events))
    assert world.api.notes == ["FailedScheduling: no nodes available to schedule pods"]
    assert world.api.conditions[0]["reason"] == "Unschedulable"
    world.add_node("n2")
    await world.until(lambda: world.api.bound == ["a n2"])


async def test_what_post_filter_says_follows_the_refusals(world: World, probe: Probe) -> None:
    probe.said["post_filter"] = unschedulable("no new claims to deallocate", "preemption: no")
    world.add_pod("a", cpu="5")
    await world.until(lambda: bool(world.api.events))
    assert world.api.events[0]["note"] == (
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: no"
    )


async def test_a_terminating_pod_is_skipped(world: World) -> None:
    pod = world.api.put(make_pod("a", deleted=1))
    world.handlers.add_pod(pod)
    await world.until(lambda: bool(world.api.events))
    assert world.api.notes == ["FailedScheduling: skip schedule deleting pod: default/a"]
    assert nowhere(world, pod)
    assert world.api.conditions == []


class TestBinding:
    async def test_one_that_is_refused_is_forgotten_and_tried_again(self, world: World, probe: Probe) -> None:
        world.meet("POST", "/binding$", answer(403, {"code": 403, "message": "no"}))
        world.add_pod("a")
        await world.until(lambda: bool(world.api.conditions))
        assert world.held() == []
        words = 'running Bind plugin "DefaultBinder": no'
        assert world.api.notes == [f"FailedScheduling: {words}"]
        assert [(each["reason"], each["message"]) for each in world.api.conditions] == [
            ("SchedulerError", words)
        ]
        assert "Probe unreserve a" in probe.asked
        await world.until(lambda: world.api.bound == ["a n1"])

    async def test_one_whose_answer_is_lost_counts_once(self, world: World) -> None:
        world.api.lose_answers = 1
        world.add_pod("a")
        await world.until(lambda: bool(world.api.events))
        assert world.api.bound == ["a n1"]
        assert world.held() == ["a"]
        assert world.api.notes == ["Scheduled: Successfully assigned default/a to n1"]
        assert world.metrics.schedule_attempts_total["scheduled", SCHEDULER].value == 1

    async def test_one_that_did_not_arrive_is_tried_again(self, world: World) -> None:
        world.meet("POST", "/binding$", cut)
        world.add_pod("a")
        await world.until(lambda: world.api.bound == ["a n1"])
        assert world.held() == ["a"]

    async def test_where_the_api_cannot_be_asked_nothing_is_guessed(self, world: World) -> None:
        world.api.lose_answers = 1
        world.meet("GET", "/pods/", answer(403), times=30)
        world.add_pod("a")
        await anyio.sleep(20)
        assert world.held() == ["a"]
        assert world.api.events == []
        await world.until(lambda: bool(world.api.events))
        assert world.api.notes == ["Scheduled: Successfully assigned default/a to n1"]

    async def test_a_pod_that_somebody_else_bound_is_counted_where_it_is(self, world: World) -> None:
        world.add_node("n2")
        pod = make_pod("a")
        world.api.put(make_pod("a", node="n3", version=2))
        world.seen[pod.key] = pod
        world.handlers.add_pod(pod)
        await world.until(lambda: world.metrics.schedule_attempts_total["error", SCHEDULER].value == 1)
        world.watch(pod)
        assert world.held("n1") == world.held("n2") == []
        placement = world.cache.placement("uid-a")
        assert placement is not None
        assert world.cache.snapshot.table.name(placement.row) == "n3"
        await anyio.sleep(30)
        assert world.api.bound == []
        assert world.api.conditions == []

    async def test_a_pod_deleted_meanwhile_leaves_nothing_behind(self, world: World, probe: Probe) -> None:
        deleted = anyio.Event()

        async def late(exchange: Exchange) -> web.StreamResponse:
            await deleted.wait()
            return await world.api.bind(exchange)

        world.meet("POST", "/binding$", late)
        pod = world.add_pod("a")
        await world.until(lambda: world.held() == ["a"])
        world.delete(pod)
        assert world.held() == []
        deleted.set()
        await world.until(lambda: "Probe unreserve a" in probe.asked)
        await anyio.sleep(30)
        assert nowhere(world, pod)
        assert world.held() == []
        assert world.api.events == []

    async def test_a_namesake_is_not_bound(self, world: World) -> None:
        old = make_pod("a", uid="old")
        world.api.put(make_pod("a", uid="new"))
        world.handlers.add_pod(old)
        await world.until(lambda: world.metrics.schedule_attempts_total["error", SCHEDULER].value == 1)
        assert world.api.bound == []

    async def test_a_late_update_of_a_bound_pod_is_not_scheduled_again(self, world: World) -> None:
        pod = world.add_pod("a")
        await world.until(lambda: world.api.bound == ["a n1"] and not world.queue.is_in_flight("uid-a"))
        late = replace(pod, metadata=replace(pod.metadata, resource_version="2"))
        world.handlers.update_pod(pod, late)
        assert world.queue.pop() is None
        assert world.held() == ["a"]

    async def test_one_that_has_a_place_is_not_given_another(self, world: World) -> None:
        pod = world.add_pod("a")
        await world.until(lambda: world.api.bound == ["a n1"] and not world.queue.is_in_flight("uid-a"))
        world.queue.add(pod)
        await anyio.sleep(5)
        assert world.held() == ["a"]
        assert world.queue.pop() is None
        assert world.metrics.schedule_attempts_total["error", SCHEDULER].value == 0

    async def test_a_binding_seen_before_its_answer_counts_once(self, world: World) -> None:
        pod = world.add_pod("a")
        await world.until(lambda: bool(world.api.bound))
        world.watch(pod)
        await world.until(lambda: bool(world.api.events))
        assert world.held() == ["a"]
        assert world.metrics.schedule_attempts_total["scheduled", SCHEDULER].value == 1

    async def test_what_a_failed_pod_held_helps_others(self, world: World, probe: Probe) -> None:
        probe.interests[:] = [EventInterest(ASSIGNED_POD_DELETE)]
        probe.said["pre_bind"] = lambda pod: error("no") if pod.metadata.name == "big" else SUCCESS
        probe.said["permit"] = lambda pod: WAIT if pod.metadata.name == "big" else SUCCESS
        world.add_pod("big", cpu="4")
        await world.until(lambda: world.held() == ["big"])
        world.add_pod("small")
        await world.until(lambda: bool(world.api.events))
        held_back = world.waiting.get("uid-big")
        assert held_back is not None
        held_back.allow("Probe")
        await world.until(lambda: world.api.bound == ["small n1"])
        assert anyio.current_time() < 60


class TestPlugins:
    @pytest.mark.parametrize(
        ("point", "said"),
        [
            *((point, ValueError("broken")) for point in (*POINTS, "post_filter")),
            *((point, error("broken")) for point in POINTS),
        ],
    )
    async def test_one_that_fails_ends_its_pods_cycle_only(
        self, world: World, probe: Probe, point: str, said: Status | Exception
    ) -> None:
        fails = {"a"}

        def fail(pod: Pod) -> Status:
            if pod.metadata.name not in fails:
                return SUCCESS
            if isinstance(said, Exception):
                raise said
            return said

        probe.said[point] = fail
        world.add_pod("a", cpu="5" if point == "post_filter" else "1", priority=1)
        await world.until(lambda: world.metrics.schedule_attempts_total["error", SCHEDULER].value == 1)
        assert world.held() == []
        world.add_pod("b")
        await world.until(lambda: "b n1" in world.api.bound)
        fails.clear()
        if point != "post_filter":
            await world.until(lambda: "a n1" in world.api.bound)
        assert any("broken" in condition["message"] for condition in world.api.conditions)

    @pytest.mark.parametrize("point", ["unreserve", "post_bind"])
    async def test_one_that_fails_where_nothing_can_be_refused_is_only_logged(
        self, world: World, probe: Probe, point: str
    ) -> None:
        probe.said[point] = ValueError("broken")
        if point == "unreserve":
            probe.said["pre_bind"] = error("not yet")
        world.add_pod("a")
        await world.until(lambda: f"Probe {point} a" in probe.asked)
        probe.said.pop("pre_bind", None)
        world.add_pod("b")
        await world.until(lambda: sorted(world.api.bound) == ["a n1", "b n1"])

    async def test_a_refusal_at_reserve_is_undone_in_reverse(self) -> None:
        asked: list[str] = []
        first, second, third = (Probe(name, asked) for name in ("A", "B", "C"))
        second.said["reserve"] = unschedulable("not here")
        async with a_world(first, second, third) as world:
            world.add_pod("a")
            await world.until(lambda: bool(world.api.conditions))
            assert [each for each in asked if "reserve" in each] == [
                *("A reserve a", "B reserve a", "C unreserve a", "B unreserve a", "A unreserve a")
            ]
            assert world.held() == []
            assert world.api.notes == ["FailedScheduling: 0/1 nodes are available: 1 not here."]
            assert world.api.conditions[0]["reason"] == "Unschedulable"

    async def test_a_refusal_at_pre_bind_is_tried_again_after_a_backoff(
        self, world: World, probe: Probe
    ) -> None:
        probe.said["pre_bind"] = unschedulable("not yet")
        world.add_pod("a")
        await world.until(lambda: bool(world.api.conditions))
        assert world.api.conditions[0]["reason"] == "Unschedulable"
        del probe.said["pre_bind"]
        await world.until(lambda: world.api.bound == ["a n1"])
        assert anyio.current_time() < 60

    @pytest.mark.parametrize("prepares", [True, False])
    async def test_a_pod_that_is_prepared_shows_its_node_meanwhile(self, *, prepares: bool) -> None:
        class Preparing(Probe):
            def has_to_prepare(self, state: CycleState, pod: Pod, node_name: str) -> bool:
                return prepares

            async def pre_bind(self, state: CycleState, pod: Pod, node_name: str) -> Status:
                await anyio.sleep(5)
                return await super().pre_bind(state, pod, node_name)

        probe = Preparing()
        async with a_world(probe) as world:
            world.add_pod("a")
            await anyio.sleep(1)
            shown = world.api.pod("default/a").status.nominated_node_name
            assert (shown, world.api.bound) == (("n1", []) if prepares else ("", ["a n1"]))
            await world.until(lambda: world.api.bound == ["a n1"])
            assert ("Probe pre_bind a" in probe.asked) is prepares

    async def test_a_binder_may_leave_a_pod_to_the_next_but_somebody_must_bind(self) -> None:
        class Skips:
            name = "Skips"

            async def bind(self, state: CycleState, pod: Pod, node_name: str) -> Status:
                return Status(Code.SKIP)

        async with a_world(bind=Skips()) as world:
            world.add_pod("a")
            await world.until(lambda: bool(world.api.conditions))
            assert world.api.conditions[0]["message"] == "every bind plugin skipped the pod"
            assert world.held() == []


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
            async def pre_bind(self, state: CycleState, pod: Pod, node_name: str) -> Status:
                if pod.metadata.name.startswith("w"):
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


class TestReservation:
    async def test_the_room_kept_for_a_pod_is_free_to_it_and_to_nobody_else(self, world: World) -> None:
        owner = make_pod("owner", cpu="4")
        world.cache.reserve(PodInfo(owner), "n1")
        world.add_pod("other")
        await world.until(lambda: bool(world.api.events))
        assert world.api.bound == []
        world.add_pod("owner", cpu="4")
        await world.until(lambda: world.api.bound == ["owner n1"])
        assert world.held() == ["owner"]

    @pytest.mark.parametrize("point", ["filter", "reserve", "permit", "pre_bind"])
    async def test_it_is_kept_when_the_pod_fails(self, world: World, probe: Probe, point: str) -> None:
        owner = make_pod("owner", cpu="4")
        world.cache.reserve(PodInfo(owner), "n1")
        probe.said[point] = error("not now") if point == "pre_bind" else unschedulable("not now")
        world.add_pod("owner", cpu="4")
        await world.until(lambda: bool(world.api.events))
        assert world.held() == ["owner"]
        del probe.said[point]
        world.add_node("n2", "1")
        await world.until(lambda: world.api.bound == ["owner n1"])

    async def test_it_is_kept_when_a_plugin_breaks(self, world: World, probe: Probe) -> None:
        world.cache.reserve(PodInfo(make_pod("owner", cpu="4")), "n1")
        probe.said["pre_filter"] = ValueError("broken")
        world.add_pod("owner", cpu="4")
        await world.until(lambda: bool(world.api.events))
        assert world.held() == ["owner"]

    async def test_it_goes_with_the_pod(self, world: World, probe: Probe) -> None:
        probe.said["permit"] = WAIT
        pod = make_pod("owner", cpu="4")
        world.cache.reserve(PodInfo(pod), "n1")
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

    async def test_others_have_their_turn_between_slices(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 0.0
        cycles: list[float] = []

        def cycle(queued: object) -> None:
            nonlocal now
            now += 0.002
            cycles.append(now)

        monkeypatch.setattr(world.scheduler, "_clock", lambda: now)
        monkeypatch.setattr(world.scheduler, "_cycle", cycle)
        turns: list[int] = []
        for number in range(10):
            world.queue.add(make_pod(f"p{number}"))
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
            turns.append(len(cycles))
        longest = int(SLICE_SECONDS / 0.002) + 1
        assert turns[0] <= longest
        assert all(later - earlier <= longest for earlier, later in pairwise(turns))
        assert turns[-1] == 10

    async def test_a_backoff_ends_even_while_others_wait(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A pod of high priority must not wait until the queue has run dry."""
        seen: list[str] = []
        now = 1000.0
        monkeypatch.setattr(world.queue, "_clock", lambda: now)
        monkeypatch.setattr(world.scheduler, "_clock", lambda: now)

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
