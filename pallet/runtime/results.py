"""Results of plugins that are kept from one pod to the next.

Pods of one template get the same results from most plugins, and a bound pod changes one row only. So what a
vector plugin answers is kept for each signature that it gave, and brought up to date by asking again for the
rows that the table's change logs, or the plugin itself, name.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pallet.cache.changes import FEW_ROWS, ChangeLog
from pallet.cache.cursor import Cursor
from pallet.cache.node_table import NodeTable
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.hooks import Changes
from pallet.framework.interface import ALL_ROWS, Reads
from pallet.framework.state import CycleState

AskRows = Callable[[CycleState, PodInfo, Snapshot, Any], npt.NDArray[Any]]
AskRow = Callable[[CycleState, PodInfo, Snapshot, int], int]

_REMEMBERED_CHANGES = 1024


@dataclass(frozen=True, slots=True)
class PluginMethods:
    """A plugin at Filter or Score: for some rows, perhaps also for a single one, perhaps what changed."""

    reads: Reads
    rows: AskRows
    row: AskRow | None = None
    changes: Changes | None = None

    @property
    def cacheable(self) -> bool:
        """Whether it can be told for how long a result holds, so that it is worth keeping."""
        return self.reads is not Reads.CLUSTER or self.changes is not None


class PluginResult:
    """What one plugin answers for one signature, over all rows: a code or a score each.

    `changes` logs the rows whose value is another than before.
    """

    __slots__ = (
        "__weakref__", "_across", "_cursor", "_loads", "_methods", "_signature", "_stamp", "changes",
        "values",
    )  # fmt: skip

    def __init__(self, methods: PluginMethods, signature: Hashable) -> None:
        self.values: npt.NDArray[Any] = np.zeros(0, np.int64)
        self.changes: ChangeLog[int] = ChangeLog(_REMEMBERED_CHANGES)
        self._methods = methods
        self._signature = signature
        self._stamp: Any = None
        self._cursor = Cursor()
        self._loads, self._across = methods.reads is Reads.LOAD, methods.reads is Reads.NODES

    def bytes_for(self, capacity: int) -> int:
        """What it takes with so many rows."""
        return 8 * capacity + 16 * _REMEMBERED_CHANGES

    @property
    def changes_with_load(self) -> bool:
        """Whether placing a pod can change the result."""
        return self._methods.reads is Reads.LOAD or self._methods.reads is Reads.CLUSTER

    def begin_with(self, known: "PluginResult", state: CycleState, info: PodInfo, fork: Snapshot) -> None:
        """Begin with the result on the snapshot that was forked, and ask again where the pods may differ.

        A plugin that tells by itself what changed is asked about all rows: its stamps are of the other
        snapshot.
        """
        base = fork.base()
        if base is None or self._methods.changes is not None:
            return
        snapshot, changed = base
        known.refresh(state, info, snapshot)
        self.values = known.values.copy()
        if self._methods.reads is Reads.LOAD:
            self._update(state, info, fork, sorted(changed))
        self._changed_rows(fork.table)

    def refresh(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> None:
        """Ask again where something changed; everywhere after the plugin has failed."""
        table = snapshot.table
        try:
            if self._methods.changes is None:
                rows = self._changed_rows(table)
            else:
                self._stamp, rows = self._methods.changes(self._signature, snapshot, self._stamp)
                rows = rows if len(self.values) == table.capacity else None
            self._update(state, info, snapshot, rows)
        except BaseException:
            self._cursor, self._stamp = Cursor(), None
            raise

    def _changed_rows(self, table: NodeTable) -> Sequence[int] | None:
        """The rows where what the plugin reads has changed since the last call; None for all."""
        if self._loads:
            return self._cursor.read_all(table.node_changes, table.load_changes)
        rows = self._cursor.read(table.node_changes)
        return None if rows and self._across else rows

    def _update(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Sequence[int] | None
    ) -> None:
        if rows is None:
            self._replace(self._methods.rows(state, info, snapshot, ALL_ROWS))
        elif len(rows) <= FEW_ROWS and self._methods.row is not None:
            for row in rows:
                value = self._methods.row(state, info, snapshot, row)
                if value != self.values.item(row):
                    self.values[row] = value
                    self.changes.record(row)
        elif rows:
            choice = np.array(rows, np.intp)
            values = self._methods.rows(state, info, snapshot, choice)
            changed = values != self.values[choice]
            self.values[choice] = values
            self.changes.record_all(choice[changed].tolist())

    def _replace(self, values: npt.NDArray[Any]) -> None:
        different = values != self.values if len(values) == len(self.values) else None
        self.values = values
        if different is None or np.count_nonzero(different) > FEW_ROWS:
            self.changes.reset()
        else:
            self.changes.record_all(different.nonzero()[0].tolist())
