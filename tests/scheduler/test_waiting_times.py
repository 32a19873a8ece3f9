"""How long the oldest pending pod has waited: not those that are held back, and no other pod's wait."""

import pytest

from pallet.framework.events import NODE_ADD
from pallet.framework.status import unresolvable
from pallet.scheduler.waiting_times import WaitingTimes
from tests.builders import SCHEDULER, make_node
from tests.scheduler.queue_world import QueueWorld


@pytest.fixture
def world() -> QueueWorld:
    return QueueWorld()


def oldest(world: QueueWorld) -> float:
    return world.metrics.oldest_pending_pod[SCHEDULER].value


def test_without_pods_nobody_waits(world: QueueWorld) -> None:
    assert oldest(world) == 0


def test_a_pod_waits_through_all_queues_until_it_is_bound(world: QueueWorld) -> None:
    queued = world.refused("a")
    world.pass_seconds(100)
    assert oldest(world) == 100
    world.queue.move(NODE_ADD, None, make_node("n"))
    assert world.pop() is queued
    world.queue.retry(queued)
    world.pass_seconds(20)
    assert world.pop() is queued
    assert oldest(world) == 120
    world.queue.done(queued.uid)
    assert oldest(world) == 0


def test_the_one_that_waits_longest_counts_whoever_comes_and_goes(world: QueueWorld) -> None:
    stuck = world.refused("stuck")
    for number in range(5):
        world.pass_seconds(10)
        other = world.popped(f"other-{number}")
        assert oldest(world) == 10 * (number + 1)
        world.queue.done(other.uid)
    world.add("young")
    world.pass_seconds(5)
    world.queue.delete(stuck.pod)
    assert oldest(world) == 5


def test_a_pod_that_is_held_back_does_not_wait(world: QueueWorld) -> None:
    world.probe.said["pre_enqueue"] = unresolvable("closed")
    pod = world.add("a")
    world.pass_seconds(1000)
    assert oldest(world) == 0
    del world.probe.said["pre_enqueue"]
    world.queue.activate([pod.metadata.uid])
    world.pass_seconds(7)
    assert oldest(world) == 7


def test_a_pod_whose_gate_closes_again_waits_no_longer(world: QueueWorld) -> None:
    pod = world.add("a")
    world.pass_seconds(50)
    world.probe.said["pre_enqueue"] = unresolvable("closed")
    world.queue.regate([pod.metadata.uid])
    assert oldest(world) == 0


def test_profiles_are_apart() -> None:
    now = 0.0
    times = WaitingTimes(["a", "b"], lambda: now)
    times.begin("a", "1")
    now = 5.0
    times.begin("b", "2")
    now = 8.0
    times.begin("a", "1")
    assert (times.longest("a"), times.longest("b")) == (8, 3)
    times.end("1")
    times.end("1")
    assert (times.longest("a"), times.longest("b")) == (0, 3)
