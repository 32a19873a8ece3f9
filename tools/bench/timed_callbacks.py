"""`python -m tools.bench.timed_callbacks FILE ARGUMENTS…`: pallet, which writes how long callbacks took.

The event loop is asyncio's own, since uvloop's callbacks cannot be timed from outside. What they call is the
same. FILE gets a `Record` as JSON when the process ends. What is done before the first watch is not counted.
"""

import asyncio
import json
import sys
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio

from pallet.app import run
from pallet.cli.arguments import parse_run
from pallet.cli.main import settings_of
from pallet.informers.factory import InformerFactory

BOUNDS: Final = (1, 2, 5, 10, 20, 50)
"""Milliseconds: the upper ends of the histogram's buckets, but for the last one, which has none."""


@dataclass(slots=True)
class Record:
    """How long callbacks took: `counts` has how many there were in each bucket, by their CPU time."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    longest: float = 0.0
    """Milliseconds of CPU time."""
    which: str = ""
    """The callback that took longest."""
    begun: bool = False
    """Whether callbacks are counted yet."""
    longest_by_clock: float = 0.0
    """Milliseconds, including those in which other processes or threads ran."""

    def add(self, cpu: float, clock: float, handle: asyncio.Handle) -> None:
        """Count a callback that took so many milliseconds of CPU time, and by the clock."""
        self.counts[bisect_left(BOUNDS, cpu)] += 1
        self.longest_by_clock = max(self.longest_by_clock, clock)
        if cpu > self.longest:
            self.longest, self.which = cpu, _described(handle)


def timed(record: Record, call: Callable[[asyncio.Handle], None]) -> Callable[[asyncio.Handle], None]:
    """`Handle._run`, which runs a callback, with its time recorded."""

    def run_timed(handle: asyncio.Handle) -> None:
        if not record.begun:
            call(handle)
            return
        cpu, clock = time.thread_time(), time.perf_counter()
        call(handle)
        cpu, clock = time.thread_time() - cpu, time.perf_counter() - clock
        record.add(1000 * cpu, 1000 * clock, handle)

    return run_timed


def beginning(record: Record, sync: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """`InformerFactory.wait_for_sync`, with which the first watches begin, and so does the record."""

    async def begin(factory: InformerFactory, deadline: float) -> None:
        asyncio.get_running_loop().call_soon(setattr, record, "begun", True)  # noqa: FBT003 - it is a value
        await sync(factory, deadline)

    return begin


def _described(handle: asyncio.Handle) -> str:
    """The callback of a handle: of a step of a task, the coroutines, as they wait for one another now."""
    task = getattr(getattr(handle, "_callback", None), "__self__", None)
    if not isinstance(task, asyncio.Task):
        return repr(handle)
    names: list[str] = []
    waiting: Any = task.get_coro()
    while name := getattr(waiting, "__qualname__", ""):
        names.append(name)
        waiting = getattr(waiting, "cr_await", None)
    return " > ".join(names)


def main() -> int:
    """Run pallet until it ends; the file is written then."""
    file, *words = sys.argv[1:]
    record = Record()
    asyncio.Handle._run = timed(record, asyncio.Handle._run)  # type: ignore[method-assign, assignment]
    InformerFactory.wait_for_sync = beginning(record, InformerFactory.wait_for_sync)  # type: ignore[method-assign, assignment]
    try:
        return anyio.run(run, settings_of(parse_run(words)))
    finally:
        Path(file).write_text(json.dumps(asdict(record)))


if __name__ == "__main__":
    sys.exit(main())
