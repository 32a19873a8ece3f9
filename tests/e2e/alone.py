"""A filter that looks at the pods of a node, and declares that it looks at the node alone."""

from collections.abc import Hashable

from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import NodeInfo
from pallet.framework.handle import Handle
from pallet.framework.interface import Reads
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status, unschedulable


class Alone:
    """Lets a node have one pod."""

    name = "tests.e2e.alone:Alone"
    filter_reads = Reads.NODE

    def __init__(self, _: object, __: Handle) -> None:
        """Take no arguments."""

    def filter_signature(self, _: PodInfo) -> Hashable | None:
        """All pods are alike."""
        return self.name

    def filter(self, _: CycleState, __: PodInfo, node: NodeInfo) -> Status:
        """Success, or another pod."""
        return unschedulable("node(s) had a pod already") if node.pods else SUCCESS
