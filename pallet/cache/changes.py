"""Which rows of the node table changed since somebody last looked."""

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]


class ChangeLog:
    """An append-only log of changed rows. A reader keeps a stamp and catches up from it.

    The log forgets its older half when it grows beyond what catching up is worth; a reader that far behind is
    told to look at every row.
    """

    __slots__ = ("_base", "_limit", "_rows")

    def __init__(self, limit: int = 8192) -> None:
        self._rows: list[int] = []
        self._base = 0
        self._limit = limit

    @property
    def stamp(self) -> int:
        """The number of changes so far; it only grows."""
        return self._base + len(self._rows)

    def record(self, row: int) -> None:
        """Note that a row changed."""
        self._rows.append(row)
        if len(self._rows) > self._limit:
            self._forget(len(self._rows) // 2)

    def record_all(self) -> None:
        """Note that every row may have changed."""
        self._rows.append(-1)
        self._forget(len(self._rows))

    def since(self, stamp: int) -> Rows | None:
        """The distinct rows changed since the stamp, or None when every row may have."""
        if stamp < self._base:
            return None
        rows = self._rows[stamp - self._base :]
        if len(rows) > 1:
            return np.array(sorted(set(rows)), dtype=np.intp)
        return np.array(rows, dtype=np.intp)

    def _forget(self, count: int) -> None:
        del self._rows[:count]
        self._base += count
