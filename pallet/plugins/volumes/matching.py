"""Which free volume each claim of a pod gets on a node: the smallest that will do.

A pod's claims are served in order of size, each from what the earlier ones have left. For all nodes at once
it is only counted whether there is a volume for each claim; which one it is, is found for the chosen node.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pallet.api.storage import PersistentVolume, PersistentVolumeClaim
from pallet.cache.columns import Mask
from pallet.cache.node_table import NodeTable
from pallet.framework.interface import RowChoice
from pallet.plugins.volumes.claims import class_of, requested
from pallet.plugins.volumes.counts import Counts, FreeCounts
from pallet.plugins.volumes.free import Demand, FreeVolumes
from pallet.plugins.volumes.node_affinity import (
    matches_labels,
    matching_mask,
    matching_rows,
    node_affinity_of,
)


@dataclass(frozen=True, slots=True)
class UnboundClaim:
    """A claim without a volume, and what it wants."""

    claim: PersistentVolumeClaim
    demand: Demand


def unbound_claims(claims: Sequence[PersistentVolumeClaim]) -> tuple[UnboundClaim, ...]:
    """The claims in the order in which they are served."""
    return tuple(UnboundClaim(claim, Demand.of(claim)) for claim in sorted(claims, key=requested))


class Matching:
    """Finds volumes for claims among all that are known."""

    def __init__(self, free: FreeVolumes) -> None:
        self._free = free
        self._counts = FreeCounts(free)

    def choose(
        self,
        unbound: Sequence[UnboundClaim],
        labels: Mapping[str, str],
        others: Iterable[PersistentVolume] = (),
    ) -> list[PersistentVolume | None]:
        """The volume of each claim on a node with these labels; None where there is none.

        `others` are volumes that are supposed to be taken.
        """
        taken = {volume.metadata.name for volume in others}
        chosen = []
        for each in unbound:
            volume = self._free.kept(each.claim, each.demand, taken)
            if volume is None:
                volume = self._free.pool(each.demand.storage_class).smallest(each.demand, labels, taken)
            elif not matches_labels(node_affinity_of(volume), labels):
                volume = None
            if volume is not None:
                taken.add(volume.metadata.name)
            chosen.append(volume)
        return chosen

    def found(
        self,
        unbound: Sequence[UnboundClaim],
        table: NodeTable,
        rows: RowChoice,
        others: Collection[PersistentVolume] = (),
    ) -> list[Mask]:
        """For each claim the rows on which there is a volume for it: bool, (rows,) each.

        `others` are volumes that are supposed to be taken.
        """
        if not are_countable(unbound):
            return self._found_one_by_one(unbound, table, rows, others)
        left: dict[object, Counts] = {}
        masks: list[Mask] = []
        for each in unbound:
            kept = self._free.kept(each.claim, each.demand)
            if kept is not None:
                masks.append(matching_mask(node_affinity_of(kept), table, rows))
                continue
            # What fits the larger claim fits the smaller ones before it too, and those took the smallest.
            counts = self._count(each.demand, table, others)[rows]
            sort = _sort(each.demand)
            if sort in left:
                counts = np.minimum(counts, left[sort])
            found = counts > 0
            left[sort] = counts - found
            masks.append(found)
        return masks

    def _count(self, demand: Demand, table: NodeTable, others: Iterable[PersistentVolume]) -> Counts:
        """The volumes that meet a demand, by row."""
        counts = self._counts.of(demand, table)
        taken = [each for each in others if class_of(each) == demand.storage_class and demand.fits(each)]
        if taken:
            counts = counts.copy()
            for volume in taken:
                counts[matching_rows(node_affinity_of(volume), table)] -= 1
        return counts

    def _found_one_by_one(
        self,
        unbound: Sequence[UnboundClaim],
        table: NodeTable,
        rows: RowChoice,
        others: Collection[PersistentVolume],
    ) -> list[Mask]:
        indexes = np.arange(table.capacity)[rows].tolist()
        masks = [np.zeros(len(indexes), np.bool_) for _ in unbound]
        for position, row in enumerate(indexes):
            node = table.nodes[row]
            if node is not None:
                for mask, volume in zip(
                    masks, self.choose(unbound, node.metadata.labels, others), strict=True
                ):
                    mask[position] = volume is not None
        return masks


def are_countable(unbound: Sequence[UnboundClaim]) -> bool:
    """Whether counting is enough: any two claims differ in size only, or have no volume that fits both."""
    if len(unbound) < 2:
        return True
    keys = {(each.claim.metadata.namespace, each.claim.metadata.name) for each in unbound}
    tellings = {(_sort(each.demand), each.demand.access_modes, each.demand.selector) for each in unbound}
    return len(keys) == len(unbound) and len(tellings) == len({_sort(each.demand) for each in unbound})


def _sort(demand: Demand) -> object:
    """No volume fits two demands of different sorts."""
    return demand.storage_class, demand.mode, demand.attributes_class
