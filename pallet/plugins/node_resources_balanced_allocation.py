"""NodeResourcesBalancedAllocation: rather where the pod evens out how far the resources are used."""

from collections.abc import Hashable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from pallet.api.requests import CPU, MEMORY
from pallet.cache.node_table import Amounts
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.handle import Handle
from pallet.framework.interface import MAX_SCORE, Reads, RowChoice, Scores
from pallet.framework.state import CycleState
from pallet.plugins import names
from pallet.plugins.resource_shares import ResourceSpec, shares_of


class BalancedAllocationArgs(msgspec.Struct, frozen=True, rename="camel"):
    """The resources to be kept in balance."""

    resources: tuple[ResourceSpec, ...] = (ResourceSpec(CPU), ResourceSpec(MEMORY))


class NodeResourcesBalancedAllocation:
    """Ranks nodes by the difference that the pod makes to their balance (kube-scheduler since 1.35)."""

    name = names.NODE_RESOURCES_BALANCED_ALLOCATION
    reads = Reads.LOAD
    args_type = BalancedAllocationArgs

    def __init__(self, args: BalancedAllocationArgs, handle: Handle) -> None:
        """Take the resources."""
        self._resources = args.resources

    def score_signature(self, info: PodInfo) -> Hashable | None:
        """The requests of the balanced resources; nothing to say about a pod that asks for none of them."""
        names_ = {spec.name for spec in self._resources}
        return tuple(item for item in info.requests.amounts if item[0] in names_) or None

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """75 where nothing changes, towards 100 where the balance gets better, towards 50 where worse."""
        shares = [share for _, share in shares_of(self._resources, info, snapshot.table, rows, minimum=False)]
        allocatable = [share.allocatable for share in shares]
        after = balance([share.requested for share in shares], allocatable)
        before = balance([share.before for share in shares], allocatable)
        half = MAX_SCORE // 2
        return half + (half + after - before) // 2


def balance(requested: Sequence[Amounts], allocatable: Sequence[Amounts]) -> Scores:
    """100 when all resources of a node are used to the same part, less the more these parts differ.

    Resources that a node does not offer are left out of it.
    """
    offered = np.stack(allocatable) > 0
    parts = np.minimum(np.stack(requested) / np.maximum(np.stack(allocatable), 1), 1.0) * offered
    return ((1 - _deviation(parts, offered)) * MAX_SCORE).astype(np.int64)


def _deviation(parts: npt.NDArray[np.float64], offered: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The standard deviation over the offered resources of each node: float64, (rows,)."""
    if len(parts) == 2:
        halves: npt.NDArray[np.float64] = np.abs(parts[0] - parts[1]) / 2
        return halves * offered.all(axis=0)
    count = np.maximum(offered.sum(axis=0), 1)
    mean = parts.sum(axis=0) / count
    spread = ((parts - mean) ** 2 * offered).sum(axis=0)
    deviation: npt.NDArray[np.float64] = np.sqrt(spread / count)
    return deviation
