"""The candidate: wins the lease, keeps it, and says so when it is lost."""

import random
import socket
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf
from typing import Final, NoReturn

import anyio

from pallet.api.labels import NO_LABELS
from pallet.client import AnswerLost, ApiError, Unreachable
from pallet.config.schema import LeaderElection
from pallet.leaderelection.fence import Fence, steady_now
from pallet.leaderelection.lock import WORD, Lock
from pallet.leaderelection.record import Action, Observation, claimed, decide, released
from pallet.logs import get_logger

log = get_logger(__name__)

JITTER: Final = 0.2
"""By how much of itself a pause is lengthened at random, so that candidates do not run into each other."""

SPREAD_SECONDS: Final = 0.1
"""Within which time after its end candidates try to take a lease: of those that collide, one wins."""

OVERDUE_SECONDS: Final = 20.0
"""How long after the end of its lease a process may still run before `live` objects, as in kube-scheduler."""


class LeadershipLostError(Exception):
    """The lease could not be renewed in time, or another process has it: this process must end."""


def new_identity() -> str:
    """Make a name for this run: the host (in a cluster, the pod) and something unique."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


class LeaderElector:
    """One candidate for one lease.

    All its deadlines run on a steady local clock. Those of a lease that is ours count from the moment the
    renewal was *sent*, so that they are over before anybody else's. `clock` must not be set back, and is
    replaced in tests.
    """

    def __init__(
        self,
        lock: Lock,
        settings: LeaderElection,
        identity: str,
        *,
        clock: Callable[[], float] = steady_now,
        rng: random.Random | None = None,
    ) -> None:
        self.identity = identity
        self.fence = Fence(clock)
        """Every write asks it; open while this process leads."""
        self.last_word = ""
        """What the leader before has left as it gave up the lease; empty when it did not, or left nothing."""
        self._lock = lock
        self._settings = settings
        self._clock = clock
        self._random = rng or random.Random()  # noqa: S311 - it spreads load, it guards nothing
        self._seen: Observation | None = None
        self._current = False  # whether `_seen` is what we wrote last, and so needs no reading
        self._renewed_at: float | None = None
        self._claiming = False  # whether the lease may be ours
        self._changed = anyio.Event()
        self._overdue: Observation | None = None  # for which `at_overdue` was called last, and when
        self._told_at = 0.0
        self._was_overdue = False
        self._failure = "the lease has not been read yet"

    @property
    def leader(self) -> str:
        """The identity of the leader as last seen; empty while there is none."""
        return self._seen.holder if self._seen else ""

    def ready(self) -> str | None:
        """Why this candidate does not know who leads; None when it does."""
        return self._failure or None

    def live(self) -> str | None:
        """Why this process should be restarted: it led, and runs on long after its lease ended."""
        if self._renewed_at is None:
            return None
        overdue = self._clock() - self._renewed_at - self._settings.lease_duration
        return f"the lease ended {overdue:.0f} s ago" if overdue > OVERDUE_SECONDS else None

    async def acquire(self, at_overdue: Callable[[], object] = lambda: None) -> bool:
        """Return when this process leads; until then, try again and again.

        `at_overdue` is called when the leader has not renewed its lease for as long as it may write, so that
        it writes no more. Give whether the lease then ran out without another sign of life.
        """
        log.info("Waiting to become the leader", lease=self._lock, identity=self.identity)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            while not await self._attempt(self._settings.renew_deadline / 2):
                self._tell_overdue(at_overdue)
                with anyio.move_on_after(self._pause()):
                    await self._changed.wait()
                self._changed = anyio.Event()
            tasks.cancel_scope.cancel()
        log.info("Became the leader", lease=self._lock, identity=self.identity)
        return self._was_overdue

    def _tell_overdue(self, at_overdue: Callable[[], object]) -> None:
        """Tell once for each sign of life that was the last one for too long."""
        seen, now = self._seen, self._clock()
        if seen is None or not seen.holder or now < seen.at + self._settings.renew_deadline:
            return
        if self._overdue is None or self._overdue.at != seen.at:
            log.info("The lease is overdue", lease=self._lock, holder=seen.holder)
            self._overdue, self._told_at = seen, now
            at_overdue()

    async def _listen(self) -> NoReturn:
        """Have the lease looked at as soon as it changes: a lease that is given up is taken at once.

        Where it cannot be watched, it is only looked at now and then.
        """
        while True:
            try:
                async for _ in self._lock.changes():
                    self._changed.set()
            except (ApiError, Unreachable) as error:
                log.v(2, "Cannot watch the lease", lease=self._lock, error=error)
            await anyio.sleep(self._settings.retry_period)

    async def hold(self) -> NoReturn:
        """Renew the lease while the process lives. Raise LeadershipLostError when that fails for too long."""
        while not (lost := self._loss()):
            left = self.fence.until_deadline()
            await anyio.sleep(min(self._settings.retry_period, left))
            left = self.fence.until_deadline()
            if left > 0:
                # Half the deadline, as client-go: a request that hangs leaves time for another one.
                await self._attempt(min(left, self._settings.renew_deadline / 2))
        self.fence.close()
        raise LeadershipLostError(f"leadership lost: {lost}")

    async def release(self, word: str = "") -> None:
        """Give the lease up, so that another candidate can take it at once. A failure is only logged.

        `word` is what the next leader finds as `last_word`.

        Nothing may be written under it any more: end `hold`, and all requests that are under way, before.
        """
        self.fence.close()
        if not self._claiming:
            return
        self._renewed_at, self._claiming, self._current = None, False, False
        try:
            with anyio.fail_after(self._settings.renew_deadline / 2):
                lease = (await self._look()).lease
                if lease is None or lease.spec.holder_identity != self.identity:
                    return
                await self._lock.write(lease, released(lease, datetime.now(UTC)), word)
        except (ApiError, Unreachable, AnswerLost, TimeoutError) as error:
            log.warning("Could not release the lease, it has to run out", lease=self._lock, error=error)
        else:
            log.info("Released the lease", lease=self._lock, identity=self.identity)

    async def _attempt(self, seconds: float) -> bool:
        """Claim the lease if that may be done; give whether it is ours now.

        Any failure means no, and so do `seconds` without an answer: what became of the request is read the
        next time.
        """
        try:
            with anyio.fail_after(seconds):
                seen = await self._look()
                action = decide(seen, self._clock(), self.identity)
                # Somebody else had it while we led: to lead again takes a new process.
                deposed = action is Action.TAKE and self._renewed_at is not None
                if action is not Action.WAIT and not deposed:
                    await self._claim(seen)
        except (ApiError, Unreachable, AnswerLost) as error:
            self._failed(str(error))
        except TimeoutError:
            self._failed(f"no answer in {seconds:.1f} s")
        else:
            self._failure = ""
        return self._current

    async def _look(self) -> Observation:
        """Read the lease, unless it is what we wrote last."""
        seen, current = self._seen, self._current
        self._current = False
        if seen is None or not current:
            lease = await self._lock.get()
            now = self._clock()
            seen = seen.then(lease, now) if seen else Observation(lease, now)
            if self._seen is None or seen.holder != self.leader:
                if seen.holder:
                    log.info("The lease has a holder", lease=self._lock, holder=seen.holder)
                else:
                    log.info("The lease is free", lease=self._lock)
            self._seen = seen
        return seen

    async def _claim(self, seen: Observation) -> None:
        """Write the lease as ours."""
        sent_at = self._clock()
        self._claiming = True
        if seen.holder != self.identity:
            annotations = seen.lease.metadata.annotations if seen.lease and not seen.holder else NO_LABELS
            self.last_word = annotations.get(WORD, "")
        # What was told may be old, when this process was stopped meanwhile.
        told = self._overdue is not None and self._overdue.at == seen.at and bool(seen.holder)
        self._was_overdue = told and sent_at - self._told_at < self._settings.lease_duration
        spec = claimed(seen.lease, self.identity, self._settings.lease_duration, datetime.now(UTC))
        self._seen = Observation(await self._lock.write(seen.lease, spec), self._clock())
        self._current = True
        self._renewed_at = sent_at
        self.fence.extend(sent_at + self._settings.renew_deadline, sent_at + self._settings.lease_duration)
        log.v(5, "Renewed the lease", lease=self._lock)

    def _loss(self) -> str:
        """Say how leadership was lost; empty when it is not."""
        if self.leader != self.identity:
            return f"the lease {self._lock} is held by {self.leader or 'nobody'}"
        if self.fence.until_deadline() <= 0:
            why = self._failure or "this process was stopped for that long"
            return f"the lease {self._lock} was not renewed in {self._settings.renew_deadline:g} s: {why}"
        return ""

    def _failed(self, why: str) -> None:
        """Keep the reason for the readiness check, and log it when it is a new one."""
        if why != self._failure:
            log.warning("Cannot read or write the lease", lease=self._lock, error=why)
        self._failure = why

    def _pause(self) -> float:
        """Seconds until the next attempt: the retry period, or less when the lease is overdue or runs out
        before.
        """
        spread, seen, now = self._random.random(), self._seen, self._clock()
        marks = (seen.at + self._settings.renew_deadline, seen.runs_out) if seen and seen.holder else ()
        left = min((mark - now for mark in marks if mark > now), default=inf)
        if left <= self._settings.retry_period:
            return left + SPREAD_SECONDS * spread
        return self._settings.retry_period * (1.0 + JITTER * spread)
