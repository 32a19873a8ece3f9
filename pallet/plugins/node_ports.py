"""NodePorts: a host port is taken once per address and protocol."""

from collections.abc import Hashable
from typing import Any

import numpy as np

from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.cache.pod_info import HostPort, PodInfo, host_ports
from pallet.cache.snapshot import Snapshot
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.handle import Handle
from pallet.framework.interface import Codes, Reads, RowChoice
from pallet.framework.state import CycleState
from pallet.framework.status import Status, unschedulable
from pallet.plugins import names

ANY_ADDRESS = "0.0.0.0"  # noqa: S104  # a wildcard in the API, nothing is bound to it


class NodePorts:
    """Refuses nodes where a port that the pod needs is taken."""

    name = names.NODE_PORTS
    reads = Reads.LOAD

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take nothing."""

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """The ports; nothing to say about a pod without any."""
        return info.ports or None

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Code 1 where a port is taken."""
        codes = np.zeros(snapshot.table.capacity, np.uint32)
        for port in info.ports:
            for row, addresses in snapshot.table.ports.get((port.protocol, port.port), {}).items():
                if any(_clash(port.ip, address) for address in addresses):
                    codes[row] = 1
        return codes[rows]

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


def _frees_a_port(pod: Pod, old: Pod, _: Pod | None) -> Hint:
    def frees(wanted: HostPort, held: HostPort) -> bool:
        same = (wanted.protocol, wanted.port) == (held.protocol, held.port)
        return same and _clash(wanted.ip, held.ip)

    freed = host_ports(old)
    return (
        Hint.QUEUE if any(frees(wanted, held) for wanted in host_ports(pod) for held in freed) else Hint.SKIP
    )


def _new_node(_: Pod, __: Node | None, ___: Node) -> Hint:
    return Hint.QUEUE
