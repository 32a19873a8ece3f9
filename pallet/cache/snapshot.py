"""The model that a cycle decides on: nodes, placed pods and counters, kept together.

There is one live snapshot, which only the cache changes. A scheduling cycle does not await between its first
look and its assumption, so that it sees one state. What supposes something takes a fork:

    with snapshot.fork() as fork:
        fork.place(info, "node-1")
        …

A fork has what the snapshot had when it was taken, and what was changed on the fork itself. Changes of the
snapshot do not show: it keeps what it is about to change for the forks that are open (copy-on-write by row).
A fork costs a copy of the sums of requests, and what is changed. It must be closed. Forks can be forked.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

from pallet.api.node import Node
from pallet.cache.changes import ChangeLog, Rows
from pallet.cache.forked_counters import ForkedCounters
from pallet.cache.forked_holders import ForkedHolders
from pallet.cache.node_table import NodeTable
from pallet.cache.nominator import Nominator
from pallet.cache.pod_info import PodInfo
from pallet.cache.ports_in_use import PortsInUse
from pallet.cache.resource_columns import NATIVE, Amounts
from pallet.cache.views import Counters, Holders
from pallet.cache.volumes_in_use import VolumesInUse

PodsOfRow = dict[str, PodInfo]
"""The pods of one row by UID."""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One node as a plain plugin sees it.

    Amounts are by resource name, cpu in millicores, of native resources and of what else the node offers.
    """

    row: int
    node: Node
    pods: tuple[PodInfo, ...]
    allocatable: dict[str, int]
    requested: dict[str, int]

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.metadata.name


class Snapshot(ABC):
    """Nodes as columns, the pods placed on them or nominated to them, and counters: to be read.

    `starts` logs the rows of pods whose start is seen: it changes nothing but who is preempted first.
    """

    table: NodeTable
    counters: Counters
    holders: Holders
    volumes: VolumesInUse
    ports: PortsInUse
    nominator: Nominator

    def __init__(self) -> None:
        self._node_infos: dict[int, NodeInfo] = {}
        """Those that were asked for, by row, until their node or its pods change."""
        self._forks: list[Fork] = []
        """Those that are open."""
        self.starts: ChangeLog[int] = ChangeLog()
        self._plugin_states: dict[str, object] = {}

    @abstractmethod
    def pods_of(self, row: int) -> Mapping[str, PodInfo]:
        """The pods placed on a row by UID; not to be changed by the caller."""

    def base(self) -> "tuple[Snapshot, Collection[int]] | None":
        """What this was forked from, and the rows whose pods may be others there.

        None for the live snapshot, and where the nodes of the rows may be others too. With it, what was
        derived from a snapshot is derived again for a fork only on some rows.
        """
        return None

    def fork(self) -> "Fork":
        """A snapshot that can be changed without changing this one, and that does not follow it.

        The caller closes it.
        """
        fork = Fork(self)
        self._forks.append(fork)
        return fork

    def let_go(self, fork: "Fork") -> None:
        """Keep nothing for a fork any more."""
        self._forks.remove(fork)

    def kept_by(self, plugin: str) -> object | None:
        """What a plugin supposes on a fork beside the pods; None where it supposes nothing."""
        return self._plugin_states.get(plugin)

    def pods(self, row: int) -> Iterable[PodInfo]:
        """The pods placed on a row."""
        return self.pods_of(row).values()

    def is_placed(self, uid: str, row: int) -> bool:
        """Whether a pod is placed on a row."""
        return uid in self.pods_of(row)

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

    def with_requested(self, requested: Mapping[str, Amounts]) -> "Snapshot":
        """This snapshot with other amounts requested of some resources, of all rows at once.

        A cheaper form of a fork, for filters that look at sums of requests only: to be read until something
        changes.
        """
        twin = copy(self)
        twin.table = self.table.with_requested(requested)
        twin._node_infos = {}
        return twin

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
        pods = tuple(self.pods(row))
        return NodeInfo(row, node, pods, allocatable, requested)


class _PodChange(NamedTuple):
    """A pod placed on a row (`by` is 1) or removed from there (-1), and the pods of the row before that."""

    info: PodInfo
    row: int
    by: int
    before: PodsOfRow


class _StateChange(NamedTuple):
    """What a plugin had kept before it kept something else."""

    plugin: str
    before: object


