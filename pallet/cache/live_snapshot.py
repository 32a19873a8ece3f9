"""The snapshot of what there is. Only the cache changes it."""

from collections.abc import Mapping

from pallet.api.labels import Labels
from pallet.api.node import Node
from pallet.cache.counters import PodCounters
from pallet.cache.holders import TermHolders
from pallet.cache.node_table import NodeTable
from pallet.cache.nominator import Nominator
from pallet.cache.pod_info import PodInfo
from pallet.cache.ports_in_use import PortsInUse
from pallet.cache.snapshot import PodsOfRow, Snapshot
from pallet.cache.volumes_in_use import VolumesInUse

_NOBODY: PodsOfRow = {}


class LiveSnapshot(Snapshot):
    """The nodes there are, with the pods that are bound, assumed or reserved there."""

    def __init__(self) -> None:
        super().__init__()
        self.table = NodeTable()
        self.counters: PodCounters = PodCounters(self.table.capacity)
        self.holders: TermHolders = TermHolders(self.counters, self.table.capacity)
        self.volumes = VolumesInUse()
        self.ports = PortsInUse()
        self.nominator = Nominator()
        self._pods: list[PodsOfRow] = [{} for _ in range(self.table.capacity)]

    def pods_of(self, row: int) -> Mapping[str, PodInfo]:
        """The pods placed on a row by UID; not to be changed by the caller."""
        return self._pods[row] if row < len(self._pods) else _NOBODY

    def put_node(self, node: Node) -> None:
        """Add a node, or replace it."""
        for fork in self._forks:
            fork.withstand_nodes()
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
        for fork in self._forks:
            fork.withstand_nodes()
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
        """Record the labels of a namespace."""
        for fork in self._forks:
            fork.withstand_namespaces()
        self.counters.set_namespace(name, labels)
        self.holders.forget_matches()

    def place(self, info: PodInfo, node_name: str) -> None:
        """Count a pod on a node that there is, by name."""
        self._place(info, self.table.row_of[node_name])

    def remove(self, info: PodInfo, row: int) -> None:
        """Take a placed pod back."""
        for fork in self._forks:
            fork.withstand(self._pods[row][info.uid], row, -1)
        placed = self._pods[row].pop(info.uid)
        self._node_infos.pop(row, None)
        self.table.displace(row, placed.requests)
        self.counters.remove(placed.pod, row)
        self.holders.count(placed.terms, row, -1)
        self.volumes.count(placed.volumes, row, -1)
        self.ports.count(placed.ports, row, -1)

    def replace(self, info: PodInfo, row: int) -> None:
        """Put a newer version of a placed pod in its place."""
        placed = self._pods[row][info.uid]
        if not placed.same_footprint(info):
            self.remove(placed, row)
            self._place(info, row)
            return
        for fork in self._forks:
            fork.keep_row(row)
        self._pods[row][info.uid] = info
        self._node_infos.pop(row, None)
        if placed.pod.status.start_time != info.pod.status.start_time:
            self.starts.record(row)

    def _place(self, info: PodInfo, row: int) -> None:
        for fork in self._forks:
            fork.withstand(info, row, 1)
        self._pods[row][info.uid] = info
        self._node_infos.pop(row, None)
        self.table.place(row, info.requests)
        self.counters.add(info.pod, row)
        self.holders.count(info.terms, row, 1)
        self.volumes.count(info.volumes, row, 1)
        self.ports.count(info.ports, row, 1)

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
