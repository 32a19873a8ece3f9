"""The pods of every node in the order of their importance, as columns.

They serve all preemptors of a profile: the pods that one may preempt are those at the end of each column
whose priority is below its own. Rows are sorted again where pods came, left or started, when they are asked
for: after a start that is all rows, of which each cycle sorts only a part (see `PotentialVictims.refresh`).
"""

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

from pallet.api.requests import PODS, Requests
from pallet.cache.cache import Cache, Hold
from pallet.cache.changes import ChangeLog, Rows
from pallet.cache.columns import Mask
from pallet.cache.cursor import Cursor
from pallet.cache.pod_info import PodInfo
from pallet.cache.resource_columns import Amounts, added
from pallet.plugins.preemption.budgets import Budgets
from pallet.plugins.preemption.importance import started

NO_POD = np.iinfo(np.int64).max
"""The priority where a column has no pod: no preemptor is above it."""

MOST_AT_ONCE = 8192
"""So many pods are sorted within one cycle, or the tenth part of all: it takes some 1 us each."""

_FIRST_STEPS = 8

_FEW_REQUESTS = 4096

_MOST_NAMES = 64


class DistinctRequests:
    """The distinct requests of some pods, numbered from 1: many pods request the same. 0 is for no pod."""

    def __init__(self) -> None:
        self._numbers: dict[Requests | None, int] = {None: 0}
        self._amounts: dict[str, Amounts] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def numbers(self, pods: Iterable[PodInfo]) -> list[int]:
        """The numbers of what some pods request."""
        numbers = self._numbers
        return [numbers.setdefault(info.requests, len(numbers)) for info in pods]

    def amounts(self, names: Sequence[str]) -> Amounts:
        """What a pod with these requests adds to the sums of some resources: int64, (numbers, names)."""
        if len(self._amounts) > _MOST_NAMES:
            self._amounts.clear()
        return np.stack([self._amounts_of(name) for name in names], axis=1)

    def _amounts_of(self, name: str) -> Amounts:
        known = self._amounts.get(name, np.zeros(0, np.int64))
        if len(known) < len(self._numbers):
            more = islice(self._numbers, len(known), None)
            amounts = [0 if requests is None else added(requests, name) for requests in more]
            known = self._amounts[name] = np.concatenate((known, np.array(amounts, np.int64)))
        return known


