"""Whether a volume can be made for a claim: by its class, on which nodes, and where there is room for it."""

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from pallet.api.quantity import whole
from pallet.api.requests import LARGEST_AMOUNT
from pallet.api.selectors import LabelSelector, NodeSelectorRequirement, NodeSelectorTerm
from pallet.api.storage import (
    CSI_DRIVERS,
    CSI_STORAGE_CAPACITIES,
    STORAGE_CLASSES,
    CSIStorageCapacity,
    PersistentVolumeClaim,
    StorageClass,
)
from pallet.bounded_cache import MIB, BoundedCache
from pallet.cache.changes import ChangeLog
from pallet.cache.columns import Mask
from pallet.cache.cursor import Cursor
from pallet.cache.node_table import NodeTable
from pallet.cache.resource_columns import Amounts
from pallet.framework.interface import ALL_ROWS, RowChoice
from pallet.informers.factory import InformerFactory
from pallet.informers.informer import Handler, SharedInformer
from pallet.plugins.node_selection import match_any, match_label
from pallet.plugins.volumes.claims import STORAGE, class_of

NO_PROVISIONER = "kubernetes.io/no-provisioner"

_COLUMNS_BYTES = 2 * MIB

_NEVER: tuple[Cursor, Amounts] = Cursor(), np.zeros(0, np.int64)


class Provisioning:
    """What classes, drivers and storage capacities say."""

    def __init__(self, informers: InformerFactory) -> None:
        self._classes = informers.informer(STORAGE_CLASSES).store
        self._drivers = informers.informer(CSI_DRIVERS).store
        self._capacities = _Capacities(informers)
        self.changes: ChangeLog[str] = ChangeLog()
        """Reset whenever anything changes: it can concern all nodes."""
        for resource in (STORAGE_CLASSES, CSI_DRIVERS, CSI_STORAGE_CAPACITIES):
            informer: SharedInformer[Any] = informers.informer(resource)
            informer.add_handler(Handler(self._changed, self._changed, self._changed))

    def is_possible_everywhere(self, claim: PersistentVolumeClaim) -> bool:
        """Whether no node is refused on its account."""
        made_by = self._class(claim)
        return (
            made_by is not None
            and _provisions(made_by)
            and not made_by.allowed_topologies
            and self._limited(claim, made_by) is None
        )

    def obstacles(
        self, claim: PersistentVolumeClaim, table: NodeTable, rows: RowChoice
    ) -> tuple[Mask | np.bool_, Mask | np.bool_]:
        """The rows for which the class makes no volume, and those with too little capacity for it."""
        made_by = self._class(claim)
        if made_by is None or not _provisions(made_by):
            return np.True_, np.False_
        forbidden = ~_allowed(made_by, table, rows)
        size = self._limited(claim, made_by)
        if size is None:
            return forbidden, np.False_
        return forbidden, self._capacities.sufficient(made_by.metadata.name, size, table)[rows] < 0

    def is_limited(self, claim: PersistentVolumeClaim) -> bool:
        """Whether account is kept of the capacity from which its volume is made."""
        made_by = self._class(claim)
        return made_by is not None and self._limited(claim, made_by) is not None

    def capacities(self, claim: PersistentVolumeClaim, table: NodeTable) -> Amounts | None:
        """The capacity from which its volume is made, by row: bytes, (capacity,), 0 where it is too little.

        None where no account is kept of it.
        """
        made_by = self._class(claim)
        size = None if made_by is None else self._limited(claim, made_by)
        if made_by is None or size is None:
            return None
        return np.maximum(self._capacities.sufficient(made_by.metadata.name, size, table), 0)

    def _changed(self, *_: object) -> None:
        self.changes.reset()

    def _class(self, claim: PersistentVolumeClaim) -> StorageClass | None:
        return self._classes.get(class_of(claim))

    def _limited(self, claim: PersistentVolumeClaim, made_by: StorageClass) -> int | None:
        """The bytes for which there must be capacity; None where nobody keeps account of it."""
        size = claim.spec.resources.requests.get(STORAGE)
        driver = self._drivers.get(made_by.provisioner)
        return None if size is None or driver is None or not driver.spec.storage_capacity else whole(size)


