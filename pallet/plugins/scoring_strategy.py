"""How NodeResourcesFit turns what is used of each resource into a score, as configured."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from msgspec.structs import force_setattr

from pallet.api.requests import CPU, MEMORY
from pallet.cache.resource_columns import Amounts
from pallet.framework.interface import MAX_SCORE
from pallet.plugins.resource_shares import Arithmetic, ResourceSpec, Share

LEAST_ALLOCATED: Final = "LeastAllocated"
REQUESTED_TO_CAPACITY_RATIO: Final = "RequestedToCapacityRatio"

_STEP = 10
"""A point's score counts ten times: the file has it on a scale of 0 to 10."""


class UtilizationShapePoint(msgspec.Struct, frozen=True):
    """The score of a resource that is used to this part, in per cent."""

    utilization: Annotated[int, msgspec.Meta(ge=0, le=100)]
    score: Annotated[int, msgspec.Meta(ge=0, le=10)]


class RequestedToCapacityRatio(msgspec.Struct, frozen=True):
    """The scores at some points; between two of them they lie on a line, outside they stay the same."""

    shape: tuple[UtilizationShapePoint, ...] = ()

    def __post_init__(self) -> None:
        if not self.shape:
            raise ValueError("shape must have at least one point")
        check_shape(self.shape)


class ScoringStrategy(msgspec.Struct, frozen=True, rename="camel"):
    """Which resources count how much, and whether free or used ones are better, or what the shape says."""

    type: Literal["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"] = LEAST_ALLOCATED
    resources: tuple[ResourceSpec, ...] = ()
    requested_to_capacity_ratio: RequestedToCapacityRatio | None = None

    def __post_init__(self) -> None:
        if not self.resources:
            force_setattr(self, "resources", (ResourceSpec(CPU), ResourceSpec(MEMORY)))
        if self.type == REQUESTED_TO_CAPACITY_RATIO and self.requested_to_capacity_ratio is None:
            raise ValueError(f"requestedToCapacityRatio is required with type {self.type}; give its shape")
        if self.type != REQUESTED_TO_CAPACITY_RATIO and self.requested_to_capacity_ratio is not None:
            raise ValueError(
                f"requestedToCapacityRatio must be left out with type {self.type}, or the type be "
                f'"{REQUESTED_TO_CAPACITY_RATIO}"'
            )


class Strategy:
    """Scores nodes by the shares of their resources; those that a node does not offer take no part."""

    def __init__(self, chosen: ScoringStrategy) -> None:
        self.resources = chosen.resources
        self._type = chosen.type
        ratio = chosen.requested_to_capacity_ratio
        self._shape = None if ratio is None else by_per_cent(ratio.shape)

    def score(self, shares: Sequence[Share], arithmetic: Arithmetic) -> Any:
        """The weighted mean of the resources' scores, as integer or int64 array, as the shares are.

        By shape, resources with a score of 0 take no part, and the mean is rounded, as in kube-scheduler.
        """
        smaller, larger, *_ = arithmetic
        total = weights = 0
        for allocatable, requested, wanted, weight in shares:
            used, there = smaller(requested + wanted, allocatable), larger(allocatable, 1)
            if self._shape is not None:
                score = self._shape[used * 100 // there] * (allocatable > 0)
                weights += weight * (score > 0)
            else:
                part = allocatable - used if self._type == LEAST_ALLOCATED else used
                score = part * MAX_SCORE // there
                weights += weight * (allocatable > 0)
            total += weight * score
        weights = larger(weights, 1)
        return total // weights if self._shape is None else (2 * total + weights) // (2 * weights)


def check_shape(shape: Sequence[UtilizationShapePoint]) -> None:
    """Check that the points are in order. Raises ValueError."""
    for number, (one, next_one) in enumerate(pairwise(shape), start=1):
        if one.utilization >= next_one.utilization:
            raise ValueError(f"shape[{number}].utilization must be greater than that of the point before")


def by_per_cent(shape: tuple[UtilizationShapePoint, ...]) -> Amounts:
    """The score at each utilization from 0 to 100 per cent, fractions cut off towards the point before."""
    first, last = shape[0], shape[-1]
    scores = np.full(101, last.score * _STEP, np.int64)
    scores[: first.utilization + 1] = first.score * _STEP
    for one, other in pairwise(shape):
        width, rise = other.utilization - one.utilization, (other.score - one.score) * _STEP
        for step in range(1, width + 1):
            scores[one.utilization + step] = one.score * _STEP + int(rise * step / width)
    return scores
