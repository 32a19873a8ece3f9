"""Two plugins as their authors write them first: they look at one node at a time, and declare nothing."""

from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import NodeInfo
from pallet.framework.handle import Handle
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status, unschedulable

MOST_PODS = 100

FILTERS, SCORES = f"{__name__}:FewPods", f"{__name__}:Emptiest"


class FewPods:
    """Refuses nodes with many pods."""

    name = FILTERS

    def __init__(self, _: object, __: Handle) -> None:
        """Take no arguments."""

    def filter(self, _: CycleState, __: PodInfo, node: NodeInfo) -> Status:
        """Count the pods of a node."""
        return SUCCESS if len(node.pods) < MOST_PODS else unschedulable("node(s) had many pods")


class Emptiest:
    """Prefers nodes with few pods."""

    name = SCORES

    def __init__(self, _: object, __: Handle) -> None:
        """Take no arguments."""

    def score(self, _: CycleState, __: PodInfo, node: NodeInfo) -> int:
        """Count the pods of a node."""
        return max(0, MOST_PODS - len(node.pods))
