"""Which rows of the node table changed since somebody last looked."""

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]


class ChangeLog:
    """An append-only log of changed rows. A reader keeps a stamp and catches up from it.

    `stamp` is the number of changes so far; it only grows. The log forgets its older half when it grows
    beyond what catching up is worth; a reader that far behind is told to look at every row.
    """

    __slots__ = ("_limit", "_rows", "stamp")

    def __init__(self, limit: int = 8192) -> None:
        self.stamp = 0
        self._rows: list[int] = []
        self._limit = limit

    def record(self, row: int) -> None:
        """Note that a row changed."""
        self.stamp += 1
        self._rows.append(row)
        if len(self._rows) > self._limit:
            del self._rows[: len(self._rows) // 2]

    def since(self, stamp: int) -> Rows | None:
        """The distinct rows changed since the stamp, or None when every row may have."""
        behind = self.stamp - stamp
        if behind > len(self._rows):
            return None
        rows = self._rows[len(self._rows) - behind :]
        if behind > 1:
            return np.array(sorted(set(rows)), dtype=np.intp)
        return np.array(rows, dtype=np.intp)
