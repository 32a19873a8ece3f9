"""Large pods: one at a time, with time for others between two of them."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import anyio
import pytest

from pallet.api.core import ObjectReference
from pallet.api.pod import Pod, Toleration
from pallet.cache.nominator import Nominator
from pallet.cache.pod_info import PodInfo
from pallet.framework.instruments import Instruments
from pallet.framework.metrics import Metrics
from pallet.runtime.pod_limits import CLAIMS, TERMS, TOLERATIONS
from pallet.scheduler.large_pods import PAUSE_SECONDS, LargePods
from pallet.scheduler.queue import SchedulingQueue
from tests.builders import SCHEDULER, make_pod, pod_affinity, pod_term
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.scheduler.background import in_background
from tests.scheduler.probe import Probe, a_profile
from tests.storage import claimed

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


class Scene:
    """A queue whose pods pass the gate, and who pops them."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.leads = True
        self.gate = LargePods(self, lambda: self.leads)
        profile = replace(a_profile(Probe()), pre_enqueue=(self.gate,))
        self.queue = SchedulingQueue(
            {SCHEDULER: profile}, Nominator(), Metrics(Instruments()), anyio.current_time
        )

    def event(
        self, regarding: ObjectReference, controller: str, *, kind: str, reason: str, action: str, note: str
    ) -> None:
        self.notes.append(f"{kind} {reason} {regarding.name}: {note}")

    def add(self, *pods: Pod) -> None:
        for pod in pods:
            self.queue.add(pod)

    def pop(self) -> str:
        """The name of the next pod, which is then bound; empty for none."""
        queued = self.queue.pop()
        if queued is None:
            return ""
        self.queue.done(queued.uid)
        return queued.pod.metadata.name

    def running(self) -> AbstractAsyncContextManager[None]:
        return in_background(lambda: self.gate.run(self.queue))


@pytest.fixture
async def scene() -> Scene:
    return Scene()


def large(name: str, terms: int = 2 * TERMS.ordinary, priority: int = 0) -> Pod:
    away = [pod_term(f"{name}-{number}") for number in range(terms)]
    return make_pod(name, affinity=pod_affinity(away=away), priority=priority)


async def test_ordinary_pods_and_those_that_are_refused_anyway_are_let_in_at_once(scene: Scene) -> None:
    beyond = make_pod("beyond", volumes=[claimed(f"c{number}") for number in range(int(CLAIMS.most) + 1)])
    scene.add(make_pod("plain"), large("few", TERMS.ordinary), beyond)
    assert [scene.pop() for _ in range(3)] == ["plain", "few", "beyond"]
    assert not scene.notes


async def test_large_pods_have_turns_with_a_pause_after_each(scene: Scene) -> None:
    scene.add(large("a"), large("b"), large("c"))
    assert not scene.pop()
    popped: dict[str, float] = {}
    async with scene.running():
        while len(popped) < 3:
            await anyio.sleep(0.01)
            if name := scene.pop():
                popped[name] = anyio.current_time()
    assert list(popped) == ["a", "b", "c"]
    assert popped["b"] - popped["a"] >= 2 * PAUSE_SECONDS
    assert popped["c"] - popped["b"] >= 2 * PAUSE_SECONDS


async def test_the_highest_priority_has_the_next_turn(scene: Scene) -> None:
    scene.add(large("low"), large("high", priority=5))
    async with scene.running():
        await anyio.sleep(0.01)
        assert scene.pop() == "high"


async def test_a_pod_that_others_are_popped_before_keeps_its_turn(scene: Scene) -> None:
    scene.add(large("a"), large("b", priority=-1))
    async with scene.running():
        await anyio.sleep(60)  # as long as more important ones are popped
        assert scene.pop() == "a"
        assert not scene.pop()


async def test_one_that_comes_again_waits_for_another_turn(scene: Scene) -> None:
    scene.add(large("a"))
    async with scene.running():
        await anyio.sleep(1)
        queued = scene.queue.pop()
        assert queued is not None
        scene.queue.refuse(queued, frozenset({"Probe"}))
        await anyio.sleep(1)
        scene.add(large("b"))
        await anyio.sleep(0.1)
        assert scene.pop() == "b"
        scene.queue.activate((queued.uid,))
        assert not scene.pop()
        await anyio.sleep(1)
        assert scene.pop() == "a"


async def test_nothing_is_kept_of_a_pod_that_is_gone(scene: Scene) -> None:
    gone, stays = large("gone"), large("stays")
    scene.add(gone, stays)
    scene.queue.delete(gone)
    async with scene.running():
        await anyio.sleep(0.01)
        assert scene.pop() == "stays"
        await anyio.sleep(1)
    assert not scene.gate._kept


async def test_a_pod_that_is_deleted_in_its_turn_ends_it(scene: Scene) -> None:
    gone = large("gone", priority=1)
    scene.add(gone, large("next"))
    async with scene.running():
        await anyio.sleep(0.01)
        assert scene.queue.is_active(gone.metadata.uid)
        scene.queue.delete(gone)
        await anyio.sleep(1)
        assert scene.pop() == "next"


async def test_an_event_tells_once_why_it_takes_longer(scene: Scene) -> None:
    scene.leads = False
    pod = large("a", 260)
    assert not scene.gate.pre_enqueue(PodInfo(pod)).ok
    assert not scene.notes
    scene.leads = True
    for _ in range(2):
        assert not scene.gate.pre_enqueue(PodInfo(pod)).ok
    [note] = scene.notes
    assert note == (
        "Normal SchedulingDelayed a: The pod has 260 terms in spec.affinity.podAffinity and "
        "spec.affinity.podAntiAffinity: with more than 250, pods are scheduled one at a time, "
        "beside other work"
    )


async def test_the_pause_after_the_longest_pods_is_no_longer_than_their_decision_needs(scene: Scene) -> None:
    for name in ("a", "b"):
        tolerations = [Toleration(f"{name}-{number}") for number in range(50 * TOLERATIONS.ordinary)]
        scene.add(make_pod(name, tolerations=tolerations))
    popped: dict[str, float] = {}
    async with scene.running():
        while len(popped) < 2:
            await anyio.sleep(0.01)
            if name := scene.pop():
                popped[name] = anyio.current_time()
    assert 10 * PAUSE_SECONDS <= popped["b"] - popped["a"] < 11 * PAUSE_SECONDS
