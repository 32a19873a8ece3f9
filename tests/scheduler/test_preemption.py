"""Preemption through the whole scheduler, with a watch that lags behind what was written."""

from collections.abc import AsyncIterator
from unittest.mock import patch

import anyio
import pytest

from pallet.api.pod import Pod
from pallet.plugins.preemption import victims
from tests.builders import SCHEDULER, make_node
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.scheduler.world import World, a_world

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world(preempts=True) as world:
        yield world


async def a_preemption(world: World) -> tuple[Pod, dict[str, Pod]]:
    """Two full nodes and a small one; a pod that has one of the full nodes emptied. All but that is seen."""
    world.add_node("n2")
    world.add_node("small", cpu="1")
    low = {node: world.add_pod(f"low-{node}", cpu="4", node=node) for node in ("n1", "n2")}
    world.add_pod("other", cpu="1", node="small")
    high = world.add_pod("high", cpu="4", priority=5)
    await world.until(lambda: bool(world.api.deleted and world.api.conditions))
    return high, low


async def something_helps(world: World) -> None:
    """A pod elsewhere goes, for which the preemptor is tried again."""
    asked = world.metrics.schedule_attempts_total["unschedulable", SCHEDULER]
    before = asked.value
    world.delete(world.seen["default/other"])
    await world.until(lambda: asked.value > before)
    await anyio.sleep(5)


@pytest.mark.parametrize("its_nomination", ["seen", "not seen"])
async def test_a_preemptor_waits_for_victims_that_are_not_seen_going_yet(
    world: World, its_nomination: str
) -> None:
    high, low = await a_preemption(world)
    [victim] = world.api.deleted
    node = victim.removeprefix("low-")
    if its_nomination == "seen":
        world.watch(high)
    await something_helps(world)
    assert world.api.deleted == [victim]
    assert world.nominator.node_of("uid-high") == node
    world.delete(low[node])
    await world.until(lambda: world.api.bound == [f"high {node}"])


async def test_a_node_that_is_out_of_the_question_is_not_waited_for(world: World) -> None:
    _, low = await a_preemption(world)
    [victim] = world.api.deleted
    node = victim.removeprefix("low-")
    world.handlers.delete_node(make_node(node))
    await something_helps(world)
    assert world.api.deleted == [victim, *(pod.metadata.name for name, pod in low.items() if name != node)]


async def test_a_pod_is_tried_again_until_all_nodes_have_been(world: World) -> None:
    world.add_node("n2")
    world.add_pod("stronger", cpu="4", priority=9, node="n1")
    world.add_pod("weaker", cpu="4", node="n2")
    with patch.object(victims, "MOST_AT_ONCE", 1):
        world.add_pod("high", cpu="4", priority=5)
        await world.until(lambda: bool(world.api.deleted))
    assert world.api.deleted == ["weaker"]
    assert world.nominator.node_of("uid-high") == "n2"
