"""Whether a volume can be made for a claim: by its class, on which nodes, and where there is room for it."""

from collections.abc import Iterable, Iterator
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

_MASKS_BYTES = 2 * MIB

_NEVER: tuple[Cursor, Mask] = Cursor(), np.zeros(0, np.bool_)


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
        return forbidden, ~self._capacities.enough(made_by.metadata.name, size, table)[rows]

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
        return self._capacities.sufficient(made_by.metadata.name, size, table)

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
    """The nodes with enough capacity, by class and size; remembered until capacities or nodes change."""

    def __init__(self, informers: InformerFactory) -> None:
        informer = informers.informer(CSI_STORAGE_CAPACITIES)
        self._by_class: dict[str, dict[str, CSIStorageCapacity]] = {}
        self._masks: WeakKeyDictionary[ChangeLog[int], BoundedCache[tuple[str, int], tuple[Cursor, Mask]]]
        self._masks = WeakKeyDictionary()
        informer.add_handler(Handler(self._put, lambda _, new: self._put(new), self._drop))

    def enough(self, storage_class: str, size: int, table: NodeTable) -> Mask:
        """The rows where a volume of a class and size can be made: bool, (capacity,)."""
        masks = self._masks.get(table.node_changes)
        if masks is None:
            masks = self._masks[table.node_changes] = BoundedCache("volume_capacities", _MASKS_BYTES)
        seen, mask = masks.get((storage_class, size)) or _NEVER
        if seen.is_behind(table.node_changes):
            mask = self._compute(storage_class, size, table)
            masks[storage_class, size] = Cursor(table.node_changes), mask
        return mask

    def sufficient(self, storage_class: str, size: int, table: NodeTable) -> Amounts:
        """The largest capacity of those enough for a size, by row: bytes, (capacity,); 0 where none is.

        kube-scheduler takes any of them.
        """
        amounts = np.zeros(table.capacity, np.int64)
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
                np.maximum(amounts, amount, out=amounts, where=_selected(requirements, table))
        for key, by_value in by_label.items():
            column = table.labels[key]
            by_code = np.zeros(len(column.values), np.int64)
            for value, amount in by_value.items():
                code = column.code_of.get(value)
                if code is not None:
                    by_code[code] = amount
            np.maximum(amounts, by_code[column.codes], out=amounts)
        return amounts

    def _compute(self, storage_class: str, size: int, table: NodeTable) -> Mask:
        """The union of what the capacities select, those by a single label taken together."""
        mask = np.zeros_like(table.live)
        by_label: dict[str, set[str]] = {}
        for capacity in self._by_class.get(storage_class, {}).values():
            most = limit(capacity)
            if most is None or most < size or capacity.node_topology is None:
                continue
            requirements = list(_requirements(capacity.node_topology))
            if len(requirements) == 1 and requirements[0].operator == "In":
                by_label.setdefault(requirements[0].key, set()).update(requirements[0].values)
            else:
                mask |= _selected(requirements, table)
        for key, values in by_label.items():
            mask |= match_label(
                NodeSelectorRequirement(key, "In", tuple(values)), table.labels[key], ALL_ROWS
            )
        return mask

    def _put(self, capacity: CSIStorageCapacity) -> None:
        """A capacity's class cannot be changed, so this replaces what was known of it."""
        self._by_class.setdefault(capacity.storage_class_name, {})[_key(capacity)] = capacity
        self._forget()

    def _drop(self, capacity: CSIStorageCapacity) -> None:
        self._by_class[capacity.storage_class_name].pop(_key(capacity), None)
        self._forget()

    def _forget(self) -> None:
        self._masks.clear()


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


def _selected(requirements: Iterable[NodeSelectorRequirement], table: NodeTable) -> Mask:
    mask = np.ones_like(table.live)
    for each in requirements:
        mask &= match_label(each, table.labels[each.key], ALL_ROWS)
    return mask


def _requirements(selector: LabelSelector) -> Iterator[NodeSelectorRequirement]:
    for key, value in selector.match_labels.items():
        yield NodeSelectorRequirement(key, "In", (value,))
    for each in selector.match_expressions:
        yield NodeSelectorRequirement(each.key, each.operator, each.values)