class Fork(Snapshot):
    """A snapshot in which something is supposed."""

    def __init__(self, parent: Snapshot) -> None:
        """Use `Snapshot.fork`."""
        super().__init__()
        self._parent = parent
        self.table = parent.table.fork()
        capacity = self.table.capacity
        self.counters: ForkedCounters = ForkedCounters(parent.counters, capacity)
        self.holders: ForkedHolders = ForkedHolders(parent.holders, self.counters, capacity)
        self.volumes = VolumesInUse(parent.volumes)
        self.ports = PortsInUse(parent.ports)
        self.nominator = parent.nominator.fork()
        self._kept: dict[int, PodsOfRow] = {}
        """The pods of the rows that were changed here or on the parent. They are replaced, never changed."""
        self._plugin_states: dict[str, object] = dict(parent._plugin_states)
        self._changes: list[_PodChange | _StateChange] = []
        self._shares_nodes = True

    def __enter__(self) -> "Fork":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Keep nothing of the parent any more. A closed fork must not be read: it has no table."""
        self._parent.let_go(self)
        del self.table

    def pods_of(self, row: int) -> Mapping[str, PodInfo]:
        """The pods placed on a row by UID; not to be changed by the caller."""
        kept = self._kept.get(row)
        return self._parent.pods_of(row) if kept is None else kept

    def base(self) -> tuple[Snapshot, Collection[int]] | None:
        """What this was forked from, and the rows whose pods may be others there (see `Snapshot.base`)."""
        return (self._parent, self._kept) if self._shares_nodes else None

    def place(self, info: PodInfo, node_name: str) -> None:
        """Suppose a pod on a node that there is, by name."""
        row = self.table.row_of[node_name]
        before = self._pods_before(row)
        self._changes.append(_PodChange(info, row, 1, before))
        self._apply(info, row, 1, {**before, info.uid: info})

    def remove(self, info: PodInfo, row: int) -> None:
        """Suppose a placed pod away."""
        before = self._pods_before(row)
        placed = before[info.uid]
        self._changes.append(_PodChange(placed, row, -1, before))
        left = dict(before)
        del left[info.uid]
        self._apply(placed, row, -1, left)

    def remove_from(self, info: PodInfo, node_name: str) -> None:
        """Suppose a placed pod away from a node, by name, if there is such a node."""
        row = self.table.row_of.get(node_name)
        if row is not None:
            self.remove(info, row)

    def keep(self, plugin: str, state: object) -> None:
        """Keep what a plugin supposes beside the pods (see `Snapshot.kept_by`).

        The state must not be changed afterwards, since other forks may have it too.
        """
        self._changes.append(_StateChange(plugin, self._plugin_states.get(plugin)))
        self._plugin_states[plugin] = state

    def checkpoint(self) -> int:
        """A point to which `rollback` can lead back."""
        return len(self._changes)

    def rollback(self, checkpoint: int) -> None:
        """Take everything back that was placed, removed and kept since. It costs what was."""
        before: dict[int, PodsOfRow] = {}
        while len(self._changes) > checkpoint:
            change = self._changes.pop()
            if isinstance(change, _StateChange):
                self._plugin_states[change.plugin] = change.before
            else:
                before[change.row] = change.before
        for row, pods in before.items():
            self._restore(row, pods)

    def _restore(self, row: int, pods: PodsOfRow) -> None:
        """Have the pods on a row that were there before; those that are there again are not touched."""
        now = self._kept[row]
        for uid, info in now.items():
            if pods.get(uid) is not info:
                self._apply(info, row, -1, pods)
        for uid, info in pods.items():
            if now.get(uid) is not info:
                self._apply(info, row, 1, pods)
        self._kept[row] = pods

    def withstand(self, info: PodInfo, row: int, by: int) -> None:
        """Stay as it is although the parent is about to place (`by` is 1) or remove (-1) a pod."""
        self.keep_row(row)
        self.counters.withstand(info.pod, row, by)
        self.holders.withstand(info.terms, row, by)
        self.volumes.count(info.volumes, row, -by)
        self.ports.count(info.ports, row, -by)

    def keep_row(self, row: int) -> None:
        """Keep the pods of a row, before the parent changes any."""
        if row not in self._kept:
            self._kept[row] = dict(self._parent.pods_of(row))

    def withstand_nodes(self) -> None:
        """Keep what is known of the nodes, before the parent changes any."""
        for fork in self._forks:
            fork.withstand_nodes()
        if self._shares_nodes:
            self.table.detach()
            self._shares_nodes = False

    def withstand_namespaces(self) -> None:
        """Keep the labels of the namespaces, before the parent changes any."""
        self.counters.withstand_namespaces()

    def _node_info(self, row: int) -> NodeInfo:
        if row in self._kept or not self._shares_nodes:
            return super()._node_info(row)
        return self._parent.node(row)

    def _pods_before(self, row: int) -> PodsOfRow:
        self.keep_row(row)
        return self._kept[row]

    def _apply(self, info: PodInfo, row: int, by: int, pods: PodsOfRow) -> None:
        for fork in self._forks:
            fork.withstand(info, row, by)
        self._kept[row] = pods
        self._node_infos.pop(row, None)
        if by > 0:
            self.table.place(row, info.requests)
        else:
            self.table.displace(row, info.requests)
        self.counters.change(info.pod, row, by)
        self.holders.change(info.terms, row, by)
        self.volumes.count(info.volumes, row, by)
        self.ports.count(info.ports, row, by)