class PotentialVictims:
    """The pods of each row, the most important first.

    priority, start, requests: (steps, capacity); `requests` are numbers (see `amounts`)
    height: (capacity,), the number of pods
    guarded: bool, (capacity,), rows with a pod that a disruption budget selects
    changes: the rows about which anything changed that preemption depends on

    Places that are only reserved are left out: there is no pod yet that could be preempted. So are rows that
    are overfull beyond counting, where the room that preemption makes cannot be computed.
    """

    def __init__(self, cache: Cache, budgets: Budgets) -> None:
        self.changes: ChangeLog[int] = ChangeLog()
        self._cache = cache
        self._snapshot = cache.snapshot
        self._budgets = budgets
        self._pods_read, self._nodes_read, self._nominations_read = Cursor(), Cursor(), Cursor()
        self._budget_stamp = self._selection = -1
        self._clear()

    def pods(self, row: int) -> tuple[PodInfo, ...]:
        """The pods of a row, the most important first."""
        return self._pods[row]

    def amounts(self, names: Sequence[str]) -> Amounts:
        """What a pod adds to the sums of some resources, by the number of its requests: int64, (_, names)."""
        return self._distinct.amounts(names)

    def refresh(self, wanted: Mask) -> Mask:
        """Catch up with what happened, note which rows it is about, and tell which of some rows are sorted.

        These are all, or else as many as one cycle may take the time for: no fewer than the tenth part of all
        nodes, to which kube-scheduler confines its search.
        """
        snapshot, table = self._snapshot, self._snapshot.table
        moved = self._pods_read.read_all(table.node_changes, table.load_changes, snapshot.starts)
        nominated = self._nominations_read.read(snapshot.nominator.changes)
        nodes = self._nodes_read.read(table.node_changes)
        if moved is None or len(self._distinct) > self._most_distinct:
            self._clear()
        else:
            self._unsorted[list(moved)] = True
            rows = {*moved, *self._with_other_budgets()}
            rows.update(table.row_of[name] for name in nominated or () if name in table.row_of)
            self.changes.record_all(rows)
            if nominated is None or nodes:
                self.changes.reset()  # one node can matter to what filters say about another
        self._budget_stamp, self._selection = self._budgets.stamp, self._budgets.selection
        self._sort_some((wanted & self._unsorted).nonzero()[0])
        return wanted & ~self._unsorted

    def _clear(self) -> None:
        table = self._snapshot.table
        self.priority: npt.NDArray[np.int64] = np.full((_FIRST_STEPS, table.capacity), NO_POD)
        self.start: npt.NDArray[np.float64] = np.zeros((_FIRST_STEPS, table.capacity))
        self.requests: Rows = np.zeros((_FIRST_STEPS, table.capacity), np.intp)
        self.height: Rows = np.zeros(table.capacity, np.intp)
        self.guarded: Mask = np.zeros(table.capacity, np.bool_)
        self.changes.reset()
        self._distinct = DistinctRequests()
        # The requests of pods that left are forgotten when there are more than can be of the others.
        self._most_distinct = _FEW_REQUESTS + 2 * int(table.resources[PODS].requested.sum())
        self._unsorted: Mask = np.ones(table.capacity, np.bool_)
        self._pods: list[tuple[PodInfo, ...]] = [()] * table.capacity

    def _sort_some(self, rows: Rows) -> None:
        """Sort rows from the first one on, until it would take too long."""
        if not rows.size:
            return
        placed = self._snapshot.table.resources[PODS].requested
        upto = placed[rows].cumsum()
        if upto[-1] > MOST_AT_ONCE:
            most = max(MOST_AT_ONCE, int(placed.sum()) // 10)
            rows = rows[: int(np.searchsorted(upto, most)) + 1]
        self._sort(rows)
        if self._budgets or self.guarded[rows].any():
            self._guard(rows)
        self._unsorted[rows] = False
        self.changes.record_all(rows.tolist())

    def _sort(self, rows: Rows) -> None:
        """Sort the pods of some rows, as one array."""
        by_row = [self._preemptible(row) for row in rows.tolist()]
        heights = [len(each) for each in by_row]
        self._lengthen(max(heights))
        pods = [info for each in by_row for info in each]
        priority = np.array([info.pod.spec.priority for info in pods], np.int64)
        start = np.array([started(info.pod) for info in pods], np.float64)
        row_of = np.repeat(rows, heights)  # which are sorted, so that the pods of a row stay together
        step = [number for height in heights for number in range(height)]
        order = np.lexsort((start, -priority, row_of))
        pods = [pods[index] for index in order.tolist()]
        self.height[rows] = heights
        self.priority[:, rows] = NO_POD
        self.priority[step, row_of], self.start[step, row_of] = priority[order], start[order]
        self.requests[step, row_of] = self._distinct.numbers(pods)
        left = iter(pods)
        for row, height in zip(rows.tolist(), heights, strict=True):
            self._pods[row] = tuple(islice(left, height))

    def _with_other_budgets(self) -> Iterable[int]:
        """The rows whose pods a budget selects that changed, or selected before it did."""
        if self._budget_stamp == self._budgets.stamp:
            return ()
        before: Mask = self.guarded.copy()
        if self._selection != self._budgets.selection:
            self._guard(self._snapshot.table.live.nonzero()[0])
        rows: list[int] = (before | self.guarded).nonzero()[0].tolist()
        return rows

    def _guard(self, rows: Rows) -> None:
        """Find out which of some rows are guarded."""
        guards = self._budgets.guards
        for row in rows.tolist():
            self.guarded[row] = any(guards(info.pod) for info in self._pods[row])

    def _preemptible(self, row: int) -> list[PodInfo]:
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

    def _lengthen(self, steps: int) -> None:
        """Have room for so many pods on a row."""
        missing, capacity = steps - len(self.priority), self._snapshot.table.capacity
        if missing > 0:
            more = max(missing, len(self.priority)), capacity
            self.priority = np.vstack((self.priority, np.full(more, NO_POD)))
            self.start = np.vstack((self.start, np.zeros(more)))
            self.requests = np.vstack((self.requests, np.zeros(more, np.intp)))
