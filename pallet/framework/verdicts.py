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
from pallet.framework.interface import ALL_ROWS, Normalize, Reads, RowChoice, Scores
from pallet.framework.state import CycleState

Compute = Callable[[CycleState, PodInfo, Snapshot, Any], npt.NDArray[Any]]

NO_ROWS: Rows = np.zeros(0, np.intp)

INFEASIBLE = -1
"""The total of a node that is not feasible."""


class Stamps:
    """How far a reader has read the change logs of a table.

    `loads`: whether it reads the pods placed on a node; `across`: whether what it says about one row can
    depend on the node of another.
    """

    __slots__ = ("_across", "_capacity", "_load", "_loads", "_node")

    def __init__(self, *, loads: bool, across: bool) -> None:
        self._loads = loads
        self._across = across
        self._capacity = self._node = self._load = -1

    def behind(self, table: NodeTable) -> Rows | None:
        """The rows that changed since the reader last caught up, or None for all of them."""
        if self._capacity != table.capacity:
            return None
        if self._node != table.node_changes.stamp:
            return None if self._across else self._changed(table)
        if self._loads and self._load != table.load_changes.stamp:
            return table.load_changes.since(self._load)
        return NO_ROWS

    def catch_up(self, table: NodeTable) -> None:
        """Take note that the reader has dealt with all changes."""
        self._capacity = table.capacity
        self._node, self._load = table.node_changes.stamp, table.load_changes.stamp

    def _changed(self, table: NodeTable) -> Rows | None:
        rows = table.node_changes.since(self._node)
        if rows is None or not self._loads:
            return rows
        loaded = table.load_changes.since(self._load)
        return None if loaded is None else np.union1d(rows, loaded)


class Remembered:
    """One plugin's answer for one signature, over all rows."""

    __slots__ = ("_compute", "_stamps", "reads", "values")

    def __init__(self, reads: Reads, compute: Compute) -> None:
        self.values: npt.NDArray[Any] = np.zeros(0)
        self.reads = reads
        self._compute = compute
        self._stamps = Stamps(loads=reads is Reads.LOAD, across=reads is Reads.NODES)

    def refresh(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> None:
        """Ask again where something changed."""
        rows = self._stamps.behind(snapshot.table)
        if rows is None:
            self.values = self._compute(state, info, snapshot, ALL_ROWS)
        elif rows.size:
            choice = as_choice(rows)
            self.values[choice] = self._compute(state, info, snapshot, choice)
        else:
            return
        self._stamps.catch_up(snapshot.table)


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

    def patch(self, rows: RowChoice, feasible: Mask) -> bool:
        """Take some rows anew; tell whether all had to be, since the scale they are measured on moved."""
        if self._normalize is not None and self._extremes(feasible) != (self._low, self._high):
            self.rebuild(feasible)
            return True
        self.weighted[rows] = self._weigh(self.scores.values[rows], self._low, self._high)
        return False

    def correction(self, rows: Rows) -> Scores | None:
        """What to add to `weighted` when of the nodes the column was built for only some are left."""
        if self._low == self._high:  # as with all columns that are not normalised
            return None
        low, high = self._extremes(rows)
        if (low, high) == (self._low, self._high):
            return None
        return self._weigh(self.scores.values[rows], low, high) - self.weighted[rows]

    def _extremes(self, feasible: Mask | Rows) -> tuple[int, int]:
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

    __slots__ = ("_columns", "_filters", "_node_stamp", "_remembered", "_stamps", "feasible", "totals")

    def __init__(self, filters: tuple[Remembered, ...], columns: tuple[ScoreColumn, ...]) -> None:
        self.feasible: Mask = np.zeros(0, np.bool_)
        self.totals: Scores = np.zeros(0, np.int64)
        self._filters = filters
        self._columns = columns
        self._remembered = (*filters, *(column.scores for column in columns))
        reads = {each.reads for each in self._remembered}
        self._stamps = Stamps(loads=Reads.LOAD in reads, across=Reads.NODES in reads)
        self._node_stamp = -1

    def refresh(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> None:
        """Catch up with the table. Other kinds share the verdicts, so these may be ahead of this kind."""
        table = snapshot.table
        rows = self._stamps.behind(table)
        if rows is not None and not rows.size:
            return
        nodes_changed = rows is None or table.node_changes.stamp != self._node_stamp
        for verdict in self._remembered:
            if nodes_changed or verdict.reads is Reads.LOAD:
                verdict.refresh(state, info, snapshot)
        if rows is None:
            self._rebuild(table)
        else:
            self._patch(table, as_choice(rows), nodes_changed=nodes_changed)
        self._node_stamp = table.node_changes.stamp
        self._stamps.catch_up(table)

    def totals_over(self, rows: Rows) -> Scores:
        """The totals of some of the feasible rows, as they are when no others are left: int64, (rows,)."""
        totals: Scores = self.totals[rows]
        for column in self._columns:
            correction = column.correction(rows)
            if correction is not None:
                totals += correction
        return totals

    def _rebuild(self, table: NodeTable) -> None:
        self.feasible = table.live.copy()
        for verdict in self._filters:
            self.feasible &= verdict.values == 0
        for column in self._columns:
            column.rebuild(self.feasible)
        self._add_up()

    def _patch(self, table: NodeTable, rows: RowChoice, *, nodes_changed: bool) -> None:
        fits = table.live[rows].copy()
        for verdict in self._filters:
            fits &= verdict.values[rows] == 0
        everything = nodes_changed or fits.tobytes() != self.feasible[rows].tobytes()
        self.feasible[rows] = fits
        moved = False
        total: Scores = np.zeros(len(fits), np.int64)
        for column in self._columns:
            if everything or column.scores.reads is Reads.LOAD:
                moved |= column.patch(rows, self.feasible)
            total += column.weighted[rows]
        if moved:
            self._add_up()
            return
        self.totals[rows] = np.where(fits, total, INFEASIBLE)

    def _add_up(self) -> None:
        self.totals = np.zeros(len(self.feasible), np.int64)
        for column in self._columns:
            self.totals += column.weighted
        self.totals[~self.feasible] = INFEASIBLE


def as_choice(rows: Rows) -> RowChoice:
    """The same rows, a single one as a slice: numpy then looks at it in place and copies nothing."""
    if rows.size != 1:
        return rows
    row = int(rows[0])
    return slice(row, row + 1)
