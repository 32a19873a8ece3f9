"""Pods whose decision needs much counting: kept back, served in slices, the shortest first. In steps."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from pallet.api.core import ObjectReference
from pallet.api.pod import Pod
from pallet.cache.live_snapshot import LiveSnapshot
from pallet.cache.pod_info import PodInfo
from pallet.cache.selection import PodSelection, PodSelector
from pallet.loop_budget import SLICE_SECONDS, LoopBudget
from pallet.runtime import counting
from pallet.runtime.counting import FEW
from pallet.scheduler import counting_gate
from pallet.scheduler.counting_gate import CountingGates
from tests.builders import make_node, make_pod, pod_affinity, pod_term
from tests.profiles import default_profile
from tests.scheduler.background import in_background

pytestmark = pytest.mark.anyio

PLACED = 1000
"""Placed pods, each with labels of its own."""

A_SLICE = round(SLICE_SECONDS / 1e-5)
"""Comparisons that fit into a slice."""


class Scene:
    """A gate in front of a cluster with many sorts of pods. Each comparison takes 10 µs of its clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.compared = 0
        matches = PodSelector.matches

        def counted(selector: PodSelector, *args: Any) -> bool:
            self.compared += 1
            return matches(selector, *args)

        self.snapshot = LiveSnapshot()
        self.snapshot.put_node(make_node("n1"))
        for number in range(PLACED):
            self.place(make_pod(f"p{number}", labels={"app": "web", "pod": str(number)}))
        monkeypatch.setattr(PodSelector, "matches", counted)
        self.budget = LoopBudget(lambda: self.compared * 1e-5)
        self.gated: dict[str, Pod] = {}
        self.let_in: list[str] = []
        self.notes: list[str] = []
        self.leads = True
        self.profile = default_profile()
        self.gates = CountingGates(self.snapshot, self.budget, self, lambda: self.leads)
        self.gate = self.gates.gate(self.profile)

    def place(self, pod: Pod) -> None:
        self.snapshot.place(PodInfo(pod), "n1")

    def ask(self, pod: Pod) -> bool:
        """Whether a pod is let in; else it is gated, as the queue does it."""
        ok = self.gate.pre_enqueue(PodInfo(pod)).ok
        if not ok:
            self.gated[pod.metadata.uid] = pod
        return ok

    def event(
        self, regarding: ObjectReference, controller: str, *, kind: str, reason: str, action: str, note: str
    ) -> None:
        self.notes.append(note)

    def is_gated(self, uid: str) -> bool:
        return uid in self.gated

    def running(self) -> AbstractAsyncContextManager[None]:
        return in_background(lambda: self.gates.run(self))

    async def until_let_in(self, *names: str) -> None:
        while not {f"uid-{name}" for name in names} <= set(self.let_in):
            await anyio.lowlevel.checkpoint()

    async def steps_until_let_in(self, name: str) -> list[int]:
        """How much is compared between two turns of others."""
        seen = [self.compared]
        async with self.running():
            while f"uid-{name}" not in self.let_in:
                seen.append(self.compared)
                await anyio.lowlevel.checkpoint()
        seen.append(self.compared)
        return [after - before for before, after in pairwise(seen)]

    def activate(self, uids: Iterable[str]) -> None:
        for uid in uids:
            pod = self.gated.pop(uid, None)
            if pod is not None and self.ask(pod):
                self.let_in.append(uid)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def with_terms(name: str, count: int) -> Pod:
    terms = [pod_term(f"{name}-{number}") for number in range(count)]
    return make_pod(name, affinity=pod_affinity(away=terms))


