"""How many free volumes meet a demand on each row of a node table, kept up to date."""

from collections.abc import Iterable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from pallet.bounded_cache import MIB, BoundedCache, footprint
from pallet.cache.cursor import Cursor
from pallet.cache.node_table import NodeTable
from pallet.framework.interface import ALL_ROWS
from pallet.plugins.volumes.free import Demand, FreeVolumes, Pool
from pallet.plugins.volumes.node_affinity import matching_mask, matching_rows, node_affinity_of

if TYPE_CHECKING:
    from pallet.cache.changes import ChangeLog

Counts = npt.NDArray[np.int64]

_COLUMNS_BYTES = 8 * MIB
"""Of the columns kept for each table."""


class FreeCounts:
    """The columns of the demands that were asked about lately, for each table with other nodes."""

    def __init__(self, free: FreeVolumes) -> None:
        self._free = free
        self._columns: WeakKeyDictionary[ChangeLog[int], BoundedCache[Demand, _Column]] = WeakKeyDictionary()

    def of(self, demand: Demand, table: NodeTable) -> Counts:
        """The volumes that meet a demand, by row: int64, (capacity,)."""
        columns = self._columns.get(table.node_changes)
        if columns is None:
            columns = self._columns[table.node_changes] = BoundedCache("volume_counts", _COLUMNS_BYTES, _size)
        column = columns.get(demand)
        if column is not None:
            return column.fresh(table)
        column = _Column(demand, self._free.pool(demand.storage_class))
        counts = column.fresh(table)
        columns[demand] = column
        return counts


class _Column:
    """One demand on one table."""

    __slots__ = ("_counts", "_demand", "_nodes", "_pool", "_volumes")

    def __init__(self, demand: Demand, pool: Pool) -> None:
        self._demand = demand
        self._pool = pool
        self._counts: Counts = np.zeros(0, np.int64)
        self._nodes, self._volumes = Cursor(), Cursor()

    @property
    def bytes(self) -> int:
        """What the counts take."""
        return self._counts.nbytes

    def fresh(self, table: NodeTable) -> Counts:
        """Catch up with the volumes and with the nodes."""
        rows = self._nodes.read(table.node_changes)
        [changes] = self._volumes.read_each(self._pool.changes)
        if rows is None or changes is None:
            self._count_all(table)
        else:
            for by, volume in changes:
                if self._demand.fits(volume):
                    self._counts[matching_rows(node_affinity_of(volume), table)] += by
            self._count(table, rows)
        return self._counts

    def _count(self, table: NodeTable, rows: Iterable[int]) -> None:
        """Count again on rows whose node changed."""
        for row in rows:
            node = table.nodes[row]
            self._counts[row] = self._pool.count(self._demand, node.metadata.labels) if node else 0

    def _count_all(self, table: NodeTable) -> None:
        self._counts = np.zeros(table.capacity, np.int64)
        for affinity, group in self._pool.others.items():
            self._counts[matching_mask(affinity, table, ALL_ROWS)] += group.count(self._demand)
        for key, by_value in self._pool.by_label.items():
            column = table.labels[key]
            by_code = np.zeros(len(column.values), np.int64)
            for value, groups in by_value.items():
                code = column.code_of.get(value)
                if code is not None:
                    by_code[code] = sum(group.count(self._demand) for group in groups)
            self._counts += by_code[column.codes]


def _size(demand: Demand, column: _Column) -> int:
    return footprint(demand, _COLUMNS_BYTES) + column.bytes
