"""NodeResourcesBalancedAllocation: rather where the pod evens out how far the resources are used."""

from collections.abc import Hashable, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import force_setattr

from pallet.api.requests import CPU, MEMORY
from pallet.bounded_cache import MIB, bounded_cache
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.handle import Handle
from pallet.framework.interface import MAX_SCORE, Reads, RowChoice, Scores
from pallet.framework.state import CycleState
from pallet.plugins import names
from pallet.plugins.resource_shares import ARRAYS, NUMBERS, Arithmetic, ResourceSpec, Share, shares_of


class BalancedAllocationArgs(msgspec.Struct, frozen=True, rename="camel"):
    """The resources to be kept in balance."""

    resources: tuple[ResourceSpec, ...] = ()

    def __post_init__(self) -> None:
        for number, spec in enumerate(self.resources):
            if spec.weight != 1:
                raise ValueError(f"resources[{number}].weight must be 1: all resources count alike here")
            if any(spec.name == earlier.name for earlier in self.resources[:number]):
                raise ValueError(f'resources[{number}].name: "{spec.name}" stands there already')
        if not self.resources:
            force_setattr(self, "resources", (ResourceSpec(CPU), ResourceSpec(MEMORY)))


class NodeResourcesBalancedAllocation:
    """Ranks nodes by the difference that the pod makes to their balance (kube-scheduler since 1.35)."""

    name = names.NODE_RESOURCES_BALANCED_ALLOCATION
    score_reads = Reads.LOAD
    args_type = BalancedAllocationArgs

    def __init__(self, args: BalancedAllocationArgs, handle: Handle) -> None:
        """Take the resources."""
        self._resources = args.resources
        names = frozenset(spec.name for spec in args.resources)
        self._balanced = bounded_cache("resource_shares", 2 * MIB)(
            lambda requests: tuple(item for item in requests.amounts if item[0] in names)
        )

    def score_signature(self, info: PodInfo) -> Hashable | None:
        """The requests of the balanced resources; nothing to say about a pod that asks for none of them."""
        return self._balanced(info.requests) or None

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """75 where nothing changes, towards 100 where the balance gets better, towards 50 where worse."""
        shares = shares_of(self._resources, info, snapshot.table, rows, minimum=False)
        scores: Scores = np.zeros(snapshot.table.live[rows].shape, np.int64)
        scores += _gain(shares, ARRAYS)
        return scores

    def score_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """The same for a single row."""
        shares = shares_of(self._resources, info, snapshot.table, row, minimum=False)
        return int(_gain(shares, NUMBERS))


def _gain(shares: Sequence[Share], arithmetic: Arithmetic) -> Any:
    smaller, larger, *_ = arithmetic
    offered = [share.allocatable > 0 for share in shares]
    there = [larger(share.allocatable, 1) for share in shares]

    def parts(pods: int) -> list[Any]:
        """The part of each resource that is used with so many pods more."""
        return [
            smaller(requested + wanted * pods, allocatable) / whole
            for (allocatable, requested, wanted, _), whole in zip(shares, there, strict=True)
        ]

    before, after = (_balance(parts(pods), offered, arithmetic) for pods in (0, 1))
    return (after - before + 3 * MAX_SCORE // 2) // 2


def _balance(parts: Sequence[Any], offered: Sequence[Any], arithmetic: Arithmetic) -> Any:
    """100 when all resources of a node are used to the same part, less the more these parts differ.

    Resources that a node does not offer are left out.
    """
    _, larger, root, whole = arithmetic
    if len(parts) == 2:
        deviation = abs(parts[0] - parts[1]) / 2 * (offered[0] & offered[1])
    else:
        count = larger(sum(offered), 1)
        mean = sum(parts) / count
        squares = [(part - mean) * (part - mean) * there for part, there in zip(parts, offered, strict=True)]
        deviation = root(sum(squares) / count)
    return whole((1 - deviation) * MAX_SCORE)
