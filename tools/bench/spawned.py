"""Work in a process of its own, which tells of itself over a pipe."""

import multiprocessing
from collections.abc import Callable
from typing import Any, Self

SPAWN = multiprocessing.get_context("spawn")


class ObserverError(Exception):
    """The process cannot see; the message says why."""


class Spawned:
    """Runs `work` with the arguments and its end of a pipe, from entry to exit; a context manager.

    `work` sends something once it has begun, and a text when it cannot go on.
    """

    def __init__(self, name: str, work: Callable[..., None], *arguments: Any) -> None:
        self._pipe, other = SPAWN.Pipe()
        self._process = SPAWN.Process(target=work, args=(*arguments, other), name=name, daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._receive()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def _receive(self) -> Any:
        """What it sends next. Raises `ObserverError` when that is a text."""
        message = self._pipe.recv()
        if isinstance(message, str):
            raise ObserverError(message)
        return message
