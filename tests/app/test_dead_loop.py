"""A loop that is held for good: the lease is renewed, then given up, and the process ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pallet.config.decode import Seconds
from pallet.config.schema import LeaderElection
from pallet.leaderelection import ElectionThread, LeaderElector
from pallet.server.watchdog import LoopWatchdog
from tests.leaderelection.memory_lock import Api, MemoryLock

pytestmark = pytest.mark.anyio

SETTINGS = LeaderElection(lease_duration=Seconds(30), renew_deadline=Seconds(20), retry_period=Seconds(0.01))


async def test_a_process_whose_loop_is_held_for_good_gives_up_the_lease_and_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api = Api()
    ended: list[int] = []

    @asynccontextmanager
    async def elector() -> AsyncIterator[LeaderElector]:
        yield LeaderElector(MemoryLock(api), SETTINGS, "one")

    async with ElectionThread.start(elector) as election:
        await election.acquire()
        acquired = api.lease
        watchdog = LoopWatchdog(dead_after=2.0, at_death=election.abdicate, end=ended.append)
        watchdog.start()
        while not ended:
            pass  # the loop does not come back
        watchdog.stop()
        assert ended[0] == 1
        assert election.elector.fence.remaining() == 0
    assert acquired
    assert api.lease
    assert api.lease.spec.holder_identity == ""
    renewals = int(api.lease.metadata.resource_version) - int(acquired.metadata.resource_version)
    assert renewals > 2  # meanwhile it was renewed, and at the end released
    words = [record.getMessage() for record in caplog.records]
    held = next(line for line in words if line.startswith("The event loop is held"))
    assert "gives_up_the_lease_and_ends" in held
    assert any(line.startswith("The event loop does not run any more") for line in words)
