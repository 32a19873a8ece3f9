"""The loop, from a pending pod to its binding, and every way in which that can fail."""

import logging

import anyio
import pytest
from aiohttp import web
from msgspec.structs import replace

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import ASSIGNED_POD_DELETE, EventInterest
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Code, Status, error, unschedulable
from pallet.runtime.pod_limits import CLAIMS
from tests.builders import SCHEDULER, make_pod
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.scheduler.probe import Probe
from tests.scheduler.world import World, a_world
from tests.storage import claimed
from tools.faults.proxy import Exchange, answer, cut

pytestmark = pytest.mark.anyio

WAIT = Status(Code.WAIT)
POINTS = ("pre_filter", "filter", "reserve", "permit", "pre_bind")


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


def nowhere(world: World, pod: Pod) -> bool:
    """Whether neither the queue nor the cache knows a pod."""
    uid = pod.metadata.uid
    queue = world.queue
    return queue._find(uid) is None and not queue.is_in_flight(uid) and world.cache.location(uid) is None


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


async def test_nothing_is_decided_while_the_view_is_in_doubt(
    world: World, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught_up = anyio.Event()
    monkeypatch.setattr(world.informers, "catch_up", caught_up.wait)
    world.view.doubt()
    world.add_pod("a")
    await anyio.sleep(30.0)
    assert "filter" not in {asked.split()[1] for asked in probe.asked}
    caught_up.set()
    await world.until(lambda: world.api.bound == ["a n1"])


async def test_the_loop_ends_also_while_the_view_is_in_doubt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.informers, "catch_up", anyio.sleep_forever)
    world.view.doubt()
    world.add_pod("a")
    await anyio.sleep(1.0)
    world.scheduler.stop()
    await anyio.sleep(1.0)
    assert world.api.bound == []


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


async def test_with_v_2_bindings_and_refusals_are_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO - 2, "pallet")
    world.add_pod("a")
    world.add_pod("b", cpu="5")
    await world.until(lambda: len(world.api.events) == 2)
    lines = [record.getMessage() for record in caplog.records]
    assert "Bound pod pod=default/a pod_set=web node=n1 attempts=1" in lines
    why = "0/1 nodes are available: 1 Insufficient cpu."
    assert f'Unable to schedule pod pod=default/b pod_set=web reason="{why}"' in lines
    assert not [line for line in lines if line.startswith("Chose a node")]


async def test_with_v_6_the_scores_behind_a_choice_are_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO - 6, "pallet")
    world.add_node("n2")
    world.add_pod("a")
    await world.until(lambda: bool(world.api.bound))
    [line] = [text for each in caplog.records if (text := each.getMessage()).startswith("Chose a node")]
    assert line.startswith(f"Chose a node pod=default/a node={world.api.bound[0].removeprefix('a ')} ")


async def test_a_pod_that_asks_for_more_than_is_counted_is_refused_once(world: World) -> None:
    """Not an error, which would be tried again and again; and no other pods help it."""
    world.add_pod("a", cpu="9E")
    await world.until(lambda: bool(world.api.events and world.api.conditions))
    why = "0/1 nodes are available: 1 node(s) cannot be asked for more than 9007199254740992m of cpu."
    assert [(each["reason"], each["message"]) for each in world.api.conditions] == [("Unschedulable", why)]
    gone = make_pod("gone", node="n1", version=2)
    world.handlers.add_pod(gone)
    world.handlers.delete_pod(gone)
    await anyio.sleep(200)
    attempts = world.metrics.schedule_attempts_total
    assert attempts["unschedulable", SCHEDULER].value == 1
    assert attempts["error", SCHEDULER].value == 0


async def test_a_pod_beyond_the_limits_is_refused_once(world: World) -> None:
    """No event makes it shorter."""
    volumes = [claimed(f"c{number}") for number in range(int(CLAIMS.most) + 1)]
    world.handlers.add_pod(world.api.put(make_pod("a", volumes=volumes)))
    await world.until(lambda: bool(world.api.conditions))
    world.add_node("n2")
    await anyio.sleep(200)
    assert world.metrics.schedule_attempts_total["unschedulable", SCHEDULER].value == 1


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
    probe.said["post_filter"] = unschedulable("no claims", "preemption: no")
    world.add_pod("a", cpu="5")
    await world.until(lambda: bool(world.api.events))
    assert world.api.events[0]["note"] == (
        "0/1 nodes are available: 1 Insufficient cpu. no claims, preemption: no"
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
        placement = world.cache.location("uid-a")
        assert placement is not None
        assert placement.node == "n3"
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
            def has_to_prepare(self, state: CycleState, info: PodInfo, node_name: str) -> bool:
                return prepares

            async def pre_bind(self, state: CycleState, info: PodInfo, node_name: str) -> Status:
                await anyio.sleep(5)
                return await super().pre_bind(state, info, node_name)

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

            async def bind(self, state: CycleState, info: PodInfo, node_name: str) -> Status:
                return Status(Code.SKIP)

        async with a_world(bind=Skips()) as world:
            world.add_pod("a")
            await world.until(lambda: bool(world.api.conditions))
            assert world.api.conditions[0]["message"] == "every bind plugin skipped the pod"
            assert world.held() == []

    @pytest.mark.parametrize(
        ("words", "note"),
        [
            pytest.param(["Here goes", "Unheard"], "Here goes a to n1", id="the first plugin's words"),
            pytest.param([""], "Successfully assigned default/a to n1", id="one that fails is passed over"),
        ],
    )
    async def test_a_plugin_words_the_one_event_about_a_binding(self, words: list[str], note: str) -> None:
        class Announcing(Probe):
            def scheduled_note(self, state: CycleState, info: PodInfo, node_name: str) -> str:
                if not self.name:
                    raise ValueError("no words")
                return f"{self.name} {info.pod.metadata.name} to {node_name}"

        async with a_world(*map(Announcing, words)) as world:
            world.add_pod("a")
            world.add_pod("b")
            await world.until(lambda: len(world.api.events) >= 2)
            assert world.api.notes == [f"Scheduled: {note}", f"Scheduled: {note.replace('a to', 'b to')}"]
            assert {event["reportingController"] for event in world.api.events} == {SCHEDULER}
