import asyncio

import anyio
import pytest

from pallet.client.limiter import Priority, RateLimiter
from tests.faults.virtual_time import VIRTUAL_TIME, VirtualTimeLoop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


def hold_up(seconds: float) -> None:
    """Let time pass while no timer can fire."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.skip(seconds)


async def acquire_all(limiter: RateLimiter, asked: list[tuple[str, Priority]]) -> list[tuple[str, float]]:
    """Ask for tokens at the same moment; give who got one, and when."""
    granted: list[tuple[str, float]] = []
    start = anyio.current_time()

    async def acquire(name: str, priority: Priority) -> None:
        await limiter.acquire(priority)
        granted.append((name, round(anyio.current_time() - start, 6)))

    async with anyio.create_task_group() as tasks:
        for name, priority in asked:
            tasks.start_soon(acquire, name, priority)
    return granted


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    granted = await acquire_all(RateLimiter(10.0, 2), [(name, Priority.NORMAL) for name in "abcd"])
    assert granted == [("a", 0.0), ("b", 0.0), ("c", 0.1), ("d", 0.2)]


async def test_waiters_are_served_by_priority_then_in_order() -> None:
    limiter = RateLimiter(10.0, 1)
    asked = [
        ("first", Priority.EVENT),
        ("event", Priority.EVENT),
        ("patch", Priority.NORMAL),
        ("bind 1", Priority.BINDING),
        ("bind 2", Priority.BINDING),
    ]
    granted = await acquire_all(limiter, asked)
    assert [name for name, _ in granted] == ["first", "bind 1", "bind 2", "patch", "event"]


async def test_nobody_overtakes_those_who_wait() -> None:
    limiter = RateLimiter(10.0, 1)
    assert limiter.try_acquire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(limiter.acquire)
        await anyio.wait_all_tasks_blocked()
        hold_up(0.1)
        assert not limiter.try_acquire()


async def test_the_bucket_fills_up_to_the_burst_only() -> None:
    limiter = RateLimiter(10.0, 3)
    await anyio.sleep(100.0)
    assert [limiter.try_acquire() for _ in range(4)] == [True, True, True, False]


async def test_a_waiter_that_gave_up_takes_no_token() -> None:
    limiter = RateLimiter(10.0, 1)
    assert limiter.try_acquire()
    with anyio.move_on_after(0.05):
        await limiter.acquire()
    await anyio.sleep(0.05)
    assert limiter.try_acquire()


async def test_a_token_granted_to_a_task_that_is_cancelled_meanwhile_is_not_lost() -> None:
    limiter = RateLimiter(10.0, 1)
    assert limiter.try_acquire()
    waiter = asyncio.create_task(limiter.acquire())
    await anyio.wait_all_tasks_blocked()
    # Both fall on one turn of the loop: first the grant, then the cancellation.
    asyncio.get_running_loop().call_later(0.15, waiter.cancel)
    hold_up(0.15)
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert limiter.try_acquire()


@pytest.mark.parametrize("qps", [0.0, -1.0])
async def test_no_rate_means_no_limit(qps: float) -> None:
    limiter = RateLimiter(qps, 1)
    assert all(limiter.try_acquire() for _ in range(1000))
