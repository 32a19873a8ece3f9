"""Against whom room counts that is reserved for a pod set."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner, Reservation
from pallet.cache.snapshot import Fork
from pallet.scheduler.lifting import MOST_LIFTED, some_of
from tests.builders import make_pod
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.scheduler.world import World, a_world

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """One node of 4 cpu, and a scheduler that preempts."""
    async with a_world(preempts=True) as world:
        yield world


def reserve(world: World, name: str, *, node: str = "n1", cpu: str = "4", firm: bool = False) -> list[str]:
    """Reserve room for a pod of priority 1; the list takes in the name when that room is taken."""
    owner, outranked = Owner(firm=firm), list[str]()

    def note(pod: Pod) -> None:
        outranked.append(pod.metadata.name)

    owner.outranked = note
    world.cache.reserve(PodInfo(make_pod(name, cpu=cpu, priority=1)), node, owner)
    return outranked


async def refused(world: World) -> None:
    await world.until(lambda: any("FailedScheduling" in note for note in world.api.notes))


@pytest.mark.parametrize("priority", [0, 1])
async def test_room_counts_against_equal_and_lower_priorities(world: World, priority: int) -> None:
    outranked = reserve(world, "planned")
    world.add_pod("other", priority=priority)
    await refused(world)
    assert (world.held(), outranked) == (["planned"], [])


async def test_a_higher_priority_takes_it_before_the_first_binding_of_the_set(world: World) -> None:
    outranked = reserve(world, "planned")
    world.add_pod("high", priority=2)
    await world.until(lambda: world.api.bound == ["high n1"])
    assert (world.held(), outranked) == (["high"], ["planned"])


async def test_from_the_first_binding_on_it_counts_against_every_priority(world: World) -> None:
    reserve(world, "planned", firm=True)
    world.add_pod("high", priority=2)
    await refused(world)
    assert world.held() == ["planned"]
    assert world.api.bound == []


async def test_a_higher_priority_goes_where_nothing_is_reserved_if_it_can(world: World) -> None:
    outranked = reserve(world, "planned", cpu="1")
    world.add_pod("high", priority=2)
    await world.until(lambda: world.api.bound == ["high n1"])
    assert (world.held(), outranked) == (["high", "planned"], [])


async def test_only_the_node_that_is_taken_loses_its_reservations(world: World) -> None:
    world.add_node("n2", cpu="2")
    here, there = reserve(world, "planned"), reserve(world, "elsewhere", node="n2", cpu="2")
    world.add_pod("high", priority=2, cpu="3")
    await world.until(lambda: world.api.bound == ["high n1"])
    assert (here, there) == (["planned"], [])
    assert world.held("n2") == ["elsewhere"]


async def test_what_a_higher_priority_cannot_use_stays_reserved(world: World) -> None:
    outranked = reserve(world, "planned")
    world.add_pod("high", priority=2, cpu="5")
    await refused(world)
    assert (world.held(), outranked) == (["planned"], [])


async def test_preemption_does_not_see_it_either(world: World) -> None:
    outranked = reserve(world, "planned", cpu="1")
    victim = world.add_pod("low", node="n1", cpu="3")
    world.add_pod("high", priority=2, cpu="4")
    await world.until(lambda: world.api.deleted == ["low"])
    assert (world.held(), outranked) == (["low", "planned"], [])
    world.delete(victim)
    await world.until(lambda: world.api.bound == ["high n1"])
    assert outranked == ["planned"]


async def test_preemption_sees_it_once_the_set_has_started(world: World) -> None:
    reserve(world, "planned", cpu="1", firm=True)
    world.add_pod("low", node="n1", cpu="3")
    world.add_pod("high", priority=2, cpu="4")
    await refused(world)
    assert world.api.deleted == []


async def test_nobody_is_preempted_where_lifting_reservations_is_enough(world: World) -> None:
    world.add_node("n2", cpu="4")
    reserve(world, "planned", node="n2")
    world.add_pod("low", node="n1", cpu="4")
    world.add_pod("high", priority=2, cpu="4")
    await world.until(lambda: world.api.bound == ["high n2"])
    assert world.api.deleted == []


async def test_of_very_many_reservations_some_are_lifted_in_each_attempt(world: World) -> None:
    """Lifting all of them would hold the loop; the pod is tried again until all have been."""
    for number in range(2 * MOST_LIFTED):
        world.add_node(f"small-{number}", cpu="1")
        reserve(world, f"small-{number}", node=f"small-{number}", cpu="1")
    outranked = reserve(world, "planned")
    removed: list[int] = []
    without = world.scheduler._without

    def count(reservations: Sequence[Reservation]) -> Fork:
        removed.append(len(reservations))
        return without(reservations)

    with patch.object(world.scheduler, "_without", count):
        world.add_pod("high", priority=2, cpu="4")
        await world.until(lambda: world.api.bound == ["high n1"])
    assert outranked == ["planned"]
    assert max(removed) == MOST_LIFTED


@given(st.lists(st.integers(0, 400), max_size=20), st.randoms())
def test_all_that_is_reserved_on_a_node_is_lifted_or_nothing(counts: list[int], rng: Random) -> None:
    owner = Owner()
    everything = [
        Reservation(PodInfo(make_pod("p")), f"n{node}", owner)
        for node, count in enumerate(counts)
        for _ in range(count)
    ]
    lifted = Counter(each.node for each in some_of(everything, rng))
    assert all(count == counts[int(node.removeprefix("n"))] for node, count in lifted.items())
    assert sum(lifted.values()) <= max(MOST_LIFTED, *counts, 0) if counts else not lifted
    assert bool(lifted) == bool(everything)
