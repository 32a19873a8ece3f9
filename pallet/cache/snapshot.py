"""The model that a cycle decides on: nodes, placed pods and counters, kept together.

There is one live snapshot, changed only by the cache. Because a scheduling cycle does not await between its
first look and its assumption, the live one is as good as frozen to it. `copy` gives a hypothetical one.
"""

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass

from pallet.api.labels import Labels
from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.cache.changes import ChangeLog
from pallet.cache.counters import PodCounters, TermHolders
from pallet.cache.node_table import Amounts, NodeTable
from pallet.cache.pod_info import PodInfo
from pallet.cache.volumes_in_use import VolumesInUse


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One node as a plain plugin sees it: amounts by resource name, cpu in millicores."""

    row: int
    node: Node
    pods: tuple[Pod, ...]
    allocatable: dict[str, int]
    requested: dict[str, int]

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.metadata.name


class Snapshot:
    """Nodes as columns, the pods placed on them, and counters over those pods.

    `starts` logs the rows of pods whose start is seen: it changes nothing but who is preempted first.
    """

    def __init__(self) -> None:
        self.table = NodeTable()
        self.counters = PodCounters(self.table.capacity)
        self.holders = TermHolders(self.table.capacity)
        self.volumes = VolumesInUse()
        self.starts = ChangeLog()
        self._pods: list[dict[str, PodInfo]] = [{} for _ in range(self.table.capacity)]

    def put_node(self, node: Node) -> None:
        """Add a node, or replace it."""
        self.table.put(node)
        self._resize()

    def drop_node(self, name: str) -> None:
        """Take a node out; pods on it stay until they are removed, for it may come back."""
        row = self.table.row_of.get(name)
        if row is not None:
            self.table.drop(name)
            self._release_if_empty(row)

    def set_namespace(self, name: str, labels: Labels) -> None:
        """Take note of a namespace's labels."""
        self.counters.set_namespace(name, labels)
        self.holders.forget_matches()

    def place(self, info: PodInfo, node_name: str) -> int:
        """Count a pod on a node, by name, and tell the row. The node may not be known yet."""
        row = self.table.row(node_name)
        self._resize()
        self._pods[row][info.uid] = info
        self.table.place(row, info.requests, info.ports)
        self.counters.add(info.pod, row)
        self.holders.add(info.terms, row)
        self.volumes.add(info.volumes, row)
        return row

    def remove(self, info: PodInfo, row: int) -> None:
        """Take a placed pod back."""
        placed = self._pods[row].pop(info.uid)
        self.table.displace(row, placed.requests, placed.ports)
        self.counters.remove(placed.pod, row)
        self.holders.remove(placed.terms, row)
        self.volumes.remove(placed.volumes, row)
        self._release_if_empty(row)

    def replace(self, info: PodInfo, row: int) -> int:
        """Put a newer version of a placed pod in its place; tell the row, which may be another."""
        placed = self._pods[row][info.uid]
        if placed.same_footprint(info):
            self._pods[row][info.uid] = info
            if placed.pod.status.start_time != info.pod.status.start_time:
                self.starts.record(row)
            return row
        name = self.table.name(row)
        self.remove(placed, row)
        return self.place(info, name)

    def pods(self, row: int) -> Iterable[PodInfo]:
        """The pods placed on a row."""
        return self._pods[row].values()

    def is_placed(self, uid: str, row: int) -> bool:
        """Whether a pod is placed on a row."""
        return uid in self._pods[row]

    def rows(self) -> Iterator[int]:
        """The rows that hold a node."""
        return iter(self.table.live.nonzero()[0].tolist())

    def node(self, row: int) -> NodeInfo:
        """One node, for a plugin that looks at nodes one by one."""
        node = self.table.nodes[row]
        if node is None:
            raise LookupError(f"row {row} holds no node")
        return NodeInfo(
            row,
            node,
            tuple(info.pod for info in self._pods[row].values()),
            {name: int(self.table.allocatable[index, row]) for name, index in self.table.resources.items()},
            {name: int(self.table.requested[index, row]) for name, index in self.table.resources.items()},
        )

    def copy(self) -> "Snapshot":
        """A snapshot that can be changed without changing this one."""
        twin = Snapshot.__new__(Snapshot)
        twin.table = self.table.copy()
        twin.counters = self.counters.copy()
        twin.holders = self.holders.copy()
        twin.volumes = self.volumes.copy()
        twin.starts = ChangeLog()
        twin._pods = [dict(placed) for placed in self._pods]
        return twin

    def supposing(self, requested: Amounts) -> "Snapshot":
        """This snapshot with other amounts requested on its nodes; to be read until something changes."""
        twin = copy(self)
        twin.table = copy(self.table)
        twin.table.requested = requested
        return twin

    def _resize(self) -> None:
        capacity = self.table.capacity
        if len(self._pods) < capacity:
            self._pods += [{} for _ in range(capacity - len(self._pods))]
            self.counters.resize(capacity)
            self.holders.resize(capacity)

    def _release_if_empty(self, row: int) -> None:
        if not self._pods[row]:
            self.table.release(row)
