"""What of each resource a node would have given out with the pod on it: the ground of resource scores."""

from functools import lru_cache
from typing import Annotated, NamedTuple

import msgspec
import numpy as np

from pallet.api.requests import CPU, EPHEMERAL_STORAGE, MEMORY, Requests
from pallet.cache.changes import Rows
from pallet.cache.node_table import Amounts, NodeTable
from pallet.cache.pod_info import PodInfo
from pallet.framework.interface import RowChoice

_NATIVE = (CPU, MEMORY, EPHEMERAL_STORAGE)


class ResourceSpec(msgspec.Struct, frozen=True, cache_hash=True):
    """A resource that is scored, and how much it counts."""

    name: str
    weight: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1


class Shares(NamedTuple):
    """Some resources on some rows: int64. `wanted` is what the pod adds to `requested`.

    allocatable, requested: (resources, rows); wanted: (resources, 1); weights: (resources,)
    """

    allocatable: Amounts
    requested: Amounts
    wanted: Amounts
    weights: Amounts


def shares_of(
    specs: tuple[ResourceSpec, ...], info: PodInfo, table: NodeTable, rows: RowChoice, *, minimum: bool
) -> Shares:
    """The resources that take part in a pod's score.

    With `minimum`, containers that ask for no cpu or memory are counted at a minimum. An extended resource
    that the pod does not ask for takes no part.
    """
    requested = table.scored if minimum else table.requested
    indexes, wanted, weights = _part_of(specs, info.requests, tuple(table.resources), minimum)
    return Shares(table.allocatable[:, rows][indexes], requested[:, rows][indexes], wanted, weights)


@lru_cache(maxsize=1024)
def _part_of(
    specs: tuple[ResourceSpec, ...],
    requests: Requests,
    known: tuple[str, ...],
    minimum: bool,  # noqa: FBT001  # private
) -> tuple[Rows, Amounts, Amounts]:
    """Which rows of the table's resources take part, what the pod wants of them, and their weights."""
    asked = dict(requests.amounts)
    parts = [spec for spec in specs if spec.name in known and (spec.name in _NATIVE or spec.name in asked)]
    if minimum:
        asked |= {CPU: requests.scored_cpu, MEMORY: requests.scored_memory}
    return (
        np.array([known.index(spec.name) for spec in parts], np.intp),
        np.array([asked.get(spec.name, 0) for spec in parts], np.int64)[:, np.newaxis],
        np.array([spec.weight for spec in parts], np.int64),
    )
