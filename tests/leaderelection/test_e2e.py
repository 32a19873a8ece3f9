"""Leader election between real processes on the real API server, and with the real kube-scheduler."""

import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream
from msgspec.structs import replace

from pallet.api.core import LEASES
from pallet.client import ApiError, Client
from pallet.leaderelection import LeaderElector, LeaseLock, new_identity
from tests.leaderelection.candidate import FAST
from tools.controlplane import ControlPlane

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

LEASE = "scheduler"


@dataclass
class Candidate:
    """A process of `tests.leaderelection.candidate`, and what it has said."""

    process: Process
    identity: str = ""
    writes: list[float] = field(default_factory=list)
    last_word: str = ""
    said: anyio.Event = field(default_factory=anyio.Event)

    async def listen(self) -> None:
        """Take down what it says, until it ends."""
        assert self.process.stdout
        rest = ""
        async for text in TextReceiveStream(self.process.stdout):
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                self._hear(line)
            self.said.set()
            self.said = anyio.Event()

    def _hear(self, line: str) -> None:
        word, _, time = line.partition(" ")
        if time:
            self.writes.append(float(time))
        elif self.identity:
            self.last_word = word
        else:
            self.identity = word

    async def until(self, done: Callable[[], object]) -> None:
        """Wait for something that it says."""
        while not done():
            await self.said.wait()

    async def leads(self) -> None:
        """Wait for its next write."""
        before = len(self.writes)
        await self.until(lambda: len(self.writes) > before)


Start = Callable[[], AbstractAsyncContextManager[Candidate]]


@pytest.fixture
def start(control_plane: ControlPlane, namespace: str) -> Start:
    """Starts candidates for one lease."""
    command = [sys.executable, "-m", "tests.leaderelection.candidate"]
    arguments = [str(control_plane.kubeconfig), namespace, LEASE]

    @asynccontextmanager
    async def start() -> AsyncIterator[Candidate]:
        async with (
            await anyio.open_process([*command, *arguments], stderr=None) as process,
            anyio.create_task_group() as tasks,
        ):
            candidate = Candidate(process)
            tasks.start_soon(candidate.listen)
            try:
                await candidate.until(lambda: candidate.identity)
                yield candidate
            finally:
                if process.returncode is None:
                    process.kill()

    return start


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[Client]:
    async with Client.connect(str(control_plane.kubeconfig)) as client:
        yield client


def never_together(one: Candidate, other: Candidate) -> bool:
    """Whether all writes of the one were over when the other began."""
    return max(one.writes) < min(other.writes)


async def test_a_killed_leader_is_followed(start: Start, client: Client, namespace: str) -> None:
    async with start() as one:
        await one.leads()
        async with start() as two:
            await one.leads()
            one.process.kill()
            await two.leads()
            assert never_together(one, two)
            lease = await client.get(LEASES, LEASE, namespace)
            assert lease.spec.holder_identity == two.identity
            assert lease.spec.lease_transitions == 1


async def test_a_stopped_leader_comes_back_as_none(start: Start) -> None:
    async with start() as one:
        await one.leads()
        async with start() as two:
            one.process.send_signal(signal.SIGSTOP)
            await two.leads()
            one.process.send_signal(signal.SIGCONT)
            await one.until(lambda: one.last_word)
            assert one.last_word == "lost"
            assert never_together(one, two)


async def test_a_leader_that_is_asked_to_end_hands_over(start: Start) -> None:
    async with start() as one:
        await one.leads()
        async with start() as two:
            one.process.send_signal(signal.SIGTERM)
            await one.until(lambda: one.last_word)
            assert one.last_word == "released"
            await two.leads()
            assert never_together(one, two)


async def test_the_lease_is_written_as_client_go_does(client: Client, namespace: str) -> None:
    lock = LeaseLock(client, namespace, LEASE)
    assert await lock.get() is None
    elector = LeaderElector(lock, FAST, "me")
    await elector.acquire()
    held = await client.get(LEASES, LEASE, namespace)
    assert held.spec.holder_identity == "me"
    assert held.spec.lease_duration_seconds == 4
    assert held.spec.acquire_time == held.spec.renew_time
    await elector.release()
    released = await client.get(LEASES, LEASE, namespace)
    assert released.spec.holder_identity == ""
    assert released.spec.lease_duration_seconds == 1


async def test_a_stale_write_is_refused(client: Client, namespace: str) -> None:
    lock = LeaseLock(client, namespace, LEASE)
    await LeaderElector(lock, FAST, "one").acquire()
    stale = await lock.get()
    assert stale
    await lock.write(stale, replace(stale.spec, holder_identity="two"))
    for old in (stale, None):
        with pytest.raises(ApiError) as refusal:
            await lock.write(old, stale.spec)
        assert refusal.value.code == 409
    current = await lock.get()
    assert current
    assert current.spec.holder_identity == "two"


async def test_a_missing_permission_is_named(control_plane: ControlPlane, namespace: str) -> None:
    nobody = control_plane.kubeconfig_for("nobody")
    async with Client.connect(str(nobody)) as client, anyio.create_task_group() as tasks:
        elector = LeaderElector(LeaseLock(client, namespace, LEASE), FAST, new_identity())
        tasks.start_soon(elector.acquire)
        while not (reason := elector.ready()) or "grant" not in reason:  # noqa: ASYNC110 - it has no event
            await anyio.sleep(0.01)
        assert 'grant verb "get" on resource "leases" (API group "coordination.k8s.io")' in reason
        tasks.cancel_scope.cancel()


async def test_kube_scheduler_and_pallet_exclude_each_other(
    control_plane: ControlPlane, client: Client, namespace: str
) -> None:
    async def holder() -> str:
        return (await client.get(LEASES, LEASE, namespace)).spec.holder_identity

    lock = LeaseLock(client, namespace, LEASE)
    ours = LeaderElector(lock, FAST, "pallet")
    await ours.acquire()
    leader_election = {
        "leaderElect": True,
        "resourceNamespace": namespace,
        "resourceName": LEASE,
        "leaseDuration": "4s",
        "renewDeadline": "3s",
        "retryPeriod": "500ms",
    }
    kube_scheduler = control_plane.start_kube_scheduler(
        {"leaderElection": leader_election, "profiles": [{"schedulerName": namespace}]},
        kubeconfig=control_plane.kubeconfig,
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ours.hold)
        while "Attempting to acquire leader lease" not in kube_scheduler.log.read_text():  # noqa: ASYNC110 - a file
            await anyio.sleep(0.1)
        assert await holder() == "pallet"
        tasks.cancel_scope.cancel()
    await ours.release()
    while await holder() in ("", "pallet"):  # noqa: ASYNC110 - others write it
        await anyio.sleep(0.1)
    again = LeaderElector(lock, FAST, "pallet-again")
    kube_scheduler.kill()
    await again.acquire()
    assert await holder() == "pallet-again"
