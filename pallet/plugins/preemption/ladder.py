"""The pods of every node in the order of their importance, as columns.

One ladder serves all preemptors of a profile: the pods that one may preempt are those at the end of each
column whose priority is below its own. Rows are sorted again where pods came, went or started, when they
are asked for: after a start that is all rows, of which each cycle sorts only a part (see `Ladder.refresh`).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pallet.api.requests import PODS
from pallet.cache.cache import Cache, Hold
from pallet.cache.changes import FEW_ROWS, ChangeLog, Rows
from pallet.cache.columns import Mask
from pallet.cache.cursor import TableCursor
from pallet.cache.nominator import Nominator
from pallet.cache.pod_info import PodInfo
from pallet.cache.resource_columns import Amounts
from pallet.plugins.preemption.budgets import Budgets
from pallet.plugins.preemption.importance import by_importance, started
from pallet.plugins.preemption.kinds import Kinds

NOBODY = np.iinfo(np.int64).max
"""The priority on a step where no pod stands: nobody is above it."""

MOST_AT_ONCE = 8192
"""So many pods are sorted within one cycle, or the tenth part of all: it takes some 1 us each."""

_FIRST_STEPS = 8


class Ladder:
    """Who stands on each row, the most important first.

    priority, start, kind: (steps, capacity); `kind` tells what the pod requests (see `weights`)
    height: (capacity,), how many pods stand there
    guarded: bool, (capacity,), rows with a pod that a disruption budget is about
    changes: the rows about which anything changed that preemption depends on

    Places that are only reserved are left out: there is no pod yet that could be preempted. So are rows that
    are overfull beyond counting, where nothing can be said of what is left when pods go.
    """

    def __init__(self, cache: Cache, budgets: Budgets, nominator: Nominator) -> None:
        self.changes: ChangeLog[int] = ChangeLog()
        self._cache = cache
        self._snapshot = cache.snapshot
        self._budgets = budgets
        self._nominator = nominator
        self._stamps = TableCursor(loads=True, across=False)
        self._nodes = self._starts = self._nominated = self._guard = self._selection = -1
        self._clear()

    @property
    def steps(self) -> int:
        """The length of every column: as many pods as the fullest row has, and some."""
        return len(self.priority)

    def pods(self, row: int) -> tuple[PodInfo, ...]:
        """The pods of a row, the most important first."""
        return self._pods[row]

    def lowest(self, rows: Rows) -> npt.NDArray[np.int64]:
        """The priority of the least important pod on each of some rows: NOBODY where none stands."""
        return self.priority[np.maximum(self.height[rows] - 1, 0), rows]

    def weights(self, names: Sequence[str]) -> Amounts:
        """What a pod of each kind adds to what is requested of some resources: int64, (kinds, names)."""
        return self._kinds.weights(names)

    def nominated_node(self, info: PodInfo) -> str:
        """The node to which a preemptor itself is nominated already; empty for none."""
        return self._nominator.node_of(info.uid)

    def ahead_of(self, info: PodInfo, row: int) -> list[PodInfo]:
        """The pods nominated to a row that a preemptor has to yield to."""
        return self._nominator.ahead_of(info.pod, self._snapshot.table.name(row))

    def nominated_rows(self) -> list[int]:
        """The rows to which any pods are nominated."""
        row_of = self._snapshot.table.row_of
        return [row_of[name] for name in self._nominator if name in row_of]

    def refresh(self, wanted: Mask) -> Mask:
        """Catch up with what happened, note which rows it is about, and tell which of some rows are sorted.

        These are all, or else as many as one cycle may take the time for: no fewer than the tenth part of all
        nodes, to which kube-scheduler confines its search.
        """
        snapshot, table, budgets = self._snapshot, self._snapshot.table, self._budgets
        moved, begun = self._stamps.rows_behind(table), snapshot.starts.rows_since(self._starts)
        nominated = self._nominator.changed_since(self._nominated)
        if moved is None or begun is None:
            self._clear()
        else:
            rows = {*moved, *begun}
            self._unsorted[list(rows)] = True
            if self._selection != budgets.selection:
                self._guard_all()
            if nominated is None or self._nodes != table.node_changes.stamp:
                self.changes.reset()  # one node can matter to what filters say about another
            else:
                rows |= {table.row_of[name] for name in nominated if name in table.row_of}
                if self._guard != budgets.stamp:
                    rows.update(self.guarded.nonzero()[0].tolist())
                self.changes.record_all(list(rows))
        self._starts, self._nodes = snapshot.starts.stamp, table.node_changes.stamp
        self._nominated = self._nominator.stamp
        self._guard, self._selection = budgets.stamp, budgets.selection
        self._stamps.catch_up(table)
        self._sort_some((wanted & self._unsorted).nonzero()[0])
        return wanted & ~self._unsorted

    def _clear(self) -> None:
        table = self._snapshot.table
        self.priority: npt.NDArray[np.int64] = np.full((_FIRST_STEPS, table.capacity), NOBODY)
        self.start: npt.NDArray[np.float64] = np.zeros((_FIRST_STEPS, table.capacity))
        self.kind: Rows = np.zeros((_FIRST_STEPS, table.capacity), np.intp)
        self._kinds = Kinds()
        self.height: Rows = np.zeros(table.capacity, np.intp)
        self.guarded: Mask = np.zeros(table.capacity, np.bool_)
        self.changes.reset()
        self._unsorted: Mask = np.ones(table.capacity, np.bool_)
        self._pods: list[tuple[PodInfo, ...]] = [()] * table.capacity

    def _sort_some(self, rows: Rows) -> None:
        """Sort rows from the first one on, until it would take too long."""
        if not rows.size:
            return
        table = self._snapshot.table
        standing = table.resources[PODS].requested
        upto = standing[rows].cumsum()
        if upto[-1] > MOST_AT_ONCE:
            most = max(MOST_AT_ONCE, int(standing.sum()) // 10)
            rows = rows[: int(np.searchsorted(upto, most)) + 1]
        self._sort(rows)
        self._unsorted[rows] = False
        self.changes.record_all(rows.tolist())

    def _sort(self, rows: Rows) -> None:
        if rows.size <= FEW_ROWS:
            for row in rows.tolist():
                self._sort_row(row)
        else:
            self._sort_at_once(rows)
        if self._budgets or self.guarded[rows].any():
            self._find_guarded(rows)

    def _sort_row(self, row: int) -> None:
        pods = self._standing(row)
        pods.sort(key=lambda info: by_importance(info.pod))
        height = len(pods)
        if height > self.steps:
            self._lengthen(height)
        kinds, gone = self._kinds.take(pods), self.kind[: self.height[row], row].tolist()
        self._kinds.give_back(gone)
        self._pods[row] = tuple(pods)
        self.height[row] = height
        self.priority[height:, row] = NOBODY
        if pods:
            self.priority[:height, row] = [info.pod.spec.priority for info in pods]
            self.start[:height, row] = [started(info.pod) for info in pods]
            self.kind[:height, row] = kinds

    def _sort_at_once(self, rows: Rows) -> None:
        """The same for many rows: the pods of all of them are sorted as one array."""
        pods: list[PodInfo] = []
        ends: list[int] = []
        for row in rows.tolist():
            pods += self._standing(row)
            ends.append(len(pods))
        heights = np.diff(ends, prepend=0)
        if heights.max() > self.steps:
            self._lengthen(int(heights.max()))
        priority = np.array([info.pod.spec.priority for info in pods], np.int64)
        start = np.array([started(info.pod) for info in pods], np.float64)
        row_of = np.repeat(rows, heights)  # which are sorted, so that the pods of a row stay together
        order = np.lexsort((start, -priority, row_of))
        step = np.arange(len(pods)) - np.repeat(np.array(ends) - heights, heights)
        pods = [pods[index] for index in order.tolist()]
        kinds = self._kinds.take(pods)
        stood = np.arange(self.steps)[:, None] < self.height[rows]
        self._kinds.give_back(self.kind[:, rows][stood].tolist())
        self.height[rows] = heights
        self.priority[:, rows] = NOBODY
        self.priority[step, row_of], self.start[step, row_of] = priority[order], start[order]
        self.kind[step, row_of] = kinds
        begin = 0
        for row, end in zip(rows.tolist(), ends, strict=True):
            self._pods[row] = tuple(pods[begin:end])
            begin = end

    def _find_guarded(self, rows: Rows) -> None:
        """Find out which of some rows are guarded."""
        guards = self._budgets.guards
        for row in rows.tolist():
            self.guarded[row] = any(guards(info.pod) for info in self._pods[row])

    def _guard_all(self) -> None:
        """Find the guarded rows again: which pods the budgets are about has changed."""
        guards = self._budgets.guards
        for row in self._snapshot.rows():
            guarded = any(guards(info.pod) for info in self._pods[row])
            if guarded or self.guarded[row]:
                self.changes.record(row)
            self.guarded[row] = guarded

    def _standing(self, row: int) -> list[PodInfo]:
        """The pods of a row in any order, without those for which a place is only reserved."""
        if self._snapshot.table.resources.is_overfull(row):
            return []
        return [
            info
            for info in self._snapshot.pods(row)
            if info.pod.spec.node_name or not self._is_reserved(info)
        ]

    def _is_reserved(self, info: PodInfo) -> bool:
        placement = self._cache.location(info.uid)
        return placement is not None and placement.hold is Hold.RESERVED

    def _lengthen(self, count: int) -> None:
        added = max(count - self.steps, self.steps)
        capacity = self._snapshot.table.capacity
        self.priority = np.vstack((self.priority, np.full((added, capacity), NOBODY)))
        self.start = np.vstack((self.start, np.zeros((added, capacity))))
        self.kind = np.vstack((self.kind, np.zeros((added, capacity), np.intp)))
