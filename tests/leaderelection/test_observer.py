"""Whether a lease that this process does not take is renewed by another, in virtual time."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from pallet.api.core import Lease
from pallet.api.meta import Status
from pallet.client import ApiError
from pallet.leaderelection import LeaseObserver, LeaseRenewedError
from pallet.leaderelection.observer import PERIOD
from pallet.leaderelection.record import claimed, released
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.leaderelection.memory_lock import Api, MemoryLock

pytestmark = pytest.mark.anyio

DURATION = 15
START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


class Scene:
    """An observer of a lease, and what became of it."""

    def __init__(self, lock: MemoryLock | None = None) -> None:
        self.api = lock.api if lock else Api()
        self.observer = LeaseObserver(lock or MemoryLock(self.api), "do this", anyio.current_time)
        self.refused: list[str] = []
        self.free_at: float | None = None

    def renew(self, holder: str) -> None:
        """Hold the lease as another process does."""
        wall = START + timedelta(seconds=anyio.current_time())
        self.api.put(self.api.lease, claimed(self.api.lease, holder, DURATION, wall))

    def release(self) -> None:
        """Give it up."""
        assert self.api.lease
        self.api.put(self.api.lease, released(self.api.lease, START))

    async def run(self) -> None:
        """Observe, until the lease is renewed by another."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._wait)
            try:
                await self.observer.run()
            except LeaseRenewedError as error:
                self.refused.append(str(error))
            tasks.cancel_scope.cancel()

    async def _wait(self) -> None:
        await self.observer.wait_until_free()
        self.free_at = anyio.current_time()


async def observe(scene: Scene, seconds: float) -> None:
    """Observe for that long."""
    with anyio.move_on_after(seconds):
        await scene.run()


async def test_a_lease_that_is_not_there_is_free_at_once() -> None:
    scene = Scene()
    begun = anyio.current_time()
    await observe(scene, 60)
    assert (scene.refused, scene.free_at) == ([], begun)


async def test_a_lease_that_was_given_up_is_free_at_once() -> None:
    scene = Scene()
    scene.renew("kube-scheduler_1")
    scene.release()
    begun = anyio.current_time()
    await observe(scene, 60)
    assert (scene.refused, scene.free_at) == ([], begun)


async def test_a_lease_of_a_dead_process_is_free_once_it_has_lasted() -> None:
    scene = Scene()
    scene.renew("kube-scheduler_1")
    begun = anyio.current_time()
    await observe(scene, 60)
    assert not scene.refused
    assert scene.free_at is not None
    assert DURATION <= scene.free_at - begun <= DURATION + PERIOD


async def renewals(scene: Scene, after: float = 0.0) -> None:
    """What a kube-scheduler that starts after a while does."""
    await anyio.sleep(after)
    while True:
        scene.renew("kube-scheduler_1")
        await anyio.sleep(PERIOD)


async def test_a_renewed_lease_is_refused_before_anything_is_scheduled() -> None:
    scene = Scene()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(renewals, scene)
        await anyio.sleep(PERIOD / 2)
        await observe(scene, 60)
        tasks.cancel_scope.cancel()
    assert scene.free_at is None
    [line] = scene.refused
    assert line.startswith("the lease planner-system/scheduler is renewed by kube-scheduler_1, which")
    assert line.endswith("; do this")


@pytest.mark.parametrize("released_before", [False, True])
async def test_a_lease_that_another_takes_later_is_refused_then(released_before: bool) -> None:  # noqa: FBT001
    scene = Scene()
    if released_before:
        scene.renew("kube-scheduler_0")
        scene.release()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(renewals, scene, 30.0)
        begun = anyio.current_time()
        await observe(scene, 90)
        refused_at = anyio.current_time()
        tasks.cancel_scope.cancel()
    assert scene.free_at == begun
    assert len(scene.refused) == 1
    assert refused_at - begun <= 30 + PERIOD


class ForbiddingLock(MemoryLock):
    """Reading is forbidden from the given time on."""

    forbidden_from = 0.0

    async def get(self) -> Lease | None:
        if anyio.current_time() >= self.forbidden_from:
            message = (
                'leases is forbidden: User "me" cannot get resource "leases" in API group '
                '"coordination.k8s.io" in the namespace "kube-system"'
            )
            raise ApiError(Status(code=403, reason="Forbidden", message=message), "get", "leases")
        return await super().get()


async def test_a_lease_that_may_not_be_read_is_refused_with_the_right_to_grant() -> None:
    scene = Scene(ForbiddingLock(Api()))
    await observe(scene, 60)
    assert scene.free_at is None
    [line] = scene.refused
    assert 'grant verb "get" on resource "leases" (API group "coordination.k8s.io") in namespace' in line
    assert line.endswith("; do this")


async def test_a_right_that_is_taken_away_later_ends_nothing() -> None:
    lock = ForbiddingLock(Api())
    lock.forbidden_from = anyio.current_time() + 10
    scene = Scene(lock)
    await observe(scene, 60)
    assert not scene.refused


async def test_an_api_server_that_does_not_answer_leaves_it_open() -> None:
    lock = MemoryLock(Api(), refuses=True)
    scene = Scene(lock)
    begun = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(observe, scene, 60)
        await anyio.sleep(30)
        assert scene.free_at is None
        lock.refuses = False
    assert not scene.refused
    assert scene.free_at is not None
    assert 30 <= scene.free_at - begun <= 30 + PERIOD
