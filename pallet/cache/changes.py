"""Change logs: what changed since a reader last looked, such as rows of the node table or names of nodes."""

from collections.abc import Collection, Sequence
from itertools import count
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]

NO_ROWS: Rows = np.zeros(0, np.intp)

T = TypeVar("T")

FEW_ROWS = 8
"""So many rows are sooner dealt with one by one, in plain integers, than all at once."""

_EPOCHS = count(0, 1 << 40)
"""Where logs begin to count: no stamp of one log is ever one of another, nor of the same before a reset."""


class ChangeLog(Generic[T]):
    """An append-only log of what changed. Readers catch up with a `Cursor`.

    `stamp` only grows, by one with each change. The log forgets its older half when it grows beyond what
    catching up is worth; a reader that has not read so far, or with a stamp from elsewhere, is told that
    everything may have changed.
    """

    __slots__ = ("__weakref__", "_entries", "_limit", "stamp")

    def __init__(self, limit: int = 8192) -> None:
        self.stamp = next(_EPOCHS)
        self._entries: list[T] = []
        self._limit = limit

    def record(self, entry: T) -> None:
        """Note one change."""
        self.stamp += 1
        self._entries.append(entry)
        if len(self._entries) > self._limit:
            del self._entries[: len(self._entries) // 2]

    def record_all(self, entries: Collection[T]) -> None:
        """Note some changes."""
        self.stamp += len(entries)
        self._entries += entries
        if len(self._entries) > self._limit:
            del self._entries[: len(self._entries) // 2]

    def reset(self) -> None:
        """Note that everything may have changed."""
        self.stamp = next(_EPOCHS)
        self._entries.clear()

    def entries_since(self, stamp: int) -> Sequence[T] | None:
        """What changed since the stamp, each as often as it did, or None when everything may have."""
        behind = self.stamp - stamp
        if not 0 <= behind <= len(self._entries):
            return None
        return self._entries[len(self._entries) - behind :]
