"""Preemption that an extender has to agree to, through the whole scheduler."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from pallet.extenders.extender import extenders_of
from tests.builders import SCHEDULER
from tests.extenders.service import Service, serving
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.scheduler.world import World, a_world

pytestmark = pytest.mark.anyio

LOW = {"n1": 1, "n2": 2, "n3": 3}
"""Full nodes and the priority of the pod on each: n1 is the one that is best to preempt on."""


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


def agreeing(nodes: Iterable[str]) -> dict[str, Any]:
    """Agree to preempting on some nodes."""
    victims = {node: {"pods": [{"uid": f"uid-low-{node}"}]} for node in nodes}
    return {"nodeNameToMetaVictims": victims}


@asynccontextmanager
async def a_full_world(answer: Any) -> AsyncIterator[tuple[World, Service]]:
    """Full nodes, and an extender that gives its answer to a preemption."""
    async with (
        serving({"preempt": answer}) as service,
        extenders_of([service.configured()]) as extenders,
        a_world(preempts=True, extenders=extenders) as world,
    ):
        for node, priority in LOW.items():
            if node != "n1":
                world.add_node(node)
            world.add_pod(f"low-{node}", cpu="4", priority=priority, node=node)
        yield world, service


async def test_the_best_node_that_the_extender_agrees_to_is_taken() -> None:
    async with a_full_world(agreeing(["n3", "n2"])) as (world, service):
        world.add_pod("high", cpu="4", priority=5)
        await world.until(lambda: bool(world.api.deleted))
        await anyio.sleep(5)
        assert world.api.deleted == ["low-n2"]
        assert world.nominator.node_of("uid-high") == "n2"
        world.delete(world.seen["default/low-n2"])
        await world.until(lambda: world.api.bound == ["high n2"])
    [(_, asked)] = service.asked
    assert sorted(asked["NodeNameToMetaVictims"]) == sorted(LOW)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (agreeing([]), "preemption: no candidate node for preemption"),
        (500, "preemption: failed preempt with extender at URL {url}/preempt, code 500"),
    ],
    ids=["to no node", "it fails"],
)
async def test_without_agreement_nobody_goes(answer: Any, words: str) -> None:
    async with a_full_world(answer) as (world, service):
        world.add_pod("high", cpu="4", priority=5)
        expected = words.format(url=service.url)
        await world.until(lambda: any(each["message"].endswith(expected) for each in world.api.conditions))
        await anyio.sleep(5)
        assert len(service.asked) == 1
        assert not world.api.deleted
        assert world.metrics.schedule_attempts_total["unschedulable", SCHEDULER].value == 2


def change(world: World, name: str) -> None:
    """Have a pod go, or a node out of the question."""
    if name.startswith("low"):
        world.delete(world.seen[f"default/{name}"])
        world.add_pod("next", cpu="4", node="n1", priority=9)
    else:
        world.handlers.delete_node(world.add_node(name))


@pytest.mark.parametrize("what", ["low-n1", "n1"], ids=["a victim", "a node"])
async def test_what_is_no_longer_so_is_decided_afresh(what: str) -> None:
    worlds: list[World] = []
    answers = [agreeing(["n2"]), agreeing(["n1"])]

    def answer() -> dict[str, Any]:
        if len(answers) == 2:
            change(worlds[0], what)
        return answers.pop()

    async with a_full_world(answer) as (world, service):
        worlds.append(world)
        world.add_pod("high", cpu="4", priority=5)
        await world.until(lambda: bool(world.api.deleted))
        assert world.api.deleted == ["low-n2"]
        assert world.metrics.schedule_attempts_total["unschedulable", SCHEDULER].value == 3
    assert ["n1" in asked["NodeNameToMetaVictims"] for _, asked in service.asked] == [True, False]


async def test_a_pod_is_not_tried_while_its_extenders_are_asked() -> None:
    worlds: list[World] = []

    def answer() -> dict[str, Any]:
        [world] = worlds
        world.delete(world.seen["default/small"])
        world.queue.flush()
        pops.append(world.queue.pop())
        return agreeing(["n1"])

    pops: list[object] = []
    async with a_full_world(answer) as (world, _):
        worlds.append(world)
        world.add_node("small", cpu="1")
        world.add_pod("small", cpu="1", node="small")
        world.add_pod("high", cpu="4", priority=5)
        await world.until(lambda: bool(world.api.deleted))
        assert world.api.deleted == ["low-n1"]
    assert pops == [None]


async def test_a_pod_that_goes_meanwhile_preempts_nobody() -> None:
    worlds: list[World] = []

    def answer() -> dict[str, Any]:
        worlds[0].delete(worlds[0].seen["default/high"])
        return agreeing(["n1"])

    async with a_full_world(answer) as (world, service):
        worlds.append(world)
        world.add_pod("high", cpu="4", priority=5)
        await world.until(lambda: bool(service.asked))
        await anyio.sleep(5)
        assert not world.api.deleted
