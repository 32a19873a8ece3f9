"""The model that a cycle decides on: nodes, placed pods and counters, kept together.

There is one live snapshot, changed only by the cache. Because a scheduling cycle does not await between its
first look and its assumption, the live one is as good as frozen to it. `copy` gives a hypothetical one.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass

from pallet.api.labels import Labels
from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.cache.changes import ChangeLog, Rows
from pallet.cache.counters import PodCounters
from pallet.cache.holders import TermHolders
from pallet.cache.node_table import NodeTable
from pallet.cache.pod_info import PodInfo
from pallet.cache.resource_columns import NATIVE, Amounts
from pallet.cache.volumes_in_use import VolumesInUse


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One node as a plain plugin sees it.

    Amounts are by resource name, cpu in millicores, of native resources and of what else the node offers.
    """

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
        self._node_infos: dict[int, NodeInfo] = {}
        """Those that were asked for, by row, until their node or its pods change."""

    def put_node(self, node: Node) -> None:
        """Add a node, or replace it."""
        row = self.table.row_of.get(node.metadata.name)
        placed = () if row is None else [info.requests for info in self._pods[row].values()]
        self.table.put(node, placed)
        self._node_infos.pop(self.table.row_of[node.metadata.name], None)
        self._resize()

    def drop_node(self, name: str) -> list[PodInfo]:
        """Take a node out, with the pods placed on it. Give these."""
        row, last = self.table.row_of.get(name), self.table.node_count - 1
        if row is None:
            return []
        gone = self._clear(row)
        moved = self._clear(last)  # nothing, if it is the row itself
        self.table.drop(name)
        self._node_infos.pop(row, None)
        self._node_infos.pop(last, None)
        for info in moved:
            self._place(info, row)
        self._resize()
        return gone

    def set_namespace(self, name: str, labels: Labels) -> None:
        """Take note of a namespace's labels."""
        self.counters.set_namespace(name, labels)
        self.holders.forget_matches()

    def place(self, info: PodInfo, node_name: str) -> None:
        """Count a pod on a node that there is, by name."""
        self._place(info, self.table.row_of[node_name])

    def remove(self, info: PodInfo, row: int) -> None:
        """Take a placed pod back."""
        placed = self._pods[row].pop(info.uid)
        self._node_infos.pop(row, None)
        self.table.displace(row, placed.requests, placed.ports)
        self.counters.remove(placed.pod, row)
        self.holders.remove(placed.terms, row)
        self.volumes.remove(placed.volumes, row)

    def replace(self, info: PodInfo, row: int) -> None:
        """Put a newer version of a placed pod in its place."""
        placed = self._pods[row][info.uid]
        if not placed.same_footprint(info):
            self.remove(placed, row)
            self._place(info, row)
            return
        self._pods[row][info.uid] = info
        self._node_infos.pop(row, None)
        if placed.pod.status.start_time != info.pod.status.start_time:
            self.starts.record(row)

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
        """One node, for a plugin that looks at nodes one by one. Raises `LookupError` for a row without."""
        found = self._node_infos.get(row)
        if found is None:
            found = self._node_infos[row] = self._node_info(row)
        return found

    def node_infos(self, rows: Rows) -> list[NodeInfo]:
        """The nodes of rows that hold one."""
        known = self._node_infos
        return [known.get(row) or self.node(row) for row in rows.tolist()]

    def _node_info(self, row: int) -> NodeInfo:
        node = self.table.nodes[row]
        if node is None:
            raise LookupError(f"row {row} holds no node")
        columns = self.table.resources
        allocatable, requested = {}, {}
        for name in NATIVE:
            allocatable[name], requested[name] = columns[name].at(row)
        for name in node.status.allocatable:
            if name not in allocatable and name in columns:
                offered, taken = columns[name].at(row)
                if offered:
                    allocatable[name], requested[name] = offered, taken
        pods = tuple([info.pod for info in self._pods[row].values()])
        return NodeInfo(row, node, pods, allocatable, requested)

    def copy(self) -> "Snapshot":
        """A snapshot that can be changed without changing this one."""
        twin = Snapshot.__new__(Snapshot)
        twin.table = self.table.copy()
        twin.counters = self.counters.copy()
        twin.holders = self.holders.copy()
        twin.volumes = self.volumes.copy()
        twin.starts = ChangeLog()
        twin._pods = [dict(placed) for placed in self._pods]
        twin._node_infos = self._node_infos.copy()
        return twin

    def supposing(self, requested: Mapping[str, Amounts]) -> "Snapshot":
        """This snapshot with other amounts requested of some resources.

        To be read until something changes.
        """
        twin = copy(self)
        twin.table = self.table.supposing(requested)
        twin._node_infos = {}
        return twin

    def _place(self, info: PodInfo, row: int) -> None:
        self._pods[row][info.uid] = info
        self._node_infos.pop(row, None)
        self.table.place(row, info.requests, info.ports)
        self.counters.add(info.pod, row)
        self.holders.add(info.terms, row)
        self.volumes.add(info.volumes, row)

    def _clear(self, row: int) -> list[PodInfo]:
        """Take all pods of a row back. Give them."""
        placed = list(self._pods[row].values())
        for info in placed:
            self.remove(info, row)
        return placed

    def _resize(self) -> None:
        capacity = self.table.capacity
        if len(self._pods) != capacity:
            self._pods = [*self._pods[:capacity], *({} for _ in range(capacity - len(self._pods)))]
            self.counters.resize(capacity)
            self.holders.resize(capacity)
