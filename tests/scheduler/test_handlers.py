"""What the informers tell, in the cache and in the queue."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from pallet.api.core import NAMESPACES, Namespace
from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.node import NODES, Node, NodeStatus, Taint
from pallet.api.pod import PODS
from pallet.api.selectors import LabelSelector
from pallet.cache.cache import Cache, Hold
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from pallet.cache.selection import PodSelector
from pallet.client.client import Client
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource
from pallet.framework.waiting import WaitingPod, WaitingPods
from pallet.informers.factory import InformerFactory
from pallet.loop_budget import LoopBudget
from pallet.scheduler.conditions import ConditionWriter
from pallet.scheduler.handlers import ClusterHandlers
from tests.builders import SCHEDULER, make_node, make_pod
from tests.scheduler.queue_world import QueueWorld, relabelled

pytestmark = pytest.mark.anyio


class Scene(QueueWorld):
    """The handlers before a queue and a cache."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.cache = Cache()
        self.waiting = WaitingPods()
        self.conditions = ConditionWriter(client)
        self.informers = InformerFactory(client, LoopBudget())
        self.handlers = ClusterHandlers(
            self.cache, self.queue, self.waiting, self.conditions, self.metrics, [SCHEDULER]
        )
        self.handlers.add_node(make_node("n1"))

    def interest(self, resource: EventResource, action: Action = Action.ALL) -> None:
        self.probe.interests[:] = [EventInterest(ClusterEvent(resource, action))]

    def hold(self, uid: str) -> Hold | None:
        placement = self.cache.location(uid)
        return placement.hold if placement else None


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Client.connect(master="http://127.0.0.1:9") as client:
        yield Scene(client)


