"""A lease that this process does not take: does another one renew it?

A process that schedules the pods of default-scheduler without holding kube-scheduler's lease must not act
beside a kube-scheduler that holds it.
"""

from collections.abc import Callable
from typing import Final, NoReturn

import anyio

from pallet.client import ApiError, Unreachable
from pallet.leaderelection.fence import steady_now
from pallet.leaderelection.lock import Lock
from pallet.leaderelection.record import Observation
from pallet.logs import get_logger

log = get_logger(__name__)

PERIOD: Final = 2.0
"""Seconds between two looks: kube-scheduler's own period of renewal."""

FORBIDDEN: Final = 403


class LeaseRenewedError(Exception):
    """Another process renews the lease, or it may not be read; the text says what to change."""


class LeaseObserver:
    """Looks at a lease again and again. `remedy` ends its errors; `clock` is replaced in tests.

    As in an election, a lease is renewed when its record changes, and not when this process has not seen it
    change for as long as it lasts: no time of another machine is compared with ours.
    """

    def __init__(self, lock: Lock, remedy: str, clock: Callable[[], float] = steady_now) -> None:
        self._lock = lock
        self._remedy = remedy
        self._clock = clock
        self._seen: Observation | None = None
        self._failure = ""
        self._free = anyio.Event()

    async def wait_until_free(self) -> None:
        """Return when the lease has no holder, or one that has not renewed it for as long as it lasts."""
        await self._free.wait()

    async def run(self) -> NoReturn:
        """Look for ever. Raise LeaseRenewedError as soon as another process renews the lease."""
        while True:
            try:
                await self._look()
            except (ApiError, Unreachable) as error:
                self._failed(error)
            await anyio.sleep(PERIOD)

    async def _look(self) -> None:
        """Read the lease and compare it with what was read before."""
        lease = await self._lock.get()
        now = self._clock()
        before = self._seen
        seen = self._seen = before.then(lease, now) if before else Observation(lease, now)
        self._failure = ""
        if before and seen.holder and seen.at > before.at:
            raise LeaseRenewedError(
                f"the lease {self._lock} is renewed by {seen.holder}, which schedules the same pods; "
                f"{self._remedy}"
            )
        if not seen.holder or now >= seen.runs_out:
            self._free.set()
        elif before is None:
            log.info("Waiting to see whether the lease is renewed", lease=self._lock, holder=seen.holder)

    def _failed(self, error: ApiError | Unreachable) -> None:
        """Log why the lease cannot be read. Raise where that will not pass and nothing is known yet."""
        if isinstance(error, ApiError) and error.code == FORBIDDEN and not self._free.is_set():
            raise LeaseRenewedError(
                f"cannot see whether another process schedules the same pods: {error}; {self._remedy}"
            ) from error
        if str(error) != self._failure:
            log.warning("Cannot read the lease of another scheduler", lease=self._lock, error=error)
        self._failure = str(error)
