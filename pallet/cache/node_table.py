"""The nodes as columns: one row a node, one numpy array a property, changed in place as events arrive.

A row is a node that there is, and the rows in use are the first ones: when a node goes, the last one moves
to its row. So the capacity follows the number of nodes, up and down. Every vector over nodes has it as its
length.
"""

from collections.abc import Collection, Mapping
from copy import copy

import numpy as np

from pallet.api.labels import NO_LABELS
from pallet.api.node import Node
from pallet.api.requests import Requests
from pallet.cache.changes import ChangeLog
from pallet.cache.columns import LabelColumns, Mask, TaintColumns, resized
from pallet.cache.resource_columns import Amounts, ResourceColumns

_FIRST_CAPACITY = 64


class NodeTable:
    """Columns over all nodes.

    live, unschedulable: bool, (capacity,); a live row is one in use

    `node_changes` logs the rows whose node changed, all of them where the capacity did; `load_changes` those
    whose pods did. Tables with the same log of nodes have the same nodes: what is derived from nodes alone
    may be kept by that log.
    """

    def __init__(self) -> None:
        self.nodes: list[Node | None] = [None] * _FIRST_CAPACITY
        self.row_of: dict[str, int] = {}
        self.resources = ResourceColumns(_FIRST_CAPACITY)
        self.live: Mask = np.zeros(_FIRST_CAPACITY, np.bool_)
        self.unschedulable: Mask = np.zeros(_FIRST_CAPACITY, np.bool_)
        self.labels = LabelColumns(_FIRST_CAPACITY)
        self.taints = TaintColumns(_FIRST_CAPACITY)
        self.images: dict[str, dict[int, int]] = {}
        self.node_changes: ChangeLog[int] = ChangeLog()
        self.load_changes: ChangeLog[int] = ChangeLog()

    @property
    def capacity(self) -> int:
        """The number of rows, used or free: the length of every vector over nodes."""
        return len(self.nodes)

    @property
    def node_count(self) -> int:
        """The number of nodes: of the rows in use, which are the first ones."""
        return len(self.row_of)

    def name(self, row: int) -> str:
        """The name of the node on a row; empty where there is none."""
        node = self.nodes[row]
        return "" if node is None else node.metadata.name

    def put(self, node: Node, placed: Collection[Requests] = ()) -> None:
        """Add a node, or replace it by a newer one of its name; `placed` are the requests of its pods."""
        row = self.row_of.get(node.metadata.name)
        if row is None:
            row = self.node_count
            if row == self.capacity:
                self._resize(row + max(row // 2, _FIRST_CAPACITY))
            self.row_of[node.metadata.name] = row
        old = self.nodes[row]
        if old is not None and _same_to_placement(old, node):
            self.nodes[row] = node
            return
        self._write(row, old, node, placed)

    def drop(self, name: str) -> None:
        """Take a node out. The last node moves to its row; no pods must be placed on either."""
        row = self.row_of.pop(name)
        last = self.node_count
        moved = self.nodes[last]
        if moved is not None and last != row:
            self._write(row, self.nodes[row], moved)
            self.row_of[moved.metadata.name] = row
        self._write(last, moved, None)
        if self.capacity > _FIRST_CAPACITY and self.node_count < self.capacity // 4:
            self._resize(max(self.capacity // 2, _FIRST_CAPACITY))

    def place(self, row: int, requests: Requests) -> None:
        """Add what one pod requests to a row."""
        self.resources.add(row, requests, 1)
        self.load_changes.record(row)

    def displace(self, row: int, requests: Requests) -> None:
        """Take what one pod requests from a row."""
        self.resources.add(row, requests, -1)
        self.load_changes.record(row)

    def fork(self) -> "NodeTable":
        """A table with sums of its own: what is known of the nodes is shared, until it is detached."""
        twin = copy(self)
        twin.resources = self.resources.fork()
        twin.load_changes = ChangeLog()
        return twin

    def detach(self) -> None:
        """Take a copy of what is known of the nodes, before the table that it is shared with changes it."""
        self.nodes, self.row_of = list(self.nodes), dict(self.row_of)
        self.live, self.unschedulable = self.live.copy(), self.unschedulable.copy()
        self.labels, self.taints = self.labels.copy(), self.taints.copy()
        self.images = {image: dict(rows) for image, rows in self.images.items()}
        self.resources.detach()
        self.node_changes = ChangeLog()

    def with_requested(self, requested: Mapping[str, Amounts]) -> "NodeTable":
        """This table with other amounts requested of some resources; to be read until something changes."""
        twin = copy(self)
        twin.resources = self.resources.with_requested(requested)
        return twin

    def _write(self, row: int, old: Node | None, new: Node | None, placed: Collection[Requests] = ()) -> None:
        self.nodes[row] = new
        self.live[row] = new is not None
        self.unschedulable[row] = new is not None and new.spec.unschedulable
        self.labels.put(
            row, old.metadata.labels if old else NO_LABELS, new.metadata.labels if new else NO_LABELS
        )
        self.taints.put(row, old.spec.taints if old else (), new.spec.taints if new else ())
        self.resources.put(
            row, old.status.allocatable if old else {}, new.status.allocatable if new else {}, placed
        )
        self._write_images(row, old, new)
        self.node_changes.record(row)

    def _write_images(self, row: int, old: Node | None, new: Node | None) -> None:
        for image in old.status.images if old else ():
            for name in image.names:
                rows = self.images.get(name, {})
                rows.pop(row, None)
                if not rows:
                    self.images.pop(name, None)
        for image in new.status.images if new else ():
            for name in image.names:
                self.images.setdefault(name, {})[row] = image.size_bytes

    def _resize(self, capacity: int) -> None:
        """Have room for so many rows."""
        self.nodes = [*self.nodes[:capacity], *([None] * (capacity - self.capacity))]
        self.live, self.unschedulable = resized(self.live, capacity), resized(self.unschedulable, capacity)
        self.resources.resize(capacity)
        self.labels.resize(capacity)
        self.taints.resize(capacity)
        self.node_changes.reset()


def _same_to_placement(old: Node, new: Node) -> bool:
    """Whether two versions of a node differ in nothing that a decision reads, as heartbeats do not."""
    return (
        old.metadata.labels is new.metadata.labels
        and old.spec == new.spec
        and old.status.allocatable is new.status.allocatable
        and old.status.images == new.status.images
        and old.status.declared_features == new.status.declared_features
        and old.metadata.uid == new.metadata.uid
    )
