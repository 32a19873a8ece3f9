"""Filters with nominated pods, about many rows at once.

A pod must fit on a node with the pods there that are nominated to it, of the same or a higher priority, and
also without them: for they may yet go elsewhere. As in kube-scheduler, on each node only those nominated to
it are supposed to be there, and the refusal with them comes before the one without them.

What is found is kept for each equivalence class, and asked again only where nominations, nodes or loads
changed.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pallet.api.requests import PODS
from pallet.bounded_cache import MIB, BoundedCache, footprint
from pallet.cache.changes import NO_ROWS, Rows
from pallet.cache.cursor import Cursor
from pallet.cache.pod_info import PodInfo
from pallet.cache.resource_columns import OVERFULL, added
from pallet.cache.snapshot import Snapshot
from pallet.framework.diagnosis import NodesToStatus
from pallet.framework.interface import Codes, Reads, VectorFilterPlugin
from pallet.framework.state import CycleState
from pallet.runtime.row_filters import (
    FiltersWithNominatedPods,
    asks_sums_only,
    code_of,
    first_codes,
    place_nominated,
    refused_by,
    without,
)

if TYPE_CHECKING:
    from pallet.cache.columns import Mask

_CLASSES_BYTES = 16 * MIB

_BYTES_A_ROW = 17

_UNKNOWN = -1


class NominatedPods:
    """What a profile's filters say while the nominated pods are there."""

    def __init__(self, filters: FiltersWithNominatedPods, snapshot: Snapshot) -> None:
        self._filters = filters
        self._snapshot = snapshot
        self._classes: BoundedCache[Hashable, _ClassRefusals] = BoundedCache(
            "nominee_kinds",
            _CLASSES_BYTES,
            lambda key, _: footprint(key, _CLASSES_BYTES) + _BYTES_A_ROW * snapshot.table.capacity,
        )

    def filter(self, state: CycleState, info: PodInfo, rows: Rows) -> Rows:
        """Leave out those of the rows, all feasible without them, that are refused with them."""
        if not self._snapshot.nominator:
            return rows
        asked, position, _ = self._ask(state, info, rows)
        if not asked.size:
            return rows
        return without(rows, asked[position != 0], self._snapshot.table.capacity)

    def explain(self, state: CycleState, info: PodInfo, rows: Rows) -> tuple[list[NodesToStatus], Rows]:
        """Why rows are refused with them, and the rows that are not."""
        if not self._snapshot.nominator:
            return [], rows
        asked, position, code = self._ask(state, info, rows)
        refused = asked[position != 0]
        if not refused.size:
            return [], rows
        supposed = with_nominated(self._snapshot, info, refused)
        refusals = refused_by(self._filters.asked(state, info), info, supposed, position, code, asked)
        return refusals, without(rows, refused, self._snapshot.table.capacity)

    def _ask(self, state: CycleState, info: PodInfo, rows: Rows) -> tuple[Rows, Rows, Codes]:
        """Those of the rows with nominated pods to yield to; which filter refuses them, and how."""
        priority = info.pod.spec.priority
        key = priority, self._filters.key(state, info)
        found = self._classes.get(key)
        if found is None:
            found = self._classes[key] = _ClassRefusals(self._filters.asked(state, info), priority)
        found.refresh(self._snapshot)
        asked = rows[found.relevant[rows]]
        if not asked.size:
            return NO_ROWS, NO_ROWS, np.zeros(0, np.uint32)
        own = self._snapshot.table.row_of.get(self._snapshot.nominator.node_of(info.uid), -1)
        return found.ask(state, info, self._snapshot, asked, own)


