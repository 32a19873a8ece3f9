"""NodeName: a pod that names its node goes nowhere else."""

from collections.abc import Hashable
from typing import Any

import numpy as np

from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource
from pallet.framework.handle import Handle
from pallet.framework.interface import Codes, Reads, RowChoice
from pallet.framework.state import CycleState
from pallet.framework.status import Status, unresolvable
from pallet.plugins import names


class NodeName:
    """Refuses every node but the named one."""

    name = names.NODE_NAME
    filter_reads = Reads.NODE

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take nothing."""

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """The named node; nothing to say about a pod that names none."""
        return info.pod.spec.node_name or None

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Code 1 for every other node."""
        table = snapshot.table
        named = table.row_of.get(info.pod.spec.node_name, -1)
        return np.not_equal(np.arange(table.capacity)[rows], named).astype(np.uint32)

    def explain(self, info: PodInfo, code: int) -> Status:
        """The only reason."""
        return unresolvable("node(s) didn't match the requested node name")

    def events_to_register(self) -> list[EventInterest]:
        """A node that is new: it may be the one."""
        return [EventInterest(ClusterEvent(EventResource.NODE, Action.ADD))]
