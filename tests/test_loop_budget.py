"""What the loop budget promises, counted in steps of a virtual clock."""

import asyncio
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest

from pallet.loop_budget import SLICE_SECONDS, LoopBudget

pytestmark = pytest.mark.anyio

STEPS = 10
"""Steps in a slice."""


class Loop:
    """An event loop on which workers do steps of equal length, and what was run in which iteration."""

    def __init__(self) -> None:
        self._now = 0.0
        self.budget = LoopBudget(lambda: self._now)
        self.done: list[str] = []
        self.most_in_an_iteration = 0
        self._in_this_iteration = 0

    async def work(self, name: str, steps: int) -> None:
        for _ in range(steps):
            if self.budget.exhausted:
                await self.budget.pause()
            self.step(name)

    def step(self, name: str) -> None:
        self._now += SLICE_SECONDS / STEPS * 1.001
        self.done.append(name)
        if not self._in_this_iteration:
            asyncio.get_running_loop().call_soon(self._next_iteration)
        self._in_this_iteration += 1
        self.most_in_an_iteration = max(self.most_in_an_iteration, self._in_this_iteration)

    def _next_iteration(self) -> None:
        self._in_this_iteration = 0

    def slices(self) -> list[tuple[str, int]]:
        """Who worked, and for how many steps at a stretch."""
        runs: list[tuple[str, int]] = []
        for name in self.done:
            steps = runs.pop()[1] if runs and runs[-1][0] == name else 0
            runs.append((name, steps + 1))
        return runs


async def test_a_short_task_runs_between_any_two_slices_of_two_long_ones() -> None:
    loop = Loop()

    async def short() -> None:
        while loop.done.count("a") < 50 or loop.done.count("b") < 50:
            loop.done.append("short")
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(loop.work, "a", 50)
        tasks.start_soon(loop.work, "b", 50)
        tasks.start_soon(short)
    long = [(name, steps) for name, steps in loop.slices() if name != "short"]
    assert all(steps <= STEPS for _, steps in long)
    assert all("short" in pair for pair in pairwise(name for name, _ in loop.slices()))
    assert loop.most_in_an_iteration <= STEPS


@pytest.mark.parametrize("shares", [[500], [1] * 200, [5] * 100, [100, 1, 100, 5], [50] * 20])
async def test_all_together_do_a_slice_in_an_iteration(shares: list[int]) -> None:
    loop = Loop()
    async with anyio.create_task_group() as tasks:
        for number, share in enumerate(shares):
            tasks.start_soon(loop.work, str(number), share)
    assert len(loop.done) == sum(shares)
    assert loop.most_in_an_iteration <= STEPS


async def test_those_who_pause_go_on_in_the_order_in_which_they_came() -> None:
    loop = Loop()
    async with anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(loop.work, name, 3 * STEPS)
    assert "".join(loop.done[::STEPS]) == "aabcabcbc"  # a is the first to pause, b and c follow at once


async def test_a_pause_lets_everything_else_run_once() -> None:
    loop = Loop()
    ran: list[int] = []
    for number in range(100):
        asyncio.get_running_loop().call_soon(ran.append, number)
    await loop.budget.pause()
    assert len(ran) == 100


async def test_a_slice_of_an_earlier_iteration_does_not_count() -> None:
    """As when lines of a watch trickle in: the time in which nothing came is no work."""
    loop = Loop()
    await loop.work("a", STEPS)
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
    assert not loop.budget.exhausted


async def test_an_overlong_step_uses_up_the_slice_for_all() -> None:
    loop = Loop()
    assert not loop.budget.exhausted
    for _ in range(5 * STEPS):
        loop.step("a")
    assert loop.budget.exhausted


async def test_who_is_cancelled_in_a_pause_holds_up_no_other() -> None:
    loop = Loop()
    scopes: list[anyio.CancelScope] = []

    async def cancelled() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await loop.work("gone", 1000)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(cancelled)
        tasks.start_soon(loop.work, "stays", 5 * STEPS)
        while loop.done.count("stays") < STEPS:
            await anyio.lowlevel.checkpoint()
        scopes[0].cancel()
        scopes[1].cancel()
        await anyio.lowlevel.checkpoint()
        scopes[2].cancel()
    assert loop.done.count("stays") == 5 * STEPS
    await loop.budget.pause()
    assert not loop.budget.exhausted


@pytest.mark.parametrize("iterations", range(4))
async def test_who_is_cancelled_when_the_slice_is_theirs_passes_it_on(iterations: int) -> None:
    loop = Loop()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(loop.work, "a", 2 * STEPS)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as others:
                others.start_soon(loop.work, "b", 2 * STEPS)
                for _ in range(iterations):
                    await asyncio.sleep(0)
                scope.cancel()
        tasks.start_soon(loop.work, "c", 2 * STEPS)
    assert loop.done.count("a") == loop.done.count("c") == 2 * STEPS
