"""Candidates for one lease, in virtual time: who leads when, and that two never write at the same time."""

import asyncio
import random
from itertools import count, pairwise

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallet.client import Unreachable
from pallet.config.decode import Seconds
from pallet.config.schema import LeaderElection
from pallet.leaderelection import LeaderElector, LeadershipLostError, new_identity
from tests.faults import virtual_time
from tests.faults.virtual_time import VIRTUAL_TIME, VirtualTimeLoop
from tests.leaderelection.memory_lock import Api, MemoryLock, Weather

pytestmark = pytest.mark.anyio

SETTINGS = LeaderElection()
RETRY = 2.4
"""The longest pause between two attempts: 2 s and its jitter."""


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


class Candidate:
    """An elector with its way to the lease."""

    def __init__(self, api: Api, name: str, settings: LeaderElection = SETTINGS) -> None:
        self.lock = MemoryLock(api)
        self.elector = LeaderElector(
            self.lock,
            settings,
            name,
            clock=anyio.current_time,
            rng=random.Random(name),  # noqa: S311 - repeatable
        )
        self.scope = anyio.CancelScope()
        self.led_at: float | None = None
        self.lost: list[tuple[float, str]] = []
        self.led = anyio.Event()

    async def run(self) -> None:
        """Win the lease and keep it until it is lost, or until `stop`."""
        with self.scope:
            await self.elector.acquire()
            self.led_at = anyio.current_time()
            self.led.set()
            try:
                await self.elector.hold()
            except LeadershipLostError as error:
                self.lost.append((anyio.current_time(), str(error)))

    def stop(self) -> None:
        """End as if killed: nothing is released."""
        self.scope.cancel()

    @property
    def leads(self) -> bool:
        return self.elector.fence.remaining() > 0


class Election:
    """Candidates that run side by side."""

    def __init__(self, tasks: anyio.abc.TaskGroup) -> None:
        self.api = Api()
        self._tasks = tasks

    def candidate(self, name: str) -> Candidate:
        """Start one."""
        made = Candidate(self.api, name)
        self._tasks.start_soon(made.run)
        return made

    async def leader(self, name: str) -> Candidate:
        """Start one and wait until it leads."""
        made = self.candidate(name)
        await made.led.wait()
        return made


async def test_the_first_candidate_leads_at_once() -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        one = await election.leader("one")
        assert one.led_at == 0.0
        assert one.leads
        assert one.elector.leader == "one"
        assert one.elector.ready() is None
        assert one.elector.live() is None
        tasks.cancel_scope.cancel()


async def test_a_leader_goes_on_leading_and_the_other_waits() -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        one = await election.leader("one")
        two = election.candidate("two")
        for _ in range(100):
            await anyio.sleep(1.7)
            assert one.leads
            assert not two.leads
        assert two.elector.leader == "one"
        assert two.elector.ready() is None
        tasks.cancel_scope.cancel()


async def test_a_killed_leader_is_followed_when_its_lease_has_run_out() -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        one = await election.leader("one")
        two = election.candidate("two")
        await anyio.sleep(60)
        one.stop()
        await two.led.wait()
        assert two.led_at is not None
        # Counted from when it saw the last renewal, at most a retry period old when the leader was killed.
        assert 60 + 15 - RETRY <= two.led_at <= 60 + 15 + RETRY
        assert election.api.lease
        assert election.api.lease.spec.lease_transitions == 1
        tasks.cancel_scope.cancel()


async def test_a_lease_that_was_left_behind_is_watched_for_its_whole_duration() -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        (await election.leader("one")).stop()
        await anyio.sleep(1000)
        two = await election.leader("two")
        assert two.led_at is not None
        assert 1015 <= two.led_at <= 1015 + 0.4  # the jitter
        tasks.cancel_scope.cancel()


async def test_a_released_lease_is_taken_at_the_next_look() -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        one = await election.leader("one")
        two = election.candidate("two")
        await anyio.sleep(31)
        one.stop()
        await one.elector.release()
        assert not one.leads
        await two.led.wait()
        assert two.led_at is not None
        assert two.led_at <= 31 + RETRY
        tasks.cancel_scope.cancel()


async def test_where_the_lease_can_be_watched_it_is_taken_as_soon_as_it_is_released() -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        one = await election.leader("one")
        two = election.candidate("two")
        two.lock.watches = True
        await anyio.sleep(31.3)
        one.stop()
        await one.elector.release()
        await two.led.wait()
        assert two.led_at == anyio.current_time() == pytest.approx(31.3)
        tasks.cancel_scope.cancel()


