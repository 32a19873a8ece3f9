"""NodeUnschedulable: nothing new on a cordoned node, unless the pod tolerates its taint."""

from collections.abc import Hashable
from typing import Any

import numpy as np

from pallet.api.node import Node, Taint
from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.handle import Handle
from pallet.framework.interface import Codes, Reads, RowChoice
from pallet.framework.state import CycleState
from pallet.framework.status import Status, unresolvable
from pallet.plugins import names
from pallet.plugins.tolerations import NO_SCHEDULE, tolerated

CORDONED = Taint(key="node.kubernetes.io/unschedulable", effect=NO_SCHEDULE)


class NodeUnschedulable:
    """Refuses cordoned nodes."""

    name = names.NODE_UNSCHEDULABLE
    filter_reads = Reads.NODE

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take nothing."""

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """All pods are alike, but for those that tolerate the taint of cordoned nodes."""
        return None if tolerated(info.pod.spec.tolerations, CORDONED) else self.name

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Code 1 for a cordoned node."""
        return snapshot.table.unschedulable[rows].astype(np.uint32)

    def filter_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """The same for a single row."""
        return int(snapshot.table.unschedulable.item(row))

    def explain(self, info: PodInfo, code: int) -> Status:
        """The only reason."""
        return unresolvable("node(s) were unschedulable")

    def events_to_register(self) -> list[EventInterest]:
        """A node that is schedulable and was not, or was not there; a new toleration of the pod."""
        node = ClusterEvent(EventResource.NODE, Action.ADD | Action.UPDATE_NODE_TAINT)
        pod = ClusterEvent(EventResource.TARGET_POD, Action.UPDATE_POD_TOLERATIONS)
        return [EventInterest(node, _opened), EventInterest(pod, _became_tolerant)]


def _opened(_: PodInfo, old: Node | None, new: Node) -> Hint:
    was_closed = old is None or old.spec.unschedulable
    return Hint.QUEUE if was_closed and not new.spec.unschedulable else Hint.SKIP


def _became_tolerant(info: PodInfo, _: Pod | None, new: Pod) -> Hint:
    itself = new.metadata.uid == info.uid
    return Hint.QUEUE if itself and tolerated(new.spec.tolerations, CORDONED) else Hint.SKIP