class _ClassRefusals:
    """The refusals for pods of one priority that the filters cannot tell apart.

    relevant: bool, (capacity,), rows to which a pod of the same or a higher priority is nominated
    position, code: (capacity,), which filter refuses the row, from 1, and how; 0 for none; -1 not asked yet
    """

    def __init__(self, plugins: Sequence[VectorFilterPlugin], priority: int) -> None:
        self.relevant: Mask = np.zeros(0, np.bool_)
        self._position: npt.NDArray[np.intp] = np.zeros(0, np.intp)
        self._code: Codes = np.zeros(0, np.uint32)
        self._plugins = plugins
        self._at_once = asks_sums_only(plugins)
        self._priority = priority
        self._nodes, self._loads, self._nominations = Cursor(), Cursor(), Cursor()

    def refresh(self, snapshot: Snapshot) -> None:
        """Catch up with nominations, nodes and loads."""
        table, nominator = snapshot.table, snapshot.nominator
        nodes, rows = self._nodes.read(table.node_changes), self._loads.read(table.load_changes)
        names: Iterable[str] | None = self._nominations.read(nominator.changes)
        if nodes is None or nodes or rows is None or names is None:
            self.relevant = np.zeros(table.capacity, np.bool_)
            self._position = np.full(table.capacity, _UNKNOWN, np.intp)
            self._code = np.zeros(table.capacity, np.uint32)
            names = nominator
        else:
            self._position[list(rows)] = _UNKNOWN
        for name in names:
            row = table.row_of.get(name)
            if row is not None:
                self._position[row] = _UNKNOWN
                self.relevant[row] = any(
                    info.pod.spec.priority >= self._priority for info in nominator.on(name)
                )

    def ask(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows, own: int
    ) -> tuple[Rows, Rows, Codes]:
        """Ask about rows where it is not known yet; a pod does not yield to itself on its `own` row."""
        unknown = rows[(self._position[rows] == _UNKNOWN) | (rows == own)]
        if self._at_once:
            self._ask_at_once(state, info, snapshot, unknown[unknown != own])
            unknown = unknown[unknown == own]
        not_lasting = self._ask_one_by_one(state, info, snapshot, unknown, own) if unknown.size else []
        position, code = self._position[rows], self._code[rows]
        self._position[not_lasting] = _UNKNOWN
        return rows, position, code

    def _ask_one_by_one(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows, own: int
    ) -> list[int]:
        """Ask about each of the rows. Give those whose answer does not hold for the next pod."""
        not_lasting = []
        with snapshot.fork() as fork:
            for row in rows.tolist():
                checkpoint = place_nominated(fork, info.pod, row)
                plugins = () if checkpoint is None else self._plugins
                lasting = self._ask_one(state, info, fork, row, plugins)
                if checkpoint is not None:
                    fork.rollback(checkpoint)
                if not lasting or row == own:
                    not_lasting.append(row)
        return not_lasting

    def _ask_at_once(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> None:
        if rows.size:
            supposed = with_nominated(snapshot, info, rows)
            self._position[rows], self._code[rows] = first_codes(self._plugins, state, info, supposed, rows)

    def _ask_one(
        self,
        state: CycleState,
        info: PodInfo,
        snapshot: Snapshot,
        row: int,
        plugins: Sequence[VectorFilterPlugin],
    ) -> bool:
        """Ask plugins about one row, and tell whether the answer holds for the next pod of the class."""
        lasting = True
        self._position[row] = self._code[row] = 0
        for number, plugin in enumerate(plugins, start=1):
            lasting &= plugin.filter_reads is not Reads.CLUSTER
            code = code_of(plugin, state, info, snapshot, row)
            if code:
                self._position[row], self._code[row] = number, code
                break
        return lasting


def with_nominated(snapshot: Snapshot, info: PodInfo, rows: Rows) -> Snapshot:
    """A snapshot with what those nominated pods request on some rows that a pod has to yield to.

    Only of the resources that the pod requests, and of pods. To be read until something changes.
    """
    columns, name_of = snapshot.table.resources, snapshot.table.name
    requested = {
        name: columns[name].requested.copy()
        for name in (PODS, *(name for name, _ in info.requests.amounts))
        if name in columns
    }
    for row in rows.tolist():
        ahead = snapshot.nominator.ahead_of(info.pod, name_of(row))
        coming = [other.requests for other in ahead if not snapshot.is_placed(other.uid, row)]
        for name, sums in requested.items():
            sums[row] = min(sums.item(row) + sum(added(each, name) for each in coming), OVERFULL)
    return snapshot.with_requested(requested)
