"""The queue: every arrow of its docstring."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from pallet.api.pod import Toleration
from pallet.cache.nominator import Nominator
from pallet.framework.events import (
    ASSIGNED_POD_ADD,
    ASSIGNED_POD_DELETE,
    NODE_ADD,
    UNSCHEDULABLE_TIMEOUT,
    Action,
    ClusterEvent,
    EventInterest,
    EventResource,
    Hint,
)
from pallet.framework.status import SUCCESS, unresolvable
from pallet.runtime.pod_limits import TOLERATIONS
from pallet.scheduler.queue import SWEEP_SECONDS, UNSCHEDULABLE_SECONDS, SchedulingQueue
from pallet.scheduler.queued_pod import QueuedPod
from tests.builders import SCHEDULER, make_node, make_pod
from tests.scheduler.probe import a_profile
from tests.scheduler.queue_world import QueueWorld, hinting, relabelled

CLOSED = unresolvable("closed")
NODE = make_node("n1")


@pytest.fixture
def world() -> QueueWorld:
    return QueueWorld()


def test_a_new_pod_is_active_then_in_flight_then_out(world: QueueWorld) -> None:
    pod = world.add("a")
    assert world.place(pod) == "active"
    assert world.wakes == 1
    queued = world.pop()
    assert world.place(pod) == "in flight"
    world.queue.done(queued.uid)
    assert world.place(pod) == ""
    assert world.queue.pop() is None


def test_pods_come_out_by_priority_then_in_the_order_of_entry(world: QueueWorld) -> None:
    for name, priority in (("low", 1), ("first", 5), ("second", 5), ("high", 9)):
        world.add(name, priority)
        world.now += 0.1
    assert world.drain() == ["high", "first", "second", "low"]


@pytest.mark.parametrize("place", ["active", "in flight", "gated", "unschedulable"])
def test_a_pod_that_is_told_again_is_not_taken_in_twice(world: QueueWorld, place: str) -> None:
    if place == "gated":
        world.probe.said["pre_enqueue"] = CLOSED
    pod = world.add("a")
    if place in ("in flight", "unschedulable"):
        queued = world.pop()
        if place == "unschedulable":
            world.queue.refuse(queued, frozenset(("Probe",)))
    world.queue.add(pod)
    assert world.place(pod) == place


class TestRefused:
    def test_it_waits_in_unschedulable_however_long(self, world: QueueWorld) -> None:
        queued = world.refused()
        assert world.place(queued) == "unschedulable"
        world.pass_seconds(60)
        assert world.queue.pop() is None

    def test_an_event_that_helps_brings_it_to_backoff_and_time_to_active(self, world: QueueWorld) -> None:
        queued = world.refused()
        wakes = world.wakes
        world.queue.move(NODE_ADD, None, NODE)
        assert world.place(queued) == "backoff"
        assert world.wakes > wakes
        due = world.queue.next_flush()
        assert due is not None
        world.pass_seconds(due - world.now)
        assert world.place(queued) == "active"

    def test_after_its_backoff_an_event_brings_it_to_active_at_once(self, world: QueueWorld) -> None:
        queued = world.refused()
        world.now += 5
        world.queue.move(NODE_ADD, None, NODE)
        assert world.place(queued) == "active"

    @pytest.mark.parametrize("event", [ASSIGNED_POD_DELETE, ASSIGNED_POD_ADD])
    def test_an_event_that_its_plugin_did_not_register_leaves_it(
        self, world: QueueWorld, event: ClusterEvent
    ) -> None:
        queued = world.refused()
        world.queue.move(event, None, make_pod("b", node="n1"))
        assert world.place(queued) == "unschedulable"

    @pytest.mark.parametrize(
        "plugins",
        [("DefaultBinder",), ("Probe", "DefaultBinder"), ()],
        ids=["a plugin that registers nothing", "two plugins", "nobody"],
    )
    def test_any_event_helps_where_nobody_says_what_does(
        self, world: QueueWorld, plugins: tuple[str, ...]
    ) -> None:
        queued = world.popped()
        world.queue.refuse(queued, frozenset(plugins))
        world.queue.move(ASSIGNED_POD_DELETE, make_pod("b", node="n1"), None)
        assert world.place(queued) == "backoff"

    @pytest.mark.parametrize(
        ("answer", "place", "label"),
        [
            (Hint.QUEUE, "backoff", "Queue"),
            (Hint.SKIP, "unschedulable", "QueueSkip"),
            (ValueError("broken"), "backoff", "Error"),
        ],
        ids=["queue", "skip", "a hint that fails has it tried again"],
    )
    def test_the_hint_decides(
        self, world: QueueWorld, answer: Hint | Exception, place: str, label: str
    ) -> None:
        heard: list[object] = []
        world.probe.interests[:] = [hinting(answer, heard)]
        queued = world.refused()
        world.queue.move(NODE_ADD, None, NODE)
        assert heard == [("a", None, NODE)]
        assert world.place(queued) == place
        durations = world.metrics.queueing_hint_execution_duration_seconds
        assert durations["Probe", "NodeAdd", label].count == 1

    @pytest.mark.parametrize("when", ["in flight", "waiting"])
    def test_the_hint_is_not_asked_about_a_large_pod(self, world: QueueWorld, when: str) -> None:
        """It might go through thousands of its parts for each event."""
        heard: list[object] = []
        world.probe.interests[:] = [hinting(Hint.SKIP, heard)]
        tolerations = [Toleration(f"k{number}") for number in range(TOLERATIONS.ordinary + 1)]
        world.queue.add(make_pod("a", tolerations=tolerations))
        queued = world.pop()
        if when == "in flight":
            world.queue.move(NODE_ADD, None, NODE)
        world.queue.refuse(queued, frozenset(("Probe",)))
        if when == "waiting":
            world.queue.move(ASSIGNED_POD_DELETE, make_pod("b", node="n1"), None)
            assert world.place(queued) == "unschedulable"
            world.queue.move(NODE_ADD, None, NODE)
        assert world.place(queued) == "backoff"
        assert heard == []

    @pytest.mark.parametrize("when", ["in flight", "waiting"])
    @pytest.mark.parametrize(
        ("pending", "event", "place"),
        [
            (("Probe",), NODE_ADD, "active"),
            ((), NODE_ADD, "backoff"),
            (("DefaultBinder",), NODE_ADD, "active"),
            (("Probe",), ASSIGNED_POD_DELETE, "backoff"),
            (("Probe",), UNSCHEDULABLE_TIMEOUT, "backoff"),
        ],
        ids=[
            "pending on what happens",
            "not pending",
            "pending on anything",
            "pending on something else",
            "an event for everybody",
        ],
    )
    def test_back_off_is_skipped_when_a_pending_plugin_has_what_it_waits_for(
        self, world: QueueWorld, pending: tuple[str, ...], event: ClusterEvent, place: str, when: str
    ) -> None:
        queued = world.popped()
        plugins = frozenset(("Probe", "DefaultBinder"))
        if when == "in flight":
            world.queue.move(event, None, None)
        world.queue.refuse(queued, plugins, frozenset(pending))
        if when == "waiting":
            world.queue.move(event, None, None)
        assert world.place(queued) == place

    def test_a_pending_pod_that_its_own_update_helps_is_tried_at_once(self, world: QueueWorld) -> None:
        queued = world.popped()
        world.queue.refuse(queued, frozenset(("DefaultBinder",)), frozenset(("DefaultBinder",)))
        world.queue.update(queued.pod, relabelled(queued.pod, app="x"))
        assert world.place(queued) == "active"

    def test_only_pods_of_interested_plugins_are_asked_about(self, world: QueueWorld) -> None:
        heard: list[object] = []
        world.probe.interests[:] = [hinting(Hint.SKIP, heard)]
        world.refused("a", "NodeResourcesFit")
        world.refused("b")
        world.queue.move(NODE_ADD, None, NODE)
        assert heard == [("b", None, NODE)]

    def test_its_own_leaving_does_not_help_it(self, world: QueueWorld) -> None:
        queued, other = world.refused("a", "DefaultBinder"), world.refused("b", "DefaultBinder")
        world.queue.move(ASSIGNED_POD_DELETE, queued.pod, None, but=queued.uid)
        assert world.place(queued) == "unschedulable"
        assert world.place(other) == "backoff"

    def test_an_event_during_its_cycle_is_not_missed(self, world: QueueWorld) -> None:
        queued = world.popped()
        world.queue.move(NODE_ADD, None, NODE)
        world.queue.refuse(queued, frozenset(("Probe",)))
        assert world.place(queued) == "backoff"

    def test_an_event_before_its_cycle_or_of_no_interest_is_not_replayed(self, world: QueueWorld) -> None:
        world.popped("other")
        world.queue.move(NODE_ADD, None, NODE)
        queued = world.popped()
        world.queue.move(ASSIGNED_POD_ADD, None, make_pod("b", node="n1"))
        world.queue.refuse(queued, frozenset(("Probe",)))
        assert world.place(queued) == "unschedulable"

    def test_once_settled_it_may_have_missed_something_so_time_brings_it_back(
        self, world: QueueWorld
    ) -> None:
        queued = world.popped()
        world.queue.settle(queued.uid)
        assert world.place(queued) == "in flight"
        world.queue.refuse(queued, frozenset(("Probe",)))
        assert world.place(queued) == "error backoff"

    def test_after_five_minutes_it_is_tried_anyway_and_marked(self, world: QueueWorld) -> None:
        queued = world.refused()
        world.pass_seconds(UNSCHEDULABLE_SECONDS)
        assert world.place(queued) == "unschedulable"
        world.pass_seconds(SWEEP_SECONDS)
        assert world.place(queued) == "active"
        assert queued.flushed
        assert world.pop().flushed
        world.queue.refuse(queued, frozenset(("Probe",)))
        assert not queued.flushed

    def test_the_sweep_is_due_only_while_something_waits(self, world: QueueWorld) -> None:
        assert world.queue.next_flush() is None
        world.refused()
        assert world.queue.next_flush() == world.now + SWEEP_SECONDS


class TestBackoff:
    def backoffs(self, world: QueueWorld, fail: Callable[[QueuedPod], None]) -> list[float]:
        seconds = []
        queued = world.popped()
        for _ in range(6):
            fail(queued)
            seconds.append(queued.retry_at - world.now)
            world.queue.activate([queued.uid])
            assert world.pop() is queued
        return seconds

    def test_refusals_double_it_to_the_maximum(self, world: QueueWorld) -> None:
        refuse = lambda queued: world.queue.refuse(queued, frozenset(("Probe",)))  # noqa: E731  # a table's row
        assert self.backoffs(world, refuse) == [1, 2, 4, 8, 10, 10]

    def test_errors_double_it_to_the_maximum(self, world: QueueWorld) -> None:
        assert self.backoffs(world, world.queue.retry) == [1, 2, 4, 8, 10, 10]

    def test_errors_and_refusals_are_counted_apart(self, world: QueueWorld) -> None:
        queued = world.popped()
        waits = []
        for step in "rreer":
            if step == "e":
                world.queue.retry(queued)
            else:
                world.queue.refuse(queued, frozenset(("Probe",)))
            waits.append(queued.retry_at - world.now)
            world.queue.activate([queued.uid])
            world.pop()
        assert waits == [1, 2, 1, 2, 4]

    def test_configured_seconds_hold(self, world: QueueWorld) -> None:
        world.queue = SchedulingQueue(
            {SCHEDULER: a_profile(world.probe)},
            Nominator(),
            world.metrics,
            lambda: world.now,
            initial_backoff=3,
            max_backoff=5,
        )
        assert self.backoffs(world, world.queue.retry)[:3] == [3, 5, 5]

    def test_when_nothing_else_waits_a_refused_pod_is_taken_early(self, world: QueueWorld) -> None:
        queued = world.refused()
        world.queue.move(NODE_ADD, None, NODE)
        world.add("b")
        assert world.pop().pod.metadata.name == "b"
        assert world.pop() is queued
        assert world.metrics.queue_incoming_pods_total["active", "PopFromBackoffQ"].value == 1

    def test_those_taken_early_come_in_the_order_of_the_active_queue(self, world: QueueWorld) -> None:
        for name, priority in (("low", 1), ("high", 9)):
            world.add(name, priority)
            world.queue.refuse(world.pop(), frozenset(("Probe",)))
            world.now += 0.2
        world.queue.move(NODE_ADD, None, NODE)
        assert world.drain() == ["high", "low"]

    def test_one_that_failed_is_not_taken_early(self, world: QueueWorld) -> None:
        queued = world.popped()
        world.queue.retry(queued)
        assert world.place(queued) == "error backoff"
        world.queue.move(NODE_ADD, None, NODE)
        assert world.queue.pop() is None
        world.pass_seconds(0.999)
        assert world.queue.pop() is None
        world.pass_seconds(0.001)
        assert world.pop() is queued

    def test_a_refusal_ends_with_its_window(self, world: QueueWorld) -> None:
        world.now += 0.3
        world.refused()
        world.queue.move(NODE_ADD, None, NODE)
        assert world.queue.next_flush() == world.now - 0.3 + 2


class TestGated:
    @pytest.fixture
    def gated(self, world: QueueWorld) -> QueuedPod:
        world.probe.said["pre_enqueue"] = CLOSED
        pod = world.add("a")
        world.probe.asked.clear()
        return world.queue._gated[pod.metadata.uid]

    def test_no_event_makes_it_cost_anything(self, world: QueueWorld, gated: QueuedPod) -> None:
        world.queue.move(NODE_ADD, None, NODE)
        world.pass_seconds(UNSCHEDULABLE_SECONDS)
        assert world.queue.pop() is None
        assert world.probe.asked == []
        assert world.place(gated) == "gated"
        assert world.wakes == 0

    def test_change_18_its_plugins_are_asked_again_every_five_minutes(
        self, world: QueueWorld, gated: QueuedPod
    ) -> None:
        asked = []
        for _ in range(5):
            assert world.queue.next_flush() is not None
            world.pass_seconds(UNSCHEDULABLE_SECONDS / 2 + 1)
            asked.append(len(world.probe.asked))
        assert asked == [0, 1, 1, 2, 2]
        assert (world.place(gated), gated.flushed) == ("gated", False)
        assert world.metrics.queue_incoming_pods_total["gated", "UnschedulableTimeout"].value == 0
        del world.probe.said["pre_enqueue"]
        world.pass_seconds(UNSCHEDULABLE_SECONDS / 2 + 1)
        assert (world.place(gated), gated.flushed) == ("active", True)

    def test_change_18_of_many_the_rest_is_asked_about_at_the_next_sweep(
        self, world: QueueWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pallet.scheduler.queue.MOST_ASKED_ABOUT", 2)
        world.probe.said["pre_enqueue"] = CLOSED
        for name in "abc":
            world.add(name)
        world.probe.asked.clear()
        asked = []
        for seconds in (UNSCHEDULABLE_SECONDS + 1, SWEEP_SECONDS, SWEEP_SECONDS):
            world.pass_seconds(seconds)
            asked.append(len(world.probe.asked))
        assert asked == [2, 3, 3]

    def test_change_18_it_is_not_asked_about_during_its_backoff(self, world: QueueWorld) -> None:
        queued = world.refused()
        world.probe.said["pre_enqueue"] = CLOSED
        world.queue.activate([queued.uid])
        queued.retry_at = world.now + 2 * UNSCHEDULABLE_SECONDS
        del world.probe.said["pre_enqueue"]
        world.pass_seconds(UNSCHEDULABLE_SECONDS + 1)
        assert world.place(queued) == "gated"
        world.pass_seconds(UNSCHEDULABLE_SECONDS)
        assert world.place(queued) == "active"

    def test_it_is_let_in_when_activated(self, world: QueueWorld, gated: QueuedPod) -> None:
        world.queue.activate([gated.uid])
        assert world.place(gated) == "gated"
        del world.probe.said["pre_enqueue"]
        world.queue.activate([gated.uid, "unknown"])
        assert world.place(gated) == "active"

    def test_it_is_let_in_by_its_own_update(self, world: QueueWorld) -> None:
        pod = make_pod("a", gates=["hold", "more"])
        world.queue.add(pod)
        assert world.place(pod) == "gated"
        fewer = make_pod("a", gates=["hold"], version=2)
        world.queue.update(pod, fewer)
        assert world.place(pod) == "gated"
        world.queue.update(fewer, make_pod("a", version=3))
        assert world.place(pod) == "active"
        assert world.metrics.queue_incoming_pods_total["gated", "UnscheduledPodAdd"].value == 1

    def test_one_whose_gate_closes_before_its_turn_is_gated_at_the_pop(self, world: QueueWorld) -> None:
        first, second = world.add("a"), world.add("b")
        world.probe.said["pre_enqueue"] = lambda pod: CLOSED if pod.metadata.name == "a" else SUCCESS
        assert world.pop().pod is second
        assert world.place(first) == "gated"

    def test_regate_asks_again_about_the_active_ones(self, world: QueueWorld) -> None:
        pod = world.add("a")
        world.queue.regate([pod.metadata.uid])
        assert world.place(pod) == "active"
        world.probe.said["pre_enqueue"] = CLOSED
        world.queue.regate([pod.metadata.uid, "unknown"])
        assert world.place(pod) == "gated"

    def test_one_in_backoff_is_asked_when_its_time_is_over(self, world: QueueWorld) -> None:
        queued = world.popped()
        world.queue.retry(queued)
        world.probe.said["pre_enqueue"] = CLOSED
        world.pass_seconds(1)
        assert world.place(queued) == "gated"

    @pytest.mark.parametrize("way", ["add", "pop", "flush", "activate"])
    def test_a_plugin_that_fails_is_asked_again_later(self, world: QueueWorld, way: str) -> None:
        if way == "add":
            world.probe.said["pre_enqueue"] = ValueError("broken")
            pod = world.add("a")
        else:
            pod = world.add("a")
            if way in ("flush", "activate"):
                world.queue.retry(world.pop())
            world.probe.said["pre_enqueue"] = ValueError("broken")
            if way == "activate":
                world.queue.activate([pod.metadata.uid])
            world.pass_seconds(1 if way == "flush" else 0)
            assert world.queue.pop() is None
        assert world.place(pod) == "error backoff"
        del world.probe.said["pre_enqueue"]
        world.pass_seconds(2)
        assert world.pop().pod is pod


class TestActivate:
    @pytest.mark.parametrize("place", ["unschedulable", "backoff", "error backoff"])
    def test_backoff_is_skipped(self, world: QueueWorld, place: str) -> None:
        queued = world.popped()
        if place == "error backoff":
            world.queue.retry(queued)
        else:
            world.queue.refuse(queued, frozenset(("Probe",)))
        if place == "backoff":
            world.queue.move(NODE_ADD, None, NODE)
        assert world.place(queued) == place
        world.queue.activate([queued.uid])
        assert world.place(queued) == "active"

    def test_one_in_flight_is_tried_again_when_it_comes_back_refused(self, world: QueueWorld) -> None:
        queued, other = world.popped("a"), world.popped("b")
        world.queue.activate([queued.uid])
        for each in (queued, other):
            world.queue.refuse(each, frozenset(("Probe",)))
        assert world.place(queued) == "backoff"
        assert world.place(other) == "unschedulable"


class TestUpdate:
    @pytest.fixture(autouse=True)
    def labels_help(self, world: QueueWorld) -> None:
        label = ClusterEvent(EventResource.TARGET_POD, Action.UPDATE_POD_LABEL)
        world.probe.interests[:] = [EventInterest(label)]

    @pytest.mark.parametrize("place", ["active", "unschedulable", "backoff", "error backoff", "in flight"])
    def test_the_newest_version_is_scheduled(self, world: QueueWorld, place: str) -> None:
        pod = world.add("a")
        newer = replace(pod, metadata=replace(pod.metadata, resource_version="2"))
        if place != "active":
            queued = world.pop()
            if place == "error backoff":
                world.queue.retry(queued)
            elif place != "in flight":
                world.queue.refuse(queued, frozenset(("Probe",)))
            if place == "backoff":
                world.queue.activate([queued.uid])
                world.queue.refuse(world.pop(), frozenset())
                world.queue.move(NODE_ADD, None, NODE)
        assert world.place(pod) == place
        world.queue.update(pod, newer)
        assert world.place(pod) == place
        if place == "in flight":
            world.queue.retry(queued)
        world.queue.activate([pod.metadata.uid])
        assert world.pop().pod is newer

    def test_one_that_helps_brings_a_refused_pod_back(self, world: QueueWorld) -> None:
        queued = world.refused()
        world.queue.update(queued.pod, relabelled(queued.pod, app="x"))
        assert world.place(queued) == "backoff"

    def test_one_that_does_not_help_leaves_it(self, world: QueueWorld) -> None:
        queued = world.refused()
        old = queued.pod
        newer = replace(old, metadata=replace(old.metadata, resource_version="2"))
        world.queue.update(old, newer)
        assert world.place(queued) == "unschedulable"

    def test_one_without_a_name_helps_who_asks_for_every_update(self, world: QueueWorld) -> None:
        world.probe.interests[:] = [EventInterest(ClusterEvent(EventResource.TARGET_POD, Action.UPDATE))]
        queued = world.refused()
        old = queued.pod
        world.queue.update(old, replace(old, metadata=replace(old.metadata, resource_version="2")))
        assert world.place(queued) == "backoff"

    def test_one_in_flight_is_replayed_for_the_pod_itself_only(self, world: QueueWorld) -> None:
        queued, other = world.popped("a"), world.popped("b")
        world.queue.update(queued.pod, relabelled(queued.pod, app="x"))
        for each in (queued, other):
            world.queue.refuse(each, frozenset(("Probe",)))
        assert world.place(queued) == "backoff"
        assert world.place(other) == "unschedulable"

    def test_an_unknown_pod_is_taken_in(self, world: QueueWorld) -> None:
        pod = make_pod("a")
        world.queue.update(pod, relabelled(pod, app="x"))
        assert world.place(pod) == "active"


@pytest.mark.parametrize(
    "place", ["active", "gated", "in flight", "unschedulable", "backoff", "error backoff"]
)
def test_a_deleted_pod_is_nowhere_and_does_not_come_back(world: QueueWorld, place: str) -> None:
    if place == "gated":
        world.probe.said["pre_enqueue"] = CLOSED
    pod = world.add("a")
    queued = None
    if place not in ("active", "gated"):
        queued = world.pop()
        if place == "error backoff":
            world.queue.retry(queued)
        elif place != "in flight":
            world.queue.refuse(queued, frozenset(("Probe",)))
        if place == "backoff":
            world.queue.move(NODE_ADD, None, NODE)
    assert world.place(pod) == place
    world.queue.delete(pod)
    if queued is not None:
        world.queue.refuse(queued, frozenset(("Probe",)))
        world.queue.retry(queued)
    world.queue.activate([pod.metadata.uid])
    world.queue.move(NODE_ADD, None, NODE)
    world.pass_seconds(1000)
    assert world.place(pod) == ""
    assert world.queue.pop() is None
    blamed = world.metrics.unschedulable_pods.values()
    assert sum(gauge.value for gauge in blamed) == 0


class TestMetrics:
    def test_pods_count_for_the_plugins_that_keep_them_until_they_are_tried_again(
        self, world: QueueWorld
    ) -> None:
        def blamed() -> dict[str, float]:
            gauges = world.metrics.unschedulable_pods
            return {plugin: gauge.value for (plugin, _), gauge in gauges.rows() if gauge.value}

        world.refused("a", "Probe", "NodeResourcesFit")
        queued = world.refused("b")
        assert blamed() == {"Probe": 2, "NodeResourcesFit": 1}
        world.queue.activate([queued.uid])
        assert blamed() == {"Probe": 2, "NodeResourcesFit": 1}
        world.pop()
        assert blamed() == {"Probe": 1, "NodeResourcesFit": 1}
        world.probe.said["pre_enqueue"] = CLOSED
        world.add("c")
        assert blamed() == {"Probe": 2, "NodeResourcesFit": 1}

    def test_places_are_counted(self, world: QueueWorld) -> None:
        world.refused("a")
        world.queue.retry(world.popped("b"))
        world.popped("c")
        world.add("d")
        world.probe.said["pre_enqueue"] = CLOSED
        world.add("e")
        pending = {name: gauge.value for (name,), gauge in world.metrics.pending_pods.rows()}
        sizes = {"active": 1, "backoff": 1, "unschedulable": 1, "gated": 1}
        assert pending == {**sizes, "incomplete": 0, "pending": 0}
        entities = {key: gauge.value for key, gauge in world.metrics.queued_entities.rows()}
        assert entities == {(place, "pod"): size for place, size in sizes.items()}
        entered = {key: counter.value for key, counter in world.metrics.queue_incoming_pods_total.rows()}
        assert entered == {
            ("active", "UnscheduledPodAdd"): 4,
            ("gated", "UnscheduledPodAdd"): 1,
            ("unschedulable", "ScheduleAttemptFailure"): 1,
            ("backoff", "ScheduleAttemptFailure"): 1,
        }
        entities_entered = {
            key: counter.value for key, counter in world.metrics.queue_incoming_entities_total.rows()
        }
        assert entities_entered == {(*key, "pod"): count for key, count in entered.items()}

    def test_pre_enqueue_is_timed(self, world: QueueWorld) -> None:
        world.probe.said["pre_enqueue"] = CLOSED
        world.add("a")
        durations = world.metrics.framework_extension_point_duration_seconds
        assert durations["PreEnqueue", "UnschedulableAndUnresolvable", SCHEDULER].count == 1