def limit(capacity: CSIStorageCapacity) -> int | None:
    """The size of the largest volume that can be made, in bytes; None when it is not known."""
    known = capacity.maximum_volume_size if capacity.maximum_volume_size is not None else capacity.capacity
    return None if known is None else whole(known)


class _Capacities:
    """The capacities that nodes reach, by class and size; remembered until capacities or nodes change."""

    def __init__(self, informers: InformerFactory) -> None:
        informer = informers.informer(CSI_STORAGE_CAPACITIES)
        self._by_class: dict[str, dict[str, CSIStorageCapacity]] = {}
        self._columns: WeakKeyDictionary[
            ChangeLog[int], BoundedCache[tuple[str, int], tuple[Cursor, Amounts]]
        ] = WeakKeyDictionary()
        informer.add_handler(Handler(self._put, lambda _, new: self._put(new), self._drop))

    def sufficient(self, storage_class: str, size: int, table: NodeTable) -> Amounts:
        """The largest capacity that is enough for a size, by row: bytes, (capacity,); -1 where none is.

        kube-scheduler takes any of them.
        """
        columns = self._columns.get(table.node_changes)
        if columns is None:
            columns = self._columns[table.node_changes] = BoundedCache("volume_capacities", _COLUMNS_BYTES)
        seen, column = columns.get((storage_class, size)) or _NEVER
        if seen.is_behind(table.node_changes):
            column = self._compute(storage_class, size, table)
            columns[storage_class, size] = Cursor(table.node_changes), column
        return column

    def _compute(self, storage_class: str, size: int, table: NodeTable) -> Amounts:
        """Go through all capacities, those that select by a single label taken together."""
        amounts = np.full(table.capacity, -1, np.int64)
        by_label: dict[str, dict[str, int]] = {}
        for capacity in self._by_class.get(storage_class, {}).values():
            most = limit(capacity)
            if most is None or most < size or capacity.node_topology is None:
                continue
            amount = min(whole(capacity.capacity or "0"), LARGEST_AMOUNT)
            requirements = list(_requirements(capacity.node_topology))
            if len(requirements) == 1 and requirements[0].operator == "In":
                by_value = by_label.setdefault(requirements[0].key, {})
                for value in requirements[0].values:
                    by_value[value] = max(amount, by_value.get(value, 0))
            else:
                selected = np.ones_like(table.live)
                for each in requirements:
                    selected &= match_label(each, table.labels[each.key], ALL_ROWS)
                np.maximum(amounts, amount, out=amounts, where=selected)
        for key, by_value in by_label.items():
            column = table.labels[key]
            by_code = np.full(len(column.values), -1, np.int64)
            for value, amount in by_value.items():
                code = column.code_of.get(value)
                if code is not None:
                    by_code[code] = amount
            np.maximum(amounts, by_code[column.codes], out=amounts)
        return amounts

    def _put(self, capacity: CSIStorageCapacity) -> None:
        """A capacity's class cannot be changed, so this replaces what was known of it."""
        self._by_class.setdefault(capacity.storage_class_name, {})[_key(capacity)] = capacity
        self._forget()

    def _drop(self, capacity: CSIStorageCapacity) -> None:
        self._by_class[capacity.storage_class_name].pop(_key(capacity), None)
        self._forget()

    def _forget(self) -> None:
        self._columns.clear()


def _key(capacity: CSIStorageCapacity) -> str:
    return f"{capacity.metadata.namespace}/{capacity.metadata.name}"


def _provisions(made_by: StorageClass) -> bool:
    return made_by.provisioner not in ("", NO_PROVISIONER)


def _allowed(made_by: StorageClass, table: NodeTable, rows: RowChoice) -> Mask | np.bool_:
    """The rows that the class allows; one without topologies allows all, an empty topology none."""
    if not made_by.allowed_topologies:
        return np.True_
    terms = (
        NodeSelectorTerm(
            tuple(
                NodeSelectorRequirement(each.key, "In", each.values)
                for each in topology.match_label_expressions
            )
        )
        for topology in made_by.allowed_topologies
    )
    return match_any(tuple(terms), table, rows)


def _requirements(selector: LabelSelector) -> Iterator[NodeSelectorRequirement]:
    for key, value in selector.match_labels.items():
        yield NodeSelectorRequirement(key, "In", (value,))
    for each in selector.match_expressions:
        yield NodeSelectorRequirement(each.key, each.operator, each.values)
