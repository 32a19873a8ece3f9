"""The nodes as columns: one row a node, one numpy array a property, changed in place as events arrive.

A row is a node that there is, and the rows in use are the first ones: when a node goes, the last one moves
to its row. So the capacity follows the number of nodes, up and down. Every vector over nodes has it as its
length.
"""

from collections.abc import Collection, Iterable, Mapping
from copy import copy

import numpy as np

from pallet.api.labels import NO_LABELS
from pallet.api.node import Node
from pallet.api.requests import Requests
from pallet.cache.changes import ChangeLog
from pallet.cache.columns import LabelColumns, Mask, TaintColumns, resized
from pallet.cache.pod_info import HostPort
from pallet.cache.resource_columns import Amounts, ResourceColumns

_FIRST_CAPACITY = 64


class NodeTable:
    """Columns over all nodes.

    live, unschedulable: bool, (capacity,); a live row is one in use

    `node_changes` logs the rows whose node changed, `load_changes` those whose pods did.
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
        self.ports: dict[tuple[str, int], dict[int, tuple[str, ...]]] = {}
        self.node_changes = ChangeLog()
        self.load_changes = ChangeLog()

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

    def place(self, row: int, requests: Requests, ports: Iterable[HostPort]) -> None:
        """Add what one pod requests to a row."""
        self.resources.add(row, requests, 1)
        for port in ports:
            held = self.ports.setdefault((port.protocol, port.port), {})
            held[row] = (*held.get(row, ()), port.ip)
        self.load_changes.record(row)

    def displace(self, row: int, requests: Requests, ports: Iterable[HostPort]) -> None:
        """Take what one pod requests from a row."""
        self.resources.add(row, requests, -1)
        for port in ports:
            held = self.ports[port.protocol, port.port]
            left = list(held.pop(row))
            left.remove(port.ip)
            if left:
                held[row] = tuple(left)
            elif not held:
                del self.ports[port.protocol, port.port]
        self.load_changes.record(row)

    def supposing(self, requested: Mapping[str, Amounts]) -> "NodeTable":
        """This table with other amounts requested of some resources; to be read until something changes."""
        twin = copy(self)
        twin.resources = self.resources.supposing(requested)
        return twin

    def copy(self) -> "NodeTable":
        """A table that can be changed without changing this one: the ground of a hypothesis."""
        twin = NodeTable()
        twin.nodes, twin.row_of = list(self.nodes), dict(self.row_of)
        twin.live, twin.unschedulable = self.live.copy(), self.unschedulable.copy()
        twin.resources = self.resources.copy()
        twin.labels, twin.taints = self.labels.copy(), self.taints.copy()
        twin.images = {image: dict(rows) for image, rows in self.images.items()}
        twin.ports = {port: dict(rows) for port, rows in self.ports.items()}
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
