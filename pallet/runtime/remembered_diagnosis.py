"""Why the pods of an equivalence class are refused everywhere, kept from one pod to the next.

A pod that fits nowhere is told for every node which filter was the first to refuse it. Pods of one class get
the same diagnosis, but for the rows where a filter's result has changed since.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pallet.cache.changes import FEW_ROWS, Rows
from pallet.cache.cursor import Cursor
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.diagnosis import NodesToStatus
from pallet.framework.interface import VectorFilterPlugin
from pallet.framework.state import CycleState
from pallet.runtime.memory import FilterMemory
from pallet.runtime.results import PluginResult
from pallet.runtime.row_filters import distinct, explained, without

_CODE = (1 << 32) - 1


class RememberedDiagnosis:
    """The rows by their first refusal: which filter gave it, in the configured order, and with what code.

    Both are kept as one number: the filter's position, counted from 1, above the 32 bits of the code; 0 where
    no filter refuses.
    """

    def __init__(self, filters: Sequence[tuple[VectorFilterPlugin, PluginResult]]) -> None:
        self._filters = filters
        self._cursor = Cursor()
        self._first: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._groups: dict[int, NodesToStatus] = {}
        self._all: tuple[NodesToStatus, ...] = ()

    def read(self, info: PodInfo, snapshot: Snapshot) -> tuple[NodesToStatus, ...]:
        """The refusals by filter and code, from results that are up to date.

        As long as none of them changes it is the very same tuple.
        """
        logs = (result.changes for _, result in self._filters)
        rows = self._cursor.read_all(snapshot.table.node_changes, *logs)
        if rows is None or len(rows) > FEW_ROWS:
            self._take_all(info, snapshot)
        elif rows:
            self._take(info, snapshot, rows)
        return self._all

    def _take_all(self, info: PodInfo, snapshot: Snapshot) -> None:
        table = snapshot.table
        first = np.zeros(table.capacity, np.int64)
        for position in range(len(self._filters), 0, -1):  # the first one last, so that its code is kept
            codes = self._filters[position - 1][1].values.astype(np.int64)
            first = np.where(codes != 0, position << 32 | codes, first)
        first[~table.live] = 0
        self._first = first
        self._groups.clear()
        self._regroup(info, snapshot, distinct(first[first != 0]))

    def _take(self, info: PodInfo, snapshot: Snapshot, rows: Sequence[int]) -> None:
        table, touched = snapshot.table, set[int]()
        for row in rows:
            before, now = self._first.item(row), self._first_of(row) if table.live[row] else 0
            if now != before:
                self._first[row] = now
                touched |= {before, now}
        if touched:
            self._regroup(info, snapshot, touched - {0})

    def _first_of(self, row: int) -> int:
        for position, (_, result) in enumerate(self._filters, start=1):
            code = int(result.values.item(row))
            if code:
                return position << 32 | code
        return 0

    def _regroup(self, info: PodInfo, snapshot: Snapshot, refusals: set[int] | list[int]) -> None:
        """Gather the rows of some refusals again. Arrays that were given out are left as they are."""
        for each in refusals:
            rows: Rows = (self._first == each).nonzero()[0]
            if not rows.size:
                self._groups.pop(each, None)
            elif each in self._groups:
                self._groups[each] = NodesToStatus(self._groups[each].status, rows)
            else:
                plugin, _ = self._filters[(each >> 32) - 1]
                self._groups[each] = NodesToStatus(
                    explained(plugin, info, each & _CODE, snapshot, rows.item(0)), rows
                )
        self._all = tuple(self._groups[each] for each in sorted(self._groups))


def apart_from(
    these: Sequence[NodesToStatus], refusals: Sequence[NodesToStatus], capacity: int
) -> list[NodesToStatus]:
    """Refusals without the rows that these are about, which come first."""
    theirs = np.concatenate([each.rows for each in these])
    rest = [NodesToStatus(each.status, without(each.rows, theirs, capacity)) for each in refusals]
    return [each for each in rest if each.rows.size]


def refused_in_order(
    filters: Sequence[FilterMemory], state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows
) -> tuple[list[NodesToStatus], Rows]:
    """Why some of the rows are refused, each by the first filter, and those left; nothing is kept."""
    refusals: list[NodesToStatus] = []
    for each in filters:
        if each.asked(state, info):
            codes = each.codes(state, info, snapshot, rows)
            for code in distinct(codes[codes != 0]):
                alike = rows[codes == code]
                status = explained(each.plugin, info, code, snapshot, alike.item(0))
                refusals.append(NodesToStatus(status, alike))
            rows = rows[codes == 0]
    return refusals, rows
