"""Pods of pod groups are held back and told so, where groups are enabled."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace as with_fields
from typing import TYPE_CHECKING, cast

import anyio
import pytest
from msgspec.structs import replace

from pallet.api.core import ObjectReference
from pallet.api.pod import Pod, PodSchedulingGroup
from pallet.cache.nominator import Nominator
from pallet.framework.instruments import Instruments
from pallet.framework.metrics import Metrics
from pallet.scheduler.group_gate import NOT_SUPPORTED, NOTE, GroupGate
from pallet.scheduler.queue import SchedulingQueue
from tests.builders import SCHEDULER, make_pod
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.scheduler.background import in_background
from tests.scheduler.probe import Probe, a_profile

if TYPE_CHECKING:
    from pallet.scheduler.conditions import ConditionWriter

pytestmark = pytest.mark.anyio

PLAIN = make_pod("plain")
GROUPED = replace(
    make_pod("grouped"),
    spec=replace(PLAIN.spec, scheduling_group=PodSchedulingGroup("workers")),
)


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


class Conditions:
    """Takes note of the conditions of pods."""

    def __init__(self, told: list[tuple[str, ...]]) -> None:
        self._told = told

    def set(self, pod: Pod, reason: str, message: str) -> None:
        self._told.append((pod.metadata.name, reason, message))


class Scene:
    """A queue with the gate, and what pods are told."""

    def __init__(self, *, enabled: bool) -> None:
        self.told: list[tuple[str, ...]] = []
        self.gate = GroupGate(self, cast("ConditionWriter", Conditions(self.told)))
        self.gate.enabled = enabled
        profile = with_fields(a_profile(Probe()), pre_enqueue=(self.gate,))
        self.queue = SchedulingQueue(
            {SCHEDULER: profile}, Nominator(), Metrics(Instruments()), anyio.current_time
        )
        for pod in (GROUPED, PLAIN):
            self.queue.add(pod)

    def event(
        self, regarding: ObjectReference, controller: str, *, kind: str, reason: str, action: str, note: str
    ) -> None:
        self.told.append((regarding.name, kind, reason, note))

    def popped(self) -> set[str]:
        pods = iter(self.queue.pop, None)
        return {queued.pod.metadata.name for queued in pods}

    def running(self) -> AbstractAsyncContextManager[None]:
        return in_background(lambda: self.gate.run(self.queue))


TOLD = [("grouped", NOT_SUPPORTED, NOTE), ("grouped", "Warning", "FailedScheduling", NOTE)]


async def test_a_pod_of_a_group_is_held_back_and_told_once() -> None:
    scene = Scene(enabled=True)
    assert scene.popped() == {"plain"}
    assert not scene.told, "one that does not lead writes nothing"
    async with scene.running():
        await anyio.sleep(1)
        assert scene.told == TOLD
        scene.queue.activate(["uid-grouped"])
        await anyio.sleep(1)
        assert scene.told == TOLD
    assert not scene.popped()


async def test_a_pod_that_is_gone_is_told_nothing() -> None:
    scene = Scene(enabled=True)
    scene.queue.delete(GROUPED)
    async with scene.running():
        await anyio.sleep(1)
    assert not scene.told


async def test_the_field_is_ignored_where_groups_are_not_enabled() -> None:
    scene = Scene(enabled=False)
    async with scene.running():
        assert scene.popped() == {"plain", "grouped"}
        await anyio.sleep(1)
    assert not scene.told
