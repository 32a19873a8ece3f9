"""What of each resource a node would have given out with the pod on it: the ground of resource scores."""

import math
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec.structs import force_setattr

from pallet.api.requests import CPU, EPHEMERAL_STORAGE, MEMORY, Requests
from pallet.bounded_cache import MIB, bounded_cache
from pallet.cache.node_table import NodeTable
from pallet.cache.pod_info import PodInfo
from pallet.framework.interface import RowChoice

_NATIVE = (CPU, MEMORY, EPHEMERAL_STORAGE)


class ResourceSpec(msgspec.Struct, frozen=True, cache_hash=True):
    """A resource that is scored, and how much it counts; a weight of 0 is one that was left out."""

    name: str
    weight: Annotated[int, msgspec.Meta(ge=0, le=100)] = 1

    def __post_init__(self) -> None:
        force_setattr(self, "weight", self.weight or 1)


class Arithmetic(NamedTuple):
    """What is done in one way with numbers and in another with arrays of them: so rules are written once."""

    smaller: Callable[[Any, Any], Any]
    larger: Callable[[Any, Any], Any]
    root: Callable[[Any], Any]
    whole: Callable[[Any], Any]


NUMBERS = Arithmetic(min, max, math.sqrt, int)
ARRAYS = Arithmetic(
    np.minimum, np.maximum, np.sqrt, lambda numbers: np.asarray(numbers).astype(np.int64, copy=False)
)


class Share(NamedTuple):
    """One resource, on a single row as plain integers, or on some rows as int64 arrays.

    `wanted` is what the pod adds to `requested`.
    """

    allocatable: Any
    requested: Any
    wanted: int
    weight: int


def shares_of(
    specs: tuple[ResourceSpec, ...], info: PodInfo, table: NodeTable, rows: RowChoice | int, *, minimum: bool
) -> list[Share]:
    """The resources that take part in a pod's score.

    With `minimum`, containers that ask for no cpu or memory are counted at a minimum. An extended resource
    that the pod does not ask for takes no part.
    """
    shares = []
    for name, wanted, weight in _parts_of(specs, info.requests, minimum):
        column = table.resources.get(name)
        if column is not None:
            if isinstance(rows, int):
                allocatable, requested = column.scored_at(rows) if minimum else column.at(rows)
                shares.append(Share(allocatable, requested, wanted, weight))
            else:
                taken = column.scored if minimum else column.requested
                shares.append(Share(column.allocatable[rows], taken[rows], wanted, weight))
    return shares


@bounded_cache("resource_shares", 2 * MIB)
def _parts_of(
    specs: tuple[ResourceSpec, ...],
    requests: Requests,
    minimum: bool,  # noqa: FBT001  # private
) -> tuple[tuple[str, int, int], ...]:
    """Which resources take part, what the pod wants of each, and its weight."""
    asked = dict(requests.amounts)
    parts = [spec for spec in specs if spec.name in _NATIVE or spec.name in asked]
    if minimum:
        asked |= {CPU: requests.ranked_cpu, MEMORY: requests.ranked_memory}
    return tuple((spec.name, asked.get(spec.name, 0), spec.weight) for spec in parts)
