"""Tasks that are used again: starting one costs as much as much of the work that is done in it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import anyio.abc

T = TypeVar("T")

MAX_IDLE: Final = 64
"""Tasks without work that are kept for what comes."""


class Workers(Generic[T]):
    """Does the same work for many things, each in a task of its own for as long as it takes.

    So what waits long never keeps others waiting. How many things are worked on at once is up to the caller.
    """

    def __init__(self, tasks: anyio.abc.TaskGroup, work: Callable[[T], Awaitable[None]]) -> None:
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._work = work
        self._idle: list[asyncio.Future[T | None]] = []
        self._ended = False

    def start(self, thing: T) -> None:
        """Begin the work for one thing."""
        while self._idle:
            waiting = self._idle.pop()
            if not waiting.done():  # else it was cancelled
                waiting.set_result(thing)
                return
        self._tasks.start_soon(self._run, thing)

    def end(self) -> None:
        """Let the tasks end as soon as they have no work; nothing is started any more."""
        self._ended = True
        for waiting in self._idle:
            if not waiting.done():
                waiting.set_result(None)

    async def _run(self, first: T) -> None:
        thing: T | None = first
        while thing is not None:
            await self._work(thing)
            if self._ended or len(self._idle) >= MAX_IDLE:
                return
            waiting: asyncio.Future[T | None] = self._loop.create_future()
            self._idle.append(waiting)
            thing = await waiting
