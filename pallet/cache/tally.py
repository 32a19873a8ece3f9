"""One counter behind pod affinity and spreading: an integer for each row, summed by topology domain."""

import numpy as np
import numpy.typing as npt

from pallet.cache.changes import ChangeLog
from pallet.cache.columns import ABSENT, LabelColumn, LabelColumns, resized

Counts = npt.NDArray[np.int64]

_REMEMBERED_CHANGES = 64
"""Kept by each log: a reader that is further behind looks at every row."""


class DomainCounts:
    """A tally summed by the values of a topology label.

    sums: int64 by code of the label column; 0 for ABSENT, since a node without the label is in no domain
    occupied: how many domains have a sum above 0
    changes: the rows where something was added or taken, so that their domain's sum changed
    flips: the rows where that brought their domain's sum above 0, or down to 0 again
    """

    __slots__ = ("_column", "_version", "changes", "flips", "occupied", "sums")

    def __init__(self) -> None:
        self.sums: Counts = np.zeros(1, np.int64)
        self.occupied = 0
        self.changes: ChangeLog[int] = ChangeLog(_REMEMBERED_CHANGES)
        self.flips: ChangeLog[int] = ChangeLog(_REMEMBERED_CHANGES)
        self._column: LabelColumn | None = None
        self._version = -1

    def bump(self, row: int, by: int) -> None:
        """Add to the sum of a row's domain."""
        column = self._column
        if column is None or column.version != self._version:
            return  # will be counted when it is asked for
        code = column.codes.item(row)
        if code == ABSENT:
            return
        before = self.sums.item(code)
        self.sums[code] = after = before + by
        self.changes.record(row)
        if (before > 0) != (after > 0):
            self.occupied += 1 if after > 0 else -1
            self.flips.record(row)

    def count(self, column: LabelColumn, by_row: Counts) -> None:
        """Sum up again, if any row's label has changed."""
        if self._version == column.version:
            return
        self._column, self._version = column, column.version
        self.sums = np.bincount(column.codes, weights=by_row, minlength=len(column.values)).astype(np.int64)
        self.sums[ABSENT] = 0
        self.occupied = int(np.count_nonzero(self.sums > 0))
        self.changes.reset()
        self.flips.reset()


class Tally:
    """An integer for each row, with its sums by the topology labels that were asked about.

    changes: the rows where something was added or taken
    """

    __slots__ = ("_domains", "by_row", "changes")

    def __init__(self, by_row: Counts) -> None:
        self.by_row = by_row
        self.changes: ChangeLog[int] = ChangeLog(_REMEMBERED_CHANGES)
        self._domains: dict[str, DomainCounts] = {}

    def bump(self, row: int, by: int) -> None:
        """Add to a row."""
        self.by_row[row] += by
        self.changes.record(row)
        for domains in self._domains.values():
            domains.bump(row, by)

    def reset(self) -> None:
        """Take note that any row may have changed."""
        self.changes.reset()
        self._domains.clear()

    def by_domain(self, labels: LabelColumns, topology_key: str) -> DomainCounts:
        """The sums by domain, up to date for as long as no node changes; not to be changed by the caller."""
        found = self._domains.get(topology_key)
        if found is None:
            found = self._domains[topology_key] = DomainCounts()
        found.count(labels[topology_key], self.by_row)
        return found

    def resize(self, capacity: int) -> None:
        """Have room for so many rows."""
        self.by_row = resized(self.by_row, capacity)
