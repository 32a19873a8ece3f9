"""What of each resource a node would have given out with the pod on it: the ground of resource scores."""

from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import msgspec

from pallet.api.requests import CPU, EPHEMERAL_STORAGE, MEMORY
from pallet.cache.node_table import Amounts, NodeTable
from pallet.cache.pod_info import PodInfo
from pallet.framework.interface import RowChoice


class ResourceSpec(msgspec.Struct, frozen=True):
    """A resource that is scored, and how much it counts."""

    name: str
    weight: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1


class Share(NamedTuple):
    """One resource on some rows: int64 each, (rows,). `requested` includes the pod, `before` does not."""

    allocatable: Amounts
    requested: Amounts
    before: Amounts


def shares_of(
    specs: Sequence[ResourceSpec], info: PodInfo, table: NodeTable, rows: RowChoice, *, minimum: bool
) -> Iterator[tuple[ResourceSpec, Share]]:
    """The resources that take part in a pod's score.

    With `minimum`, containers that ask for no cpu or memory are counted at a minimum. An extended resource
    that the pod does not ask for takes no part.
    """
    asked = dict(info.requests.amounts)
    scored = {CPU: (0, info.requests.scored_cpu), MEMORY: (1, info.requests.scored_memory)}
    for spec in specs:
        index = table.resources.get(spec.name)
        extended = spec.name not in (CPU, MEMORY, EPHEMERAL_STORAGE)
        if index is None or (extended and spec.name not in asked):
            continue
        allocatable = table.allocatable[index, rows]
        if minimum and spec.name in scored:
            column, wanted = scored[spec.name]
            before = table.scored[column, rows]
        else:
            wanted = asked.get(spec.name, 0)
            before = table.requested[index, rows]
        yield spec, Share(allocatable, before + wanted, before)