class TestPods:
    async def test_a_pending_one_of_ours_is_queued_and_others_are_not(self, scene: Scene) -> None:
        scene.handlers.add_pod(make_pod("a"))
        scene.handlers.add_pod(make_pod("b", scheduler="somebody"))
        scene.handlers.add_pod(make_pod("c", phase="Failed"))
        assert scene.drain() == ["a"]

    async def test_one_with_a_node_is_counted_whoever_it_belongs_to(self, scene: Scene) -> None:
        scene.handlers.add_pod(make_pod("a", node="n1"))
        scene.handlers.add_pod(make_pod("b", node="n1", scheduler="somebody"))
        scene.handlers.add_pod(make_pod("c", node="n1", phase="Succeeded"))
        assert [scene.hold(f"uid-{name}") for name in "abc"] == [Hold.BOUND, Hold.BOUND, None]
        assert scene.queue.pop() is None

    @pytest.mark.parametrize("place", ["active", "in flight"])
    async def test_one_that_gets_a_node_from_somebody_else_leaves_the_queue(
        self, scene: Scene, place: str
    ) -> None:
        pod = scene.add("a")
        if place == "in flight":
            scene.pop()
        scene.handlers.update_pod(pod, make_pod("a", node="n1", version=2))
        assert scene.place(pod) == ""
        assert scene.hold("uid-a") is Hold.BOUND

    @pytest.mark.parametrize("node", ["", "n1"], ids=["still pending", "meanwhile bound"])
    async def test_a_pending_one_that_finishes_leaves_the_queue(self, scene: Scene, node: str) -> None:
        pod = scene.add("a")
        scene.handlers.update_pod(pod, make_pod("a", node=node, phase="Failed", version=2))
        assert scene.place(pod) == ""
        assert scene.hold("uid-a") is None

    async def test_a_bound_one_that_finishes_frees_its_node_once(self, scene: Scene) -> None:
        pod = make_pod("a", node="n1")
        done = make_pod("a", node="n1", phase="Succeeded", version=2)
        scene.handlers.add_pod(pod)
        scene.interest(EventResource.ASSIGNED_POD, Action.DELETE)
        queued = scene.refused("b")
        scene.handlers.update_pod(pod, done)
        assert scene.hold("uid-a") is None
        assert scene.place(queued) == "backoff"
        queued = scene.refused("c")
        scene.handlers.update_pod(done, make_pod("a", node="n1", phase="Succeeded", version=3))
        scene.handlers.delete_pod(done)
        assert scene.place(queued) == "unschedulable"

    async def test_one_deleted_while_assumed_frees_its_place(self, scene: Scene) -> None:
        queued = scene.popped("a")
        scene.cache.assume(queued.info, "n1")
        held_back = WaitingPod(queued.pod, "n1", {"Probe": 900})
        scene.waiting.add(held_back)
        scene.interest(EventResource.ASSIGNED_POD, Action.DELETE)
        other = scene.refused("b")
        scene.handlers.delete_pod(queued.pod)
        assert scene.place(queued) == ""
        assert scene.hold("uid-a") is None
        assert scene.place(other) == "backoff"
        assert not (await held_back.wait()).ok

    async def test_a_namesake_created_anew_is_a_pod_of_its_own(self, scene: Scene) -> None:
        old, new = make_pod("a", uid="old"), make_pod("a", uid="new")
        scene.handlers.add_pod(old)
        queued = scene.pop()
        scene.cache.assume(queued.info, "n1")
        scene.handlers.delete_pod(old)
        scene.handlers.add_pod(new)
        assert scene.hold("old") is None
        assert scene.place(old) == ""
        assert scene.place(new) == "active"
        scene.queue.retry(queued)
        assert scene.place(old) == ""

    async def test_the_update_of_an_assumed_one_in_flight_reaches_the_queue(self, scene: Scene) -> None:
        queued = scene.popped("a")
        scene.cache.assume(queued.info, "n1")
        newer = relabelled(queued.pod, app="x")
        scene.handlers.update_pod(queued.pod, newer)
        assert queued.pod is newer

    async def test_a_late_update_of_one_that_is_bound_does_not(self, scene: Scene) -> None:
        queued = scene.popped("a")
        scene.cache.assume(queued.info, "n1")
        scene.queue.done(queued.uid)
        scene.handlers.update_pod(queued.pod, relabelled(queued.pod, app="x"))
        assert scene.place(queued) == ""
        assert scene.hold("uid-a") is Hold.ASSUMED

    async def test_the_room_reserved_for_one_does_not_keep_it_from_the_queue(self, scene: Scene) -> None:
        pod = make_pod("a")
        scene.cache.reserve(PodInfo(pod), "n1", Owner())
        scene.handlers.update_pod(pod, relabelled(pod, app="x"))
        assert scene.place(pod) == "active"

    async def test_new_labels_of_a_bound_one_may_help(self, scene: Scene) -> None:
        scene.interest(EventResource.ASSIGNED_POD, Action.UPDATE_POD_LABEL)
        pod = make_pod("a", node="n1")
        scene.handlers.add_pod(pod)
        queued = scene.refused("b")
        same = replace(pod, metadata=replace(pod.metadata, resource_version="2"))
        scene.handlers.update_pod(pod, same)
        assert scene.place(queued) == "unschedulable"
        scene.handlers.update_pod(same, relabelled(same, app="x"))
        assert scene.place(queued) == "backoff"