async def test_where_the_lease_can_be_watched_it_is_taken_when_it_has_run_out() -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        one = await election.leader("one")
        two = election.candidate("two")
        two.lock.watches = True
        await anyio.sleep(61.9)  # the last renewal is that of second 60
        one.stop()
        await two.led.wait()
        assert two.led_at is not None
        assert 60 + 15 <= two.led_at <= 60 + 15 + 0.1
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("revives", "told", "prepared"), [(False, [70.0], True), (True, [70.0, 81.0], True)], ids=["dead", "late"]
)
async def test_an_overdue_lease_is_told_before_it_has_run_out(
    revives: bool,  # noqa: FBT001 - a table
    told: list[float],
    prepared: bool,  # noqa: FBT001 - a table
) -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        one = await election.leader("one")
        two = Candidate(election.api, "two")
        two.lock.watches = True
        heard: list[float] = []
        answers: list[bool] = []

        async def follow() -> None:
            answers.append(await two.elector.acquire(lambda: heard.append(anyio.current_time())))

        tasks.start_soon(follow)
        await anyio.sleep(61)
        one.stop()
        await anyio.sleep(10)
        if revives:
            election.api.change(renew_time="late")
        await anyio.sleep(20)
        assert [round(at, 1) for at in heard] == pytest.approx(told, abs=0.2)
        assert answers == [prepared]
        tasks.cancel_scope.cancel()


async def test_a_released_lease_was_not_overdue() -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        one = await election.leader("one")
        two = Candidate(election.api, "two")
        one.stop()
        await one.elector.release()
        assert not await two.elector.acquire(lambda: pytest.fail("it was released"))
        tasks.cancel_scope.cancel()


async def test_the_next_leader_finds_the_last_word_and_does_not_pass_it_on() -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        one = await election.leader("one")
        one.stop()
        await one.elector.release("seen")
        two = await election.leader("two")
        assert two.elector.last_word == "seen"
        two.stop()
        three = await election.leader("three")
        assert three.elector.last_word == ""
        tasks.cancel_scope.cancel()


async def test_what_was_told_before_a_long_stop_does_not_count() -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        one = await election.leader("one")
        two = Candidate(election.api, "two")
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        one.stop()
        assert not await two.elector.acquire(lambda: loop.skip(60))
        tasks.cancel_scope.cancel()


async def test_a_candidate_that_never_led_releases_nothing() -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        await election.leader("one")
        two = election.candidate("two")
        await anyio.sleep(5)
        two.stop()
        await two.elector.release()
        assert election.api.lease
        assert election.api.lease.spec.holder_identity == "one"
        tasks.cancel_scope.cancel()


async def test_a_release_that_fails_is_only_logged() -> None:
    async with anyio.create_task_group() as tasks:
        one = await Election(tasks).leader("one")
        one.stop()
        one.lock.silent = True
        await one.elector.release()
        assert anyio.current_time() <= SETTINGS.renew_deadline


@pytest.mark.parametrize(
    ("fault", "why"),
    [("refuses", "connection refused"), ("silent", "no answer in"), ("loses_answers", "reset")],
)
async def test_leadership_is_lost_at_the_deadline_when_no_renewal_succeeds(fault: str, why: str) -> None:
    async with anyio.create_task_group() as tasks:
        one = await Election(tasks).leader("one")
        await anyio.sleep(20.5)  # the last renewal is that of second 20
        setattr(one.lock, fault, True)
        await anyio.sleep(9.4)
        assert one.leads
        assert not one.lost
        assert why in (one.elector.ready() or "")
        await anyio.sleep(0.2)
        assert one.elector.fence.remaining() == 0
        [(at, message)] = one.lost
        assert at == pytest.approx(30.0)
        assert "was not renewed in 10 s: " in message


async def test_leadership_does_not_wait_for_the_next_attempt_to_be_lost() -> None:
    async with anyio.create_task_group() as tasks:
        one = Candidate(Api(), "one", LeaderElection(retry_period=Seconds(7)))
        tasks.start_soon(one.run)
        await anyio.sleep(14.5)
        one.lock.refuses = True
    assert [at for at, _ in one.lost] == [14 + 10]


async def test_a_process_that_was_stopped_for_too_long_ends_without_another_word() -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        one = await election.leader("one")
        await anyio.sleep(20.5)
        renewed = election.api.lease
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.skip(10)
        assert not one.leads
    [(_, message)] = one.lost
    assert message.endswith("was not renewed in 10 s: this process was stopped for that long")
    assert election.api.lease is renewed


