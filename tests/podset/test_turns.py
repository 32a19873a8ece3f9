"""How much is done for pod sets before others on the event loop have their turn: in pods, not in time."""

import asyncio
from collections.abc import Callable, Iterable

import anyio
import anyio.lowlevel
import pytest

from pallet.cache.pod_info import PodInfo
from pallet.podset.turns import STEPS, Turns, parts
from tests.builders import make_node, make_pod, make_trigger
from tests.podset.world import World, settle

pytestmark = pytest.mark.anyio

LARGE = 4 * STEPS
MOST = 2 * STEPS
"""Between two turns of a bystander: he may have one before the workers, and the next after them."""


class Bystander:
    """Somebody else on the event loop, who notes how much is done between two turns of his own."""

    def __init__(self) -> None:
        self.most = 0
        self.total = 0
        self._since = 0

    def count(self, steps: int) -> None:
        """So much was done."""
        if not self._since:
            asyncio.get_running_loop().call_soon(self._turn)
        self._since += steps
        self.total += steps
        self.most = max(self.most, self._since)

    def _turn(self) -> None:
        self._since = 0


async def work(turns: Turns, done: Callable[[int], None], things: int) -> None:
    for part in parts(range(things)):
        await turns.take(len(part))
        done(len(part))


@pytest.mark.parametrize("shares", [[LARGE], [50] * 100, [LARGE, 1, LARGE, 50]])
async def test_tasks_together_do_no_more_in_a_turn_than_one_may(shares: list[int]) -> None:
    bystander, turns = Bystander(), Turns()
    async with anyio.create_task_group() as tasks:
        for share in shares:
            tasks.start_soon(work, turns, bystander.count, share)
    assert bystander.total == sum(shares)
    assert bystander.most <= MOST


async def test_what_cannot_be_parted_uses_up_the_turns_to_come() -> None:
    turns, rounds = Turns(), Bystander()
    await turns.take(4 * STEPS)
    took = []

    async def take() -> None:
        await turns.take(1)
        took.append(rounds.total)

    async def go_round() -> None:
        while not took:
            rounds.count(1)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go_round)
        tasks.start_soon(take)
    assert took[0] >= 3


def test_parts_hold_everything_in_order() -> None:
    assert [each for part in parts(range(LARGE + 1)) for each in part] == list(range(LARGE + 1))


class LargeWorld(World):
    """A world whose reservations and activations a bystander counts."""

    def __init__(self, bystander: Bystander) -> None:
        self._bystander = bystander
        super().__init__()

    def _start(self) -> None:
        super()._start()
        reserve = self.cache.reserve

        def reserve_counted(info: PodInfo, node_name: str) -> None:
            self._bystander.count(1)
            reserve(info, node_name)

        self.cache.reserve = reserve_counted  # type: ignore[method-assign]  # counts, and does the same

    def activate(self, uids: Iterable[str]) -> None:
        before = len(self.activated)
        super().activate(uids)
        self._bystander.count(len(self.activated) - before)


async def test_a_large_set_is_let_go_in_parts() -> None:
    bystander = Bystander()
    world = LargeWorld(bystander)
    world.add(make_node("n1"), *(make_pod(f"web-{each}") for each in range(LARGE)))
    async with world.running():
        await settle()
        world.add(make_trigger(state="Schedule"))
        await settle()
        assert len(set(world.activated)) == len(world.activated) == len(world.reserved()) == LARGE
    assert bystander.total == 2 * LARGE
    assert bystander.most <= MOST


async def test_room_for_a_stored_plan_is_kept_in_parts_after_a_restart() -> None:
    bystander = Bystander()
    world = LargeWorld(bystander)
    world.add(make_node("n1"), make_trigger(state="Schedule"))
    world.add(*(make_pod(f"web-{each}") for each in range(LARGE)))
    async with world.running():
        await settle()
    bystander.total = bystander.most = 0
    async with world.running():
        assert len(world.reserved()) == LARGE
    assert bystander.total == LARGE
    assert bystander.most <= MOST