class TestNodes:
    @pytest.mark.parametrize(
        ("action", "changed"),
        [
            (
                Action.UPDATE_NODE_ALLOCATABLE,
                replace(make_node("n1"), status=NodeStatus(Labels({"cpu": "9"}))),
            ),
            (
                Action.UPDATE_NODE_LABEL,
                replace(
                    make_node("n1"), metadata=ObjectMeta(name="n1", uid="uid-n1", labels=Labels({"a": "b"}))
                ),
            ),
            (Action.UPDATE_NODE_TAINT, make_node("n1", taints=[Taint("a", "NoSchedule")])),
        ],
        ids=["allocatable", "labels", "taints"],
    )
    async def test_a_change_is_told_as_what_it_is(self, scene: Scene, action: Action, changed: Node) -> None:
        scene.interest(EventResource.NODE, ~action)
        deaf = scene.refused("deaf")
        scene.handlers.update_node(make_node("n1"), changed)
        assert scene.place(deaf) == "unschedulable"
        scene.interest(EventResource.NODE, action)
        scene.handlers.update_node(make_node("n1"), changed)
        assert scene.place(deaf) == "backoff"

    @pytest.mark.parametrize("now", [make_node("n1"), make_node("n1", cordoned=True)], ids=["same", "cordon"])
    async def test_what_helps_nobody_is_no_event(self, scene: Scene, now: Node) -> None:
        queued = scene.refused("a", "DefaultBinder")
        assert scene.handlers.update_node(make_node("n1"), now) is None
        assert scene.place(queued) == "unschedulable"

    async def test_an_opened_node_may_help(self, scene: Scene) -> None:
        scene.interest(EventResource.NODE, Action.UPDATE_NODE_TAINT)
        queued = scene.refused("a")
        scene.handlers.update_node(make_node("n1", cordoned=True), make_node("n1"))
        assert scene.place(queued) == "backoff"

    @pytest.mark.parametrize("action", [Action.ADD, Action.DELETE])
    async def test_coming_and_going_may_help(self, scene: Scene, action: Action) -> None:
        scene.interest(EventResource.NODE, action)
        queued = scene.refused("a")
        if action is Action.ADD:
            scene.handlers.add_node(make_node("n2"))
        else:
            scene.handlers.delete_node(make_node("n1"))
        assert scene.place(queued) == "backoff"
        assert scene.cache.snapshot.table.node_count == (2 if action is Action.ADD else 0)


async def test_a_namespaces_labels_may_help_when_they_change(scene: Scene) -> None:
    scene.interest(EventResource.NAMESPACE)
    old = Namespace(ObjectMeta(name="x", labels=Labels({"a": "b"})))
    scene.handlers.add_namespace(old)
    queued = scene.refused("a")
    assert (
        scene.handlers.update_namespace(old, Namespace(ObjectMeta(name="x", labels=Labels({"a": "b"}))))
        is None
    )
    assert scene.place(queued) == "unschedulable"
    scene.handlers.update_namespace(old, Namespace(ObjectMeta(name="x", labels=Labels({"a": "c"}))))
    assert scene.place(queued) == "backoff"


async def test_a_namespace_that_is_gone_has_no_labels(scene: Scene) -> None:
    scene.handlers.register(scene.informers)
    namespaces = scene.informers.informer(NAMESPACES)
    namespaces.put(Namespace(ObjectMeta(name="default", resource_version="1", labels=Labels({"a": "b"}))))
    selector = PodSelector(LabelSelector(), frozenset(), LabelSelector(Labels({"a": "b"})))
    counters, pod = scene.cache.snapshot.counters, make_pod("p")
    assert counters.selects(selector, pod)
    namespaces.remove(Namespace(ObjectMeta(name="default", resource_version="2")))
    assert not counters.selects(selector, pod)


async def test_events_are_timed_under_kube_schedulers_names(scene: Scene) -> None:
    scene.handlers.register(scene.informers)
    pods, nodes = scene.informers.informer(PODS), scene.informers.informer(NODES)
    nodes.put(make_node("n2"))
    pods.put(make_pod("a"))
    pods.put(make_pod("a", version=2))
    pods.put(make_pod("a", version=3, node="n2"))
    pods.put(relabelled(make_pod("a", version=4, node="n2"), app="x"))
    pods.remove(make_pod("a", version=9, node="n2"))
    timed = {label: each.count for (label,), each in scene.metrics.event_handling_duration_seconds.rows()}
    assert timed == {
        "NodeAdd": 1,
        "UnscheduledPodAdd": 1,
        "UnscheduledPodUpdate": 1,
        "AssignedPodAdd": 1,
        "AssignedPodUpdatePodLabel": 1,
        "AssignedPodDelete": 1,
    }
