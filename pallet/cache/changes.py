"""Which rows of the node table changed since a reader last looked."""

from itertools import count

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]

_EPOCHS = count(0, 1 << 40)
"""Where logs begin to count: no stamp of one log is ever one of another, nor of the same before a reset."""


class ChangeLog:
    """An append-only log of changed rows. A reader keeps a stamp and catches up from it.

    `stamp` only grows, by one with each change. The log forgets its older half when it grows beyond what
    catching up is worth; a reader that far behind, or with a stamp from elsewhere, is told to look at every
    row.
    """

    __slots__ = ("__weakref__", "_limit", "_rows", "stamp")

    def __init__(self, limit: int = 8192) -> None:
        self.stamp = next(_EPOCHS)
        self._rows: list[int] = []
        self._limit = limit

    def record(self, row: int) -> None:
        """Note that a row changed."""
        self.stamp += 1
        self._rows.append(row)
        if len(self._rows) > self._limit:
            del self._rows[: len(self._rows) // 2]

    def record_all(self, rows: list[int]) -> None:
        """Note that some rows changed."""
        self.stamp += len(rows)
        self._rows += rows
        if len(self._rows) > self._limit:
            del self._rows[: len(self._rows) // 2]

    def reset(self) -> None:
        """Note that every row may have changed."""
        self.stamp = next(_EPOCHS)
        self._rows.clear()

    def entries_since(self, stamp: int) -> list[int] | None:
        """The rows changed since the stamp, each as often as it was, or None when every row may have."""
        behind = self.stamp - stamp
        if not 0 <= behind <= len(self._rows):
            return None
        return self._rows[len(self._rows) - behind :]

    def rows_since(self, stamp: int) -> list[int] | None:
        """The distinct rows changed since the stamp, in their order, or None when every row may have."""
        rows = self.entries_since(stamp)
        return rows if rows is None or len(rows) < 2 else sorted(set(rows))

    def since(self, stamp: int) -> Rows | None:
        """The same as an array."""
        rows = self.rows_since(stamp)
        return None if rows is None else np.array(rows, dtype=np.intp)
