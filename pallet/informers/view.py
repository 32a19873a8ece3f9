"""Whether the informers' copies may be older than what the API has, and how that ends."""

from collections.abc import Callable
from math import inf
from typing import Final, NoReturn

import anyio

from pallet.informers.factory import InformerFactory
from pallet.logs import get_logger

log = get_logger(__name__)

STANDSTILL: Final = 1.0
"""Seconds without a beat after which the process counts as having been stopped."""


class View:
    """What this process knows of the cluster. It is in doubt until the informers have caught up.

    That is so when another process may have changed the cluster unseen, and after a standstill: whatever came
    in meanwhile waits to be read. `clock` gives seconds and goes on while the process is stopped.
    """

    def __init__(self, informers: InformerFactory, clock: Callable[[], float]) -> None:
        self._informers = informers
        self._clock = clock
        self._beat = inf
        self._doubts = self._settled_doubts = 0
        self._doubted = anyio.Event()
        self._settled = anyio.Event()

    @property
    def is_in_doubt(self) -> bool:
        """Whether nothing may be decided on it now. Cheap enough to be asked before each decision."""
        return self._doubts != self._settled_doubts or self._clock() - self._beat > STANDSTILL

    def doubt(self) -> None:
        """Have the informers catch up, with what the API has now."""
        self._doubts += 1
        self._doubted.set()

    def beat(self) -> None:
        """Say that the event loop runs; for a task, several times a second."""
        now = self._clock()
        if now - self._beat > STANDSTILL:
            log.info(
                "The process stood still, so its view of the cluster is in doubt", seconds=now - self._beat
            )
            self.doubt()
        self._beat = now

    async def settled(self) -> None:
        """Return when it is in doubt no more."""
        while self.is_in_doubt:
            self.beat()
            if self._doubts != self._settled_doubts:
                await self._settled.wait()

    async def run(self) -> NoReturn:
        """Settle doubts until cancelled."""
        while True:
            await self._doubted.wait()
            self._doubted = anyio.Event()
            doubts = self._doubts
            await self._informers.catch_up()
            self._settled_doubts = doubts
            if self._doubts == doubts:
                log.info("The view of the cluster is as new as the API")
                settled, self._settled = self._settled, anyio.Event()
                settled.set()
