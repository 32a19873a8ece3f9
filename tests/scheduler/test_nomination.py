"""Nominations: where they come from, where they are written, and what happens when they end."""

from collections.abc import AsyncIterator

import anyio
import pytest
from msgspec.structs import replace

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from pallet.framework.events import NODE_ADD
from pallet.framework.status import SUCCESS, Status, error, unresolvable, unschedulable
from tests.builders import make_node, make_pod
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.scheduler.probe import Probe
from tests.scheduler.queue_world import QueueWorld
from tests.scheduler.world import World, a_world

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
async def world(probe: Probe) -> AsyncIterator[World]:
    async with a_world(probe) as world:
        yield world


def nominated(pod: Pod, node: str) -> Pod:
    """A newer version of a pod whose status names this node."""
    version = str(int(pod.metadata.resource_version) + 1)
    meta = replace(pod.metadata, resource_version=version)
    return replace(pod, metadata=meta, status=replace(pod.status, nominated_node_name=node))


class TestCycle:
    async def test_a_nomination_is_known_at_once_and_written_with_the_condition(
        self, world: World, probe: Probe
    ) -> None:
        probe.nominates = "n1"
        pod = world.add_pod("a", cpu="5")
        await world.until(lambda: bool(world.api.conditions))
        assert world.nominator.node_of("uid-a") == "n1"
        assert world.api.pod(pod.key).status.nominated_node_name == "n1"
        assert world.api.conditions[0]["message"] == "0/1 nodes are available: 1 Insufficient cpu."
        assert sum(request.startswith("PATCH") for request in world.server.requests) == 1

    @pytest.mark.parametrize(
        ("answer", "node", "left"),
        [
            (unschedulable("preemption: no"), "", ""),
            (unschedulable("preemption: wait"), None, "n1"),
            (unresolvable("preemption: never"), None, "n1"),
            (error("preemption: broken"), None, "n1"),
        ],
        ids=["takes it back", "lets it stand", "finds it unresolvable", "fails"],
    )
    async def test_what_becomes_of_an_earlier_nomination(
        self, world: World, probe: Probe, answer: Status, node: str | None, left: str
    ) -> None:
        probe.said["post_filter"] = answer
        probe.nominates = node
        pod = world.api.put(make_pod("a", cpu="5", nominated="n1"))
        world.seen[pod.key] = pod
        world.handlers.add_pod(pod)
        await world.until(lambda: bool(world.api.conditions))
        assert world.api.pod(pod.key).status.nominated_node_name == left
        assert world.nominator.node_of("uid-a") == left

    async def test_a_nomination_that_stands_may_be_newer_than_the_one_that_is_seen(
        self, world: World, probe: Probe
    ) -> None:
        probe.said["pre_enqueue"] = lambda _: SUCCESS if probe.said.get("post_filter") else unschedulable()
        pod = world.api.put(make_pod("a", cpu="5", nominated="n1"))
        world.handlers.add_pod(pod)
        probe.said["post_filter"] = unschedulable("preemption: wait")
        world.nominator.nominate(PodInfo(pod), "n2")
        world.queue.activate(["uid-a"])
        await world.until(lambda: bool(world.api.conditions))
        assert world.nominator.node_of("uid-a") == "n2"

    async def test_a_placed_pod_is_nominated_no_longer(self, world: World) -> None:
        pod = world.api.put(make_pod("a", nominated="n1"))
        world.handlers.add_pod(pod)
        assert world.nominator.node_of("uid-a") == "n1"
        await world.until(lambda: world.api.bound == ["a n1"])
        assert not world.nominator

    async def test_a_failure_after_the_choice_takes_the_nomination_back(
        self, world: World, probe: Probe
    ) -> None:
        probe.said["reserve"] = unschedulable("no")
        pod = world.api.put(make_pod("a", nominated="n1"))
        world.handlers.add_pod(pod)
        await world.until(lambda: bool(world.api.conditions))
        assert world.api.pod(pod.key).status.nominated_node_name == ""

    async def test_the_room_kept_for_a_pod_is_free_to_it_when_others_are_to_go(
        self, world: World, probe: Probe
    ) -> None:
        held: list[list[str]] = []

        def look(pod: Pod) -> Status:
            held.append(world.held())
            return unschedulable()

        probe.said["post_filter"] = look
        world.cache.reserve(PodInfo(make_pod("a", cpu="5")), "n1", Owner())
        world.add_pod("a", cpu="5")
        await world.until(lambda: bool(held))
        assert held == [[]]
        assert world.held() == ["a"]


