"""A filter on an annotation of pods, which it declares, and the same filter where it does not."""

from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import NodeInfo
from pallet.framework.handle import Handle
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status, unresolvable


class Undeclared:
    """Sends pods to the rack of their annotation."""

    name = "tests.e2e.racks:Undeclared"

    def __init__(self, _: object, __: Handle) -> None:
        """Take no arguments."""

    def filter(self, _: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        """Success, or another rack."""
        rack = info.pod.metadata.annotations.get("example.com/rack")
        if rack in (None, node.node.metadata.labels.get("rack")):
            return SUCCESS
        return unresolvable("node(s) were in another rack")


class Declared(Undeclared):
    """The same with the line that the error asks for."""

    name = "tests.e2e.racks:Declared"
    pod_metadata = frozenset({"annotations"})
