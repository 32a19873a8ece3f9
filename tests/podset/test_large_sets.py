"""How much is done for pod sets before others on the event loop have their turn: in members, not in time."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from pallet.cache.selection import PodSelector
from pallet.loop_budget import SLICE_SECONDS, LoopBudget
from pallet.podset import planning
from pallet.podset.model import PodSet
from pallet.podset.states import take_plan
from tests.builders import make_node, make_pod, make_trigger, pod_affinity, pod_term
from tests.podset.world import World, settle
from tests.profiles import default_profile

pytestmark = pytest.mark.anyio

LARGE = 2000
PROFILE = default_profile()
STEPS = 100
"""Members that take a slice."""


class Bystander:
    """Another task on the event loop, which notes how many steps are done between two of its own."""

    def __init__(self) -> None:
        self.most = 0
        self.total = 0
        self._since = 0

    def now(self) -> float:
        """A clock that the steps move."""
        return self.total * SLICE_SECONDS / STEPS * 1.001

    def count(self, steps: int) -> None:
        """So much was done."""
        if not self._since:
            asyncio.get_running_loop().call_soon(self._run)
        self._since += steps
        self.total += steps
        self.most = max(self.most, self._since)

    def _run(self) -> None:
        self._since = 0


class LargeWorld(World):
    """A world whose reservations and activations a bystander counts."""

    def __init__(self, bystander: Bystander) -> None:
        self._bystander = bystander
        super().__init__(budget=LoopBudget(bystander.now))

    def _start(self) -> None:
        super()._start()
        reserve = self.cache.reserve

        def reserve_counted(info: PodInfo, node_name: str, owner: Owner) -> None:
            self._bystander.count(1)
            reserve(info, node_name, owner)

        self.cache.reserve = reserve_counted  # type: ignore[method-assign]  # counts, and does the same

    def activate(self, uids: Iterable[str]) -> None:
        before = len(self.activated)
        super().activate(uids)
        self._bystander.count(len(self.activated) - before)


async def test_a_large_set_is_let_go_in_slices() -> None:
    bystander = Bystander()
    world = LargeWorld(bystander)
    world.add(make_node("n1"), *(make_pod(f"web-{each}") for each in range(LARGE)))
    async with world.running():
        await settle()
        world.add(make_trigger(state="Schedule"))
        await settle()
        assert len(set(world.activated)) == len(world.activated) == len(world.reserved()) == LARGE
    assert bystander.total == 2 * LARGE
    assert bystander.most <= STEPS


async def test_the_answer_of_a_planner_is_taken_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    bystander = Bystander()
    parts: list[int] = []

    def counted(
        pod_set: PodSet, assignments: Mapping[str, str], refused: Mapping[str, str], **more: Any
    ) -> None:
        bystander.count(len(assignments))
        parts.append(len(assignments))
        take_plan(pod_set, assignments, refused, **more)

    monkeypatch.setattr(planning, "take_plan", counted)
    world = World(budget=LoopBudget(bystander.now))
    world.add(make_node("n1"), *(make_pod(f"web-{each}") for each in range(LARGE)))
    world.add(make_trigger(state="Schedule"))
    async with world.running():
        await settle()
    assert sum(parts) == LARGE
    assert bystander.most == max(parts) < LARGE


async def test_large_sets_together_do_no_more_than_one() -> None:
    bystander = Bystander()
    world = LargeWorld(bystander)
    world.add(make_node("n1"))
    for name in ("web", "db", "cron"):
        world.add(*(make_pod(f"{name}-{each}", pod_set=name) for each in range(LARGE // 4)))
        world.add(make_trigger(name=name, pod_set=name, state="Schedule"))
    async with world.running():
        await settle()
        assert len(set(world.activated)) == len(world.reserved()) == 3 * LARGE // 4
    assert bystander.most <= STEPS


async def test_room_for_a_stored_plan_is_kept_in_slices_after_a_restart() -> None:
    bystander = Bystander()
    world = LargeWorld(bystander)
    world.add(make_node("n1"), make_trigger(state="Schedule"))
    world.add(*(make_pod(f"web-{each}") for each in range(LARGE)))
    async with world.running():
        await settle()
    bystander.most, before = 0, bystander.total
    async with world.running():
        assert len(world.reserved()) == LARGE
    assert bystander.total == before + LARGE
    assert bystander.most <= STEPS


async def test_what_room_is_reserved_by_is_counted_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reservation asks every filter on the live snapshot, and a member may have thousands of terms."""
    bystander = Bystander()
    matches = PodSelector.matches

    def compared(selector: PodSelector, *args: Any) -> bool:
        bystander.count(1)
        return matches(selector, *args)

    world = World(lambda _: PROFILE, budget=LoopBudget(bystander.now))
    away = [pod_term(f"app-{number}") for number in range(300)]
    world.add(make_node("n1", cpu="100"), make_pod("web-0", affinity=pod_affinity(away=away)))
    world.add(*(make_pod(f"p{each}", pod_set="", labels={"pod": str(each)}, node="n1") for each in range(50)))
    monkeypatch.setattr(PodSelector, "matches", compared)
    async with world.running():
        await settle()
        world.add(make_trigger(state="Schedule"))
        await settle()
        assert list(world.reserved().values()) == ["n1"]
    assert bystander.total >= 300 * 50
    assert bystander.most <= STEPS + 300
