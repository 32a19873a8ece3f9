"""NodePorts: a host port is taken once per address and protocol."""

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.cache.pod_info import ANY_ADDRESS, HostPort, PodInfo, host_ports
from pallet.cache.snapshot import Snapshot
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.handle import Handle
from pallet.framework.interface import Codes, Reads, RowChoice
from pallet.framework.state import CycleState
from pallet.framework.status import Status, unschedulable
from pallet.plugins import names


class NodePorts:
    """Refuses nodes where a port that the pod needs is taken."""

    name = names.NODE_PORTS
    filter_reads = Reads.LOAD

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take nothing."""

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """The ports; nothing to say about a pod without any."""
        return info.ports or None

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Code 1 where a port is taken."""
        codes = np.zeros(snapshot.table.capacity, np.uint32)
        for port in info.ports:
            codes[list(snapshot.ports.rows(port))] = 1
        return codes[rows]

    def filter_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """The code of one row."""
        return int(any(snapshot.ports.is_taken(port, row) for port in info.ports))

    def filter_beside(self, info: PodInfo, others: Iterable[PodInfo]) -> int:
        """Code 1 where another pod has a port that the pod needs."""
        return int(
            any(_collide(wanted, held) for other in others for held in other.ports for wanted in info.ports)
        )

    def explain(self, info: PodInfo, code: int) -> Status:
        """The only reason."""
        return unschedulable("node(s) didn't have free ports for the requested pod ports")

    def events_to_register(self) -> list[EventInterest]:
        """A pod that frees one of the ports, or a new node."""
        return [
            EventInterest(ClusterEvent(EventResource.ASSIGNED_POD, Action.DELETE), _frees_a_port),
            EventInterest(ClusterEvent(EventResource.NODE, Action.ADD), _new_node),
        ]


def _clash(mine: str, other: str) -> bool:
    return mine == other or ANY_ADDRESS in (mine, other)


def _collide(mine: HostPort, other: HostPort) -> bool:
    return (mine.protocol, mine.port) == (other.protocol, other.port) and _clash(mine.ip, other.ip)


def _frees_a_port(info: PodInfo, old: Pod, _: Pod | None) -> Hint:
    freed = host_ports(old)
    frees = any(_collide(wanted, held) for wanted in info.ports for held in freed)
    return Hint.QUEUE if frees else Hint.SKIP


def _new_node(_: PodInfo, __: Node | None, ___: Node) -> Hint:
    return Hint.QUEUE