async def test_the_deadline_counts_from_when_the_renewal_was_sent() -> None:
    async with anyio.create_task_group() as tasks:
        one = Candidate(Api(), "one")
        one.lock.delay = lambda: 1.0
        tasks.start_soon(one.run)
        await one.led.wait()
        assert one.led_at == 4.0  # a read and a write of 2 s each
        assert one.elector.fence.until_deadline() == 10.0 - 2.0
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("fault", ["refuses", "silent", "loses_answers"])
async def test_a_short_trouble_does_not_cost_the_lease(fault: str) -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        one = await election.leader("one")
        two = election.candidate("two")
        for _ in range(20):
            await anyio.sleep(10)
            setattr(one.lock, fault, True)
            await anyio.sleep(4)
            setattr(one.lock, fault, False)
            assert one.leads
        assert not one.lost
        assert two.led_at is None
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(("holder", "named"), [("other", "other"), ("", "nobody")])
async def test_a_lease_taken_away_is_lost_at_once(holder: str, named: str) -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        one = await election.leader("one")
        await anyio.sleep(20.5)
        election.api.change(holder_identity=holder)
        await anyio.sleep(4)
        [(_, message)] = one.lost
        assert message == f"leadership lost: the lease planner-system/scheduler is held by {named}"
        assert not one.leads


async def test_a_deleted_lease_is_made_again() -> None:
    async with anyio.create_task_group() as tasks:
        election = Election(tasks)
        one = await election.leader("one")
        await anyio.sleep(20.5)
        election.api.delete()
        await anyio.sleep(20)
        assert one.leads
        assert election.api.lease
        tasks.cancel_scope.cancel()


async def test_a_candidate_without_an_api_server_is_not_ready_and_says_why() -> None:
    async with anyio.create_task_group() as tasks:
        one = Candidate(Api(), "one")
        reasons = [one.elector.ready()]
        one.lock.refuses = True
        tasks.start_soon(one.run)
        await anyio.sleep(10)
        reasons.append(one.elector.ready())
        one.lock.refuses = False
        await one.led.wait()
        reasons.append(one.elector.ready())
        assert reasons == [
            "the lease has not been read yet",
            str(Unreachable("https://api", "connection refused")),
            None,
        ]
        tasks.cancel_scope.cancel()


async def test_a_leader_that_runs_on_after_its_lease_is_not_alive() -> None:
    async with anyio.create_task_group() as tasks:
        one = await Election(tasks).leader("one")
        one.stop()  # nothing renews, and nothing ends the process either
        await anyio.sleep(15 + 19)
        assert one.elector.live() is None
        await anyio.sleep(2)
        assert one.elector.live() == "the lease ended 21 s ago"


def test_identities_are_unique() -> None:
    assert new_identity() != new_identity()


Write = tuple[float, float, str]
"""When a write began, when it ended, and whose it was."""


async def write_always(candidate: Candidate, rng: random.Random, writes: list[Write]) -> None:
    """Write whenever the fence lets one through, each for as long as it may."""
    while True:
        allowed = candidate.elector.fence.remaining()
        if allowed > 0:
            begun = anyio.current_time()
            await anyio.sleep(allowed * rng.choice((0.1, 0.9, 1.0)))
            writes.append((begun, anyio.current_time(), candidate.elector.identity))
        await anyio.sleep(rng.uniform(0.1, 2.0))


async def follow(api: Api, name: str, rng: random.Random, writes: list[Write]) -> None:
    """Be a candidate, under a new name whenever leadership was lost, as a process that is started anew."""
    for run in count():
        async with anyio.create_task_group() as tasks:
            candidate = Candidate(api, f"{name}-{run}")
            tasks.start_soon(Weather(rng).trouble, candidate.lock)
            tasks.start_soon(write_always, candidate, rng, writes)
            await candidate.run()
            tasks.cancel_scope.cancel()


async def simulate(seed: int) -> list[Write]:
    """Three candidates with bad networks for some minutes; give what they wrote, in order."""
    rng = random.Random(seed)  # noqa: S311 - repeatable
    writes: list[Write] = []
    api = Api()
    with anyio.move_on_after(500):
        async with anyio.create_task_group() as tasks:
            for name in ("one", "two", "three"):
                tasks.start_soon(follow, api, name, rng, writes)
    return sorted(writes)


@given(st.integers(0, 2**32))
@settings(max_examples=60)
def test_two_candidates_never_write_at_the_same_time(seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(virtual_time, "SETTLE", 0.0)  # there are no sockets here
        writes = anyio.run(simulate, seed, backend_options=VIRTUAL_TIME[1])
    assert len(writes) > 5
    for (_, ended, one), (begun, _, other) in pairwise(writes):
        assert one == other or ended <= begun
