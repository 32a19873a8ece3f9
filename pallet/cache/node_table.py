"""The nodes as columns: one row a node, one numpy array a property, changed in place as events arrive.

A row is given to a node when it is first seen and taken back when the node is gone and no pod is left on it.
`live` tells the rows that hold a node. Every vector over nodes has the table's whole capacity as its length.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pallet.api.labels import NO_LABELS
from pallet.api.node import Node
from pallet.api.requests import CPU, EPHEMERAL_STORAGE, MEMORY, PODS, Requests, amount
from pallet.cache.changes import ChangeLog
from pallet.cache.columns import LabelColumns, Mask, TaintColumns, grown
from pallet.cache.pod_info import HostPort

Amounts = npt.NDArray[np.int64]

_FIRST_CAPACITY = 64


class NodeTable:
    """Columns over all nodes.

    allocatable, requested: int64, (resources, capacity), cpu in millicores, all else in whole units
    scored: as `requested`, but cpu and memory with a minimum for containers that ask for none
    live, unschedulable: bool, (capacity,)

    `node_changes` logs the rows whose node changed, `load_changes` those whose pods did.
    """

    def __init__(self) -> None:
        self.nodes: list[Node | None] = [None] * _FIRST_CAPACITY
        self.row_of: dict[str, int] = {}
        self.node_count = 0
        self.resources: dict[str, int] = {
            name: index for index, name in enumerate((CPU, MEMORY, EPHEMERAL_STORAGE, PODS))
        }
        self.live: Mask = np.zeros(_FIRST_CAPACITY, np.bool_)
        self.unschedulable: Mask = np.zeros(_FIRST_CAPACITY, np.bool_)
        self.allocatable: Amounts = np.zeros((4, _FIRST_CAPACITY), np.int64)
        self._set_loads(np.zeros((2, 4, _FIRST_CAPACITY), np.int64))
        self.labels = LabelColumns(_FIRST_CAPACITY)
        self.taints = TaintColumns(_FIRST_CAPACITY)
        self.images: dict[str, dict[int, int]] = {}
        self.ports: dict[tuple[str, int], dict[int, tuple[str, ...]]] = {}
        self.node_changes = ChangeLog()
        self.load_changes = ChangeLog()
        self._names: list[str] = [""] * _FIRST_CAPACITY
        self._free = list(range(_FIRST_CAPACITY - 1, -1, -1))
        self._weights: dict[Requests, Amounts] = {}

    @property
    def capacity(self) -> int:
        """The number of rows, used or free: the length of every vector over nodes."""
        return len(self.nodes)

    def name(self, row: int) -> str:
        """The node name that a row stands for; the node itself may be unknown yet, or gone."""
        return self._names[row]

    def row(self, name: str) -> int:
        """The row of a node name, given out if need be: a pod can be seen before its node."""
        row = self.row_of.get(name)
        if row is None:
            if not self._free:
                self._grow()
            row = self.row_of[name] = self._free.pop()
            self._names[row] = name
        return row

    def put(self, node: Node) -> None:
        """Add a node, or replace it by a newer one of its name."""
        row = self.row(node.metadata.name)
        old = self.nodes[row]
        if old is not None and _same_to_placement(old, node):
            self.nodes[row] = node
            return
        self._write(row, old, node)

    def drop(self, name: str) -> None:
        """Take a node out. Its row stays known while pods are on it (see release)."""
        row = self.row_of.get(name)
        if row is not None and self.nodes[row] is not None:
            self._write(row, self.nodes[row], None)

    def release(self, row: int) -> None:
        """Give back a row without node; the caller knows that no pod is left on it."""
        if self.nodes[row] is None and self.row_of.get(self._names[row]) == row:
            del self.row_of[self._names[row]]
            self._names[row] = ""
            self._free.append(row)

    def place(self, row: int, requests: Requests, ports: Iterable[HostPort]) -> None:
        """Add the weight of one pod to a row."""
        weight = self._weight(requests)  # which may put a larger array in place of the loads
        self._loads[:, :, row] += weight
        for port in ports:
            held = self.ports.setdefault((port.protocol, port.port), {})
            held[row] = (*held.get(row, ()), port.ip)
        self.load_changes.record(row)

    def displace(self, row: int, requests: Requests, ports: Iterable[HostPort]) -> None:
        """Take the weight of one pod from a row."""
        weight = self._weight(requests)  # which may put a larger array in place of the loads
        self._loads[:, :, row] -= weight
        for port in ports:
            held = self.ports[port.protocol, port.port]
            left = list(held.pop(row))
            left.remove(port.ip)
            if left:
                held[row] = tuple(left)
        self.load_changes.record(row)

    def weight(self, requests: Requests) -> Amounts:
        """What a pod adds to a row of `requested`: int64, (resources,), not to be changed by the caller."""
        weight: Amounts = self._weight(requests)[0]
        return weight

    def copy(self) -> "NodeTable":
        """A table that can be changed without changing this one: the ground of a hypothesis."""
        twin = NodeTable()
        twin.nodes, twin._names, twin._free = list(self.nodes), list(self._names), list(self._free)
        twin.row_of, twin.resources = dict(self.row_of), dict(self.resources)
        twin.live, twin.unschedulable = self.live.copy(), self.unschedulable.copy()
        twin.node_count = self.node_count
        twin.allocatable = self.allocatable.copy()
        twin._set_loads(self._loads.copy())
        twin.labels, twin.taints = self.labels.copy(), self.taints.copy()
        twin.images = {image: dict(rows) for image, rows in self.images.items()}
        twin.ports = {port: dict(rows) for port, rows in self.ports.items()}
        return twin

    def _write(self, row: int, old: Node | None, new: Node | None) -> None:
        self.nodes[row] = new
        self.live[row] = new is not None
        self.node_count += (new is not None) - (old is not None)
        self.unschedulable[row] = new is not None and new.spec.unschedulable
        self.labels.put(
            row, old.metadata.labels if old else NO_LABELS, new.metadata.labels if new else NO_LABELS
        )
        self.taints.put(row, new.spec.taints if new else ())
        self._write_allocatable(row, new)
        self._write_images(row, old, new)
        self.node_changes.record(row)

    def _write_allocatable(self, row: int, node: Node | None) -> None:
        offered = {
            resource: amount(resource, quantity)
            for resource, quantity in (node.status.allocatable.items() if node else ())
        }
        indexes = [self._resource(resource) for resource in offered]
        self.allocatable[:, row] = 0
        self.allocatable[indexes, row] = list(offered.values())

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

    def _resource(self, name: str) -> int:
        index = self.resources.get(name)
        if index is None:
            index = self.resources[name] = len(self.resources)
            nothing = np.zeros((2, 1, self.capacity), np.int64)
            self.allocatable = np.vstack((self.allocatable, nothing[0]))
            self._set_loads(np.concatenate((self._loads, nothing), axis=1))
            self._weights.clear()
        return index

    def _set_loads(self, loads: Amounts) -> None:
        """Keep what is requested and what is scored in one array, (2, resources, capacity): one to change."""
        self._loads = loads
        self.requested, self.scored = loads

    def _weight(self, requests: Requests) -> Amounts:
        """What a pod adds to a row of `requested`, counting as one of `pods`, and to one of `scored`."""
        found = self._weights.get(requests)
        if found is None:
            indexes = [self._resource(resource) for resource, _ in requests.amounts]
            asked = np.zeros(len(self.resources), np.int64)
            asked[indexes] = [value for _, value in requests.amounts]
            asked[self.resources[PODS]] += 1
            scored = asked.copy()
            scored[self.resources[CPU]] = requests.scored_cpu
            scored[self.resources[MEMORY]] = requests.scored_memory
            if len(self._weights) > 4096:
                self._weights.clear()
            found = self._weights[requests] = np.array((asked, scored))
        return found

    def _grow(self) -> None:
        before = self.capacity
        capacity = before + max(before // 2, _FIRST_CAPACITY)
        added = capacity - before
        self.nodes += [None] * added
        self._names += [""] * added
        self._free += range(capacity - 1, before - 1, -1)
        self.live, self.unschedulable = grown(self.live, capacity), grown(self.unschedulable, capacity)
        self.allocatable = grown(self.allocatable, capacity)
        self._set_loads(grown(self._loads, capacity))
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
