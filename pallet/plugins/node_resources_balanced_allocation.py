"""NodeResourcesBalancedAllocation: rather where the pod evens out how far the resources are used."""

from collections.abc import Hashable

import msgspec
import numpy as np
import numpy.typing as npt

from pallet.api.requests import CPU, MEMORY
from pallet.cache.columns import Mask
from pallet.cache.node_table import Amounts
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.handle import Handle
from pallet.framework.interface import MAX_SCORE, Reads, RowChoice, Scores
from pallet.framework.state import CycleState
from pallet.plugins import names
from pallet.plugins.resource_shares import ResourceSpec, shares_of

Fractions = npt.NDArray[np.float64]


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
        self._names = frozenset(spec.name for spec in args.resources)

    def score_signature(self, info: PodInfo) -> Hashable | None:
        """The requests of the balanced resources; nothing to say about a pod that asks for none of them."""
        return tuple([item for item in info.requests.amounts if item[0] in self._names]) or None

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """75 where nothing changes, towards 100 where the balance gets better, towards 50 where worse."""
        shares = shares_of(self._resources, info, snapshot.table, rows, minimum=False)
        before, after = balance(shares.requested + shares.wanted * _WITHOUT_AND_WITH, shares.allocatable)
        scores: Scores = (after - before + 3 * MAX_SCORE // 2) // 2
        return scores


_WITHOUT_AND_WITH = np.array([0, 1])[:, np.newaxis, np.newaxis]
"""Two cases, on an axis before those of resources and rows."""


def balance(requested: Amounts, allocatable: Amounts) -> Scores:
    """100 when all resources of a node are used to the same part, less the more these parts differ.

    Resources (the last axis but one) that a node does not offer are left out of it.
    """
    offered = allocatable > 0
    parts = np.minimum(requested / np.maximum(allocatable, 1), 1.0) * offered
    return ((1 - _deviation(parts, offered)) * MAX_SCORE).astype(np.int64)


def _deviation(parts: Fractions, offered: Mask) -> Fractions:
    """The standard deviation over the offered resources of each node."""
    deviation: Fractions
    if len(offered) == 2:
        deviation = np.abs(parts[:, 0] - parts[:, 1]) / 2 * (offered[0] & offered[1])
    else:
        count = np.maximum(offered.sum(axis=0), 1)
        mean = parts.sum(axis=1, keepdims=True) / count
        deviation = np.sqrt(((parts - mean) ** 2 * offered).sum(axis=1) / count)
    return deviation