class TestQueue:
    @pytest.mark.parametrize("gated", [False, True])
    def test_change_9_what_the_status_says_counts_when_the_pod_is_added_gated_or_not(
        self, *, gated: bool
    ) -> None:
        world = QueueWorld()
        nominator = world.queue._nominator
        if gated:
            world.probe.said["pre_enqueue"] = unschedulable("gated")
        pod = make_pod("a", nominated="n1")
        world.queue.add(pod)
        assert nominator.node_of("uid-a") == "n1"

    def test_updates_of_gated_pods_are_followed(self) -> None:
        world = QueueWorld()
        nominator = world.queue._nominator
        world.probe.said["pre_enqueue"] = unschedulable("gated")
        pod = make_pod("a", nominated="n1")
        world.queue.add(pod)
        world.queue.update(pod, newer := nominated(pod, "n1"))
        nominator.nominate(PodInfo(newer), "n2")
        world.queue.update(newer, nominated(newer, "n1"))
        assert nominator.node_of("uid-a") == "n2", "what is in memory stands"

    def test_updates_of_waiting_pods_are_followed(self) -> None:
        world = QueueWorld()
        nominator = world.queue._nominator
        pod = world.refused("a").pod
        world.queue.update(pod, newer := nominated(pod, "n1"))
        assert nominator.node_of("uid-a") == "n1"
        world.queue.update(newer, nominated(newer, ""))
        assert nominator.node_of("uid-a") == ""

    def test_updates_of_a_pod_in_flight_are_followed_until_it_is_assumed(self) -> None:
        world = QueueWorld()
        nominator = world.queue._nominator
        pod = make_pod("a", nominated="n1")
        world.queue.add(pod)
        world.pop()
        world.queue.update(pod, newer := nominated(pod, "n2"))
        assert nominator.node_of("uid-a") == "n2"
        nominator.drop("uid-a")
        world.queue.update(newer, nominated(newer, "n1"))
        assert not nominator

    def test_a_deleted_pod_is_nominated_no_longer(self) -> None:
        world = QueueWorld()
        pod = make_pod("a", nominated="n1")
        world.queue.add(pod)
        world.queue.delete(pod)
        assert not world.queue._nominator

    def test_an_ungated_pod_is_let_in(self) -> None:
        world = QueueWorld()
        queued = world.refused("a")
        world.pass_seconds(60)
        world.probe.said["pre_enqueue"] = unresolvable("waiting for the preemption")
        world.queue.activate(["uid-a"])
        assert world.place(queued) == "gated"
        world.queue.ungate(["uid-a", "unknown"])
        assert world.place(queued) == "gated", "asked again, and refused again"
        del world.probe.said["pre_enqueue"]
        world.queue.ungate(["uid-a"])
        assert world.place(queued) == "active"

    def test_a_pod_that_is_not_gated_is_left_where_it_is(self) -> None:
        world = QueueWorld()
        queued = world.refused("a")
        world.queue.ungate(["uid-a"])
        assert world.place(queued) == "unschedulable"

    def test_an_event_may_be_for_pods_up_to_a_priority(self) -> None:
        world = QueueWorld()
        world.add("stronger", priority=5)
        stronger = world.pop()
        world.queue.refuse(stronger, frozenset((world.probe.name,)))
        world.add("weaker", priority=4)
        weaker = world.pop()
        world.queue.refuse(weaker, frozenset((world.probe.name,)))
        world.pass_seconds(60)
        world.queue.move(NODE_ADD, None, make_node("n1"), up_to=4)
        assert (world.place(stronger), world.place(weaker)) == ("unschedulable", "active")


class TestHandlers:
    @pytest.mark.parametrize("how", ["taken back", "the pod is gone"])
    async def test_room_that_is_given_back_helps_weaker_pods(
        self, world: World, probe: Probe, how: str
    ) -> None:
        probe.said["pre_enqueue"] = lambda pod: (
            unresolvable("later") if pod.metadata.name == "strong" else SUCCESS
        )
        strong = make_pod("strong", cpu="4", priority=5, nominated="n1")
        world.handlers.add_pod(strong)
        world.nominator.nominate(PodInfo(strong), "n1")
        world.add_pod("weak", priority=1)
        await world.until(lambda: bool(world.api.conditions))
        await anyio.sleep(30)
        assert world.api.bound == []
        if how == "the pod is gone":
            world.handlers.delete_pod(strong)
        else:
            world.handlers.update_pod(strong, nominated(strong, ""))
        await world.until(lambda: world.api.bound == ["weak n1"])