def test_ordinary_pods_are_let_in_at_once(scene: Scene) -> None:
    assert scene.ask(make_pod("plain"))
    assert scene.ask(with_terms("few", FEW // PLACED))
    assert scene.compared == 0


async def test_a_pod_with_many_terms_is_let_in_when_they_are_counted(scene: Scene) -> None:
    pod = with_terms("many", 50)
    assert not scene.ask(pod)
    assert scene.compared == 0
    async with scene.running():
        await scene.until_let_in("many")
    assert scene.compared == 50 * PLACED
    [(_, pods)] = PodInfo(pod).terms.away
    assert scene.snapshot.counters.uncounted(pods) == 0


async def test_others_run_between_slices(scene: Scene) -> None:
    scene.ask(with_terms("many", 50))
    steps = await scene.steps_until_let_in("many")
    assert max(steps) <= A_SLICE + counting._STEP
    assert len([step for step in steps if step]) >= 50 * PLACED // (A_SLICE + counting._STEP)


async def test_decisions_get_three_slices_for_each_one_spent_on_counting(scene: Scene) -> None:
    scene.ask(with_terms("many", 50))
    order: list[str] = []

    async def decide() -> None:
        while "uid-many" not in scene.let_in:
            await scene.budget.pause()
            before = scene.compared
            order.append("decisions")
            scene.compared += int(SLICE_SECONDS / 1e-5)
            assert before + int(SLICE_SECONDS / 1e-5) == scene.compared

    steps = counting.Counting.step

    def step(self: counting.Counting, info: PodInfo, counted: Sequence[PodSelection]) -> bool:
        order.append("counting")
        return steps(self, info, counted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting.Counting, "step", step)
        async with scene.running():
            await decide()
    runs = "".join("d" if each == "decisions" else "c" for each in order).split("c")
    between = [len(run) for run in runs if run][1:-1]
    assert between
    assert min(between) >= 3


async def test_the_pod_that_needs_least_is_served_first(scene: Scene) -> None:
    for name, terms in (("large", 45), ("small", 6), ("middle", 20)):
        assert not scene.ask(with_terms(name, terms))
    async with scene.running():
        await scene.until_let_in("large", "middle", "small")
    assert scene.let_in == ["uid-small", "uid-middle", "uid-large"]


async def test_a_small_one_does_not_wait_for_a_large_one_under_way(scene: Scene) -> None:
    scene.ask(with_terms("large", 45))
    async with scene.running():
        while not scene.compared:
            await anyio.lowlevel.checkpoint()
        scene.ask(with_terms("small", 6))
        await scene.until_let_in("large", "small")
    assert scene.let_in == ["uid-small", "uid-large"]


async def test_a_pod_that_is_gone_is_not_counted_for(scene: Scene) -> None:
    scene.ask(with_terms("gone", 45))
    scene.gated.clear()
    scene.ask(with_terms("stays", 6))
    async with scene.running():
        await scene.until_let_in("stays")
        while scene.gates._kept:
            await anyio.lowlevel.checkpoint()
    assert scene.compared == 6 * PLACED


async def test_nothing_is_kept_of_pods_that_are_gone_while_others_are_served(scene: Scene) -> None:
    scene.ask(with_terms("gone", 45))
    scene.gated.clear()
    scene.ask(with_terms("stays", 44))
    async with scene.running():
        while not scene.compared:
            await anyio.lowlevel.checkpoint()
        assert scene.gates._kept.keys() == {"uid-stays"}


async def test_terms_that_placed_pods_hold_are_compared_in_slices_too(scene: Scene) -> None:
    for number in range(50):
        holder = make_pod(f"holder-{number}", affinity=with_terms(f"holder-{number}", 100).spec.affinity)
        scene.place(holder)
    scene.compared = 0
    assert not scene.ask(make_pod("plain"))
    assert max(await scene.steps_until_let_in("plain")) <= A_SLICE + counting._STEP
    assert scene.compared == 5000
    assert scene.ask(make_pod("another"))


def test_what_takes_long_is_told_once_by_the_one_who_leads(scene: Scene) -> None:
    pod = with_terms("many", 50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting_gate, "LONG", 20_000)
        scene.leads = False
        scene.ask(pod)
        assert not scene.notes
        scene.gates._kept.clear()
        scene.leads = True
        scene.ask(pod)
        scene.ask(pod)
    assert len(scene.notes) == 1
    assert "50,000 comparisons" in scene.notes[0]


@pytest.mark.parametrize("terms", [39, 41])
async def test_a_pod_that_was_counted_for_is_let_in_where_little_of_it_was_forgotten(
    scene: Scene, terms: int
) -> None:
    """However much it is, no cycle counts more than some milliseconds long."""
    pod = with_terms("many", terms)
    scene.ask(pod)
    async with scene.running():
        await scene.until_let_in("many")
    scene.snapshot.counters._tallies.forget([pods for _, pods in PodInfo(pod).terms.away])
    assert PLACED * terms > FEW
    assert scene.ask(pod) is (PLACED * terms <= counting_gate._MOST_IN_A_CYCLE)


async def test_groups_that_come_later_are_compared_with_thousands_of_terms_in_slices(
    scene: Scene,
) -> None:
    pod = with_terms("many", 2000)
    scene.ask(pod)
    async with scene.running():
        await scene.until_let_in("many")
        before = scene.compared
        for number in range(50):
            scene.place(make_pod(f"late-{number}", labels={"app": "web", "late": str(number)}))
        assert scene.compared == before
        assert not scene.ask(pod)
        scene.let_in.clear()
        await scene.until_let_in("many")
    assert scene.compared == before + 50 * 2000
