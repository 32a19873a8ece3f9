"""Verdicts that are kept from one pod to the next.

Pods of one template get the same verdicts from most plugins, and a bound pod changes one row only. So every
vector plugin's answer is kept for each signature it gave, and brought up to date by asking again for the rows
that the table's change logs name. `PodKind` does the same for the sum of it all: which nodes are feasible for
pods of one kind, and their totals.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pallet.cache.changes import Rows
from pallet.cache.columns import Mask
from pallet.cache.node_table import NodeTable
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.interface import ALL_ROWS, Reads, Scores
from pallet.framework.state import CycleState

Compute = Callable[[CycleState, PodInfo, Snapshot, Any], npt.NDArray[Any]]
Normalize = Callable[[Scores, int, int], Scores]

NO_ROWS: Rows = np.zeros(0, np.intp)

INFEASIBLE = -1
"""The total of a node that is not feasible."""


class Stamps:
    """How far a reader has read the change logs of a table."""

    __slots__ = ("_capacity", "_load", "_node", "_reads")

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._capacity = self._node = self._load = -1

    def advance(self, table: NodeTable) -> Rows | None:
        """The rows to look at again since the last call, or None for all of them."""
        node, load = table.node_changes.stamp, table.load_changes.stamp
        moved_node = node != self._node
        moved_load = load != self._load and self._reads is Reads.LOAD
        if not moved_node and not moved_load:
            return NO_ROWS
        rows = self._rows(table, moved_node, moved_load) if self._capacity == table.capacity else None
        self._capacity, self._node, self._load = table.capacity, node, load
        return rows

    def _rows(self, table: NodeTable, moved_node: bool, moved_load: bool) -> Rows | None:  # noqa: FBT001  # private
        if not moved_node:
            return table.load_changes.since(self._load)
        if self._reads is Reads.NODES:
            return None
        rows = table.node_changes.since(self._node)
        if not moved_load or rows is None:
            return rows
        loaded = table.load_changes.since(self._load)
        return None if loaded is None else np.union1d(rows, loaded)


class Remembered:
    """One plugin's answer for one signature, over all rows."""

    __slots__ = ("_compute", "_stamps", "values")

    def __init__(self, reads: Reads, compute: Compute) -> None:
        self.values: npt.NDArray[Any] = np.zeros(0)
        self._compute = compute
        self._stamps = Stamps(reads)

    def refresh(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> Rows | None:
        """Ask again where something changed; tell the rows that were asked for, None for all."""
        rows = self._stamps.advance(snapshot.table)
        if rows is None:
            self.values = self._compute(state, info, snapshot, ALL_ROWS)
        elif rows.size:
            self.values[rows] = self._compute(state, info, snapshot, rows)
        return rows


class ScoreColumn:
    """One plugin's share in the totals: its scores, normalised over the feasible nodes, times its weight."""

    __slots__ = ("_high", "_low", "_normalize", "_weight", "scores", "weighted")

    def __init__(self, scores: Remembered, weight: int, normalize: Normalize | None) -> None:
        self.scores = scores
        self.weighted: Scores = np.zeros(0, np.int64)
        self._weight = weight
        self._normalize = normalize
        self._low = self._high = 0

    def rebuild(self, feasible: Mask) -> None:
        """Take every row anew."""
        self._low, self._high = self._extremes(feasible)
        self.weighted = self._weigh(self.scores.values, self._low, self._high)

    def patch(self, rows: Rows, feasible: Mask) -> bool:
        """Take some rows anew; tell whether all had to be, since the scale they are measured on moved."""
        if self._normalize is not None and self._extremes(feasible) != (self._low, self._high):
            self.rebuild(feasible)
            return True
        self.weighted[rows] = self._weigh(self.scores.values[rows], self._low, self._high)
        return False

    def correction(self, feasible: Mask) -> Scores | None:
        """What to add to `weighted` when fewer nodes are feasible than the column was built for."""
        if self._normalize is None:
            return None
        low, high = self._extremes(feasible)
        if (low, high) == (self._low, self._high):
            return None
        return self._weigh(self.scores.values, low, high) - self.weighted

    def _extremes(self, feasible: Mask) -> tuple[int, int]:
        if self._normalize is None:
            return 0, 0
        scores = self.scores.values[feasible]
        return (int(scores.min()), int(scores.max())) if scores.size else (0, 0)

    def _weigh(self, scores: Scores, low: int, high: int) -> Scores:
        return self._weight * (scores if self._normalize is None else self._normalize(scores, low, high))


class PodKind:
    """What is known of all pods that the remembering plugins cannot tell apart.

    feasible: bool, (capacity,), rows that no remembering filter refuses
    totals: int64, (capacity,), the sum of the weighted scores, INFEASIBLE where the row is not feasible
    """

    __slots__ = ("_columns", "_filters", "_stamps", "feasible", "totals")

    def __init__(self, filters: tuple[Remembered, ...], columns: tuple[ScoreColumn, ...]) -> None:
        self.feasible: Mask = np.zeros(0, np.bool_)
        self.totals: Scores = np.zeros(0, np.int64)
        self._filters = filters
        self._columns = columns
        self._stamps = Stamps(Reads.LOAD)

    def refresh(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> None:
        """Catch up with the table."""
        rows = self._stamps.advance(snapshot.table)
        if rows is not None and not rows.size:
            return
        refused = [verdict.refresh(state, info, snapshot) for verdict in self._filters]
        scored = [column.scores.refresh(state, info, snapshot) for column in self._columns]
        if rows is None or any(changed is None for changed in (*refused, *scored)):
            self._rebuild(snapshot.table)
        else:
            self._patch(
                snapshot.table, rows, [changed is not None and changed.size > 0 for changed in scored]
            )

    def totals_over(self, feasible: Mask) -> Scores:
        """The totals when only some of the feasible rows are left; meaningless outside of them."""
        totals = self.totals
        for column in self._columns:
            correction = column.correction(feasible)
            if correction is not None:
                totals = totals + correction
        return totals

    def _rebuild(self, table: NodeTable) -> None:
        self.feasible = table.live.copy()
        for verdict in self._filters:
            self.feasible &= verdict.values == 0
        for column in self._columns:
            column.rebuild(self.feasible)
        self._add_up()

    def _patch(self, table: NodeTable, rows: Rows, touched: list[bool]) -> None:
        fits = table.live[rows]
        for verdict in self._filters:
            fits &= verdict.values[rows] == 0
        flipped = bool((fits != self.feasible[rows]).any())
        self.feasible[rows] = fits
        moved = False
        for column, changed in zip(self._columns, touched, strict=True):
            if changed or flipped:
                moved |= column.patch(rows, self.feasible)
        if moved:
            self._add_up()
            return
        total = np.zeros(len(rows), np.int64)
        for column in self._columns:
            total += column.weighted[rows]
        total[~fits] = INFEASIBLE
        self.totals[rows] = total

    def _add_up(self) -> None:
        self.totals = np.zeros(len(self.feasible), np.int64)
        for column in self._columns:
            self.totals += column.weighted
        self.totals[~self.feasible] = INFEASIBLE
