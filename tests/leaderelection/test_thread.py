"""Leader election in its thread: what holds the loop of the others holds up nothing here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.to_thread
import pytest

from pallet.client import ApiError
from pallet.config.decode import Seconds
from pallet.config.schema import LeaderElection
from pallet.leaderelection import ElectionThread, LeaderElector, LeadershipLostError
from tests.leaderelection.memory_lock import Api, MemoryLock

pytestmark = pytest.mark.anyio

SETTINGS = LeaderElection(lease_duration=Seconds(30), renew_deadline=Seconds(20), retry_period=Seconds(0.01))


@asynccontextmanager
async def candidate(api: Api, identity: str = "one") -> AsyncIterator[ElectionThread]:
    @asynccontextmanager
    async def elector() -> AsyncIterator[LeaderElector]:
        yield LeaderElector(MemoryLock(api), SETTINGS, identity)

    async with ElectionThread.start(elector) as election:
        yield election


def version(api: Api) -> int:
    return int(api.lease.metadata.resource_version) if api.lease else 0


async def test_the_lease_is_renewed_while_the_loop_is_held() -> None:
    api = Api()
    async with candidate(api) as election:
        await election.acquire()
        held_until = version(api) + 3
        while version(api) < held_until:
            pass  # nothing else runs on this loop
        assert election.elector.fence.remaining() > 0


async def test_the_loss_of_the_lease_is_told_to_the_loop() -> None:
    api = Api()
    async with candidate(api) as election, anyio.create_task_group() as tasks:
        await election.acquire()

        async def lose() -> None:
            with pytest.raises(LeadershipLostError, match="held by nobody"):
                await election.hold()

        tasks.start_soon(lose)
        await anyio.wait_all_tasks_blocked()
        while election.elector.leader == "one":
            with suppress(ApiError):  # it was renewed in between
                api.change(holder_identity="")
            await anyio.sleep(0.001)
    assert election.elector.fence.remaining() == 0


async def test_who_waits_for_the_loss_may_go_and_the_lease_is_held_on() -> None:
    api = Api()
    async with candidate(api) as election:
        await election.acquire()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(election.hold)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        renewed = version(api) + 2
        while version(api) < renewed:  # noqa: ASYNC110 - another thread does it
            await anyio.sleep(0.001)
        await election.release()
        assert api.lease
        assert api.lease.spec.holder_identity == ""
        assert election.elector.fence.remaining() == 0
        released = version(api)
        await anyio.sleep(5 * SETTINGS.retry_period)
        assert version(api) == released


async def test_a_thread_without_a_loop_can_give_the_lease_up() -> None:
    api = Api()
    async with candidate(api) as election:
        await election.acquire()
        await anyio.to_thread.run_sync(election.abdicate)  # as the watchdog does
        assert api.lease
        assert api.lease.spec.holder_identity == ""
        assert election.elector.fence.remaining() == 0


async def test_a_candidate_that_is_cancelled_leaves_nothing_behind() -> None:
    api = Api()
    async with candidate(api) as leader, candidate(api, "two") as other:
        await leader.acquire()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other.acquire)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        await other.release()
        assert api.lease
        assert api.lease.spec.holder_identity == "one"


async def test_what_opening_raises_is_raised() -> None:
    @asynccontextmanager
    async def elector() -> AsyncIterator[LeaderElector]:
        if SETTINGS.leader_elect:
            raise OSError("no kubeconfig")
        yield LeaderElector(MemoryLock(Api()), SETTINGS, "one")

    with pytest.raises(OSError, match="no kubeconfig"):
        async with ElectionThread.start(elector):
            pass
