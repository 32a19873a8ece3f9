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
from pallet.plugins.volumes.reach import reach_of, reached_rows, reaches, reaching


@dataclass(frozen=True, slots=True)
class Wish:
    """A claim without a volume, and what it wants."""

    claim: PersistentVolumeClaim
    demand: Demand


def wishes_of(claims: Sequence[PersistentVolumeClaim]) -> tuple[Wish, ...]:
    """The claims in the order in which they are served."""
    return tuple(Wish(claim, Demand.of(claim)) for claim in sorted(claims, key=requested))


class Matching:
    """Finds volumes for claims among all that are known."""

    def __init__(self, free: FreeVolumes) -> None:
        self._free = free
        self._counts = FreeCounts(free)

    def choose(
        self, wishes: Sequence[Wish], labels: Mapping[str, str], others: Iterable[PersistentVolume] = ()
    ) -> list[PersistentVolume | None]:
        """The volume of each claim on a node with these labels; None where there is none.

        `others` are volumes that are supposed to be taken.
        """
        taken = {volume.metadata.name for volume in others}
        chosen = []
        for wish in wishes:
            volume = self._free.kept(wish.claim, wish.demand, taken)
            if volume is None:
                volume = self._free.pool(wish.demand.storage_class).smallest(wish.demand, labels, taken)
            elif not reaches(reach_of(volume), labels):
                volume = None
            if volume is not None:
                taken.add(volume.metadata.name)
            chosen.append(volume)
        return chosen

    def found(
        self,
        wishes: Sequence[Wish],
        table: NodeTable,
        rows: RowChoice,
        others: Collection[PersistentVolume] = (),
    ) -> list[Mask]:
        """For each claim the rows on which there is a volume for it: bool, (rows,) each.

        `others` are volumes that are supposed to be taken.
        """
        if not are_countable(wishes):
            return self._found_one_by_one(wishes, table, rows, others)
        left: dict[object, Counts] = {}
        masks: list[Mask] = []
        for wish in wishes:
            kept = self._free.kept(wish.claim, wish.demand)
            if kept is not None:
                masks.append(reaching(reach_of(kept), table, rows))
                continue
            # What fits the larger claim fits the smaller ones before it too, and those took the smallest.
            counts = self._count(wish.demand, table, others)[rows]
            sort = _sort(wish.demand)
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
                counts[reached_rows(reach_of(volume), table)] -= 1
        return counts

    def _found_one_by_one(
        self,
        wishes: Sequence[Wish],
        table: NodeTable,
        rows: RowChoice,
        others: Collection[PersistentVolume],
    ) -> list[Mask]:
        indexes = np.arange(table.capacity)[rows].tolist()
        masks = [np.zeros(len(indexes), np.bool_) for _ in wishes]
        for position, row in enumerate(indexes):
            node = table.nodes[row]
            if node is not None:
                for mask, volume in zip(
                    masks, self.choose(wishes, node.metadata.labels, others), strict=True
                ):
                    mask[position] = volume is not None
        return masks


def are_countable(wishes: Sequence[Wish]) -> bool:
    """Whether counting is enough: any two claims differ in size only, or have no volume that fits both."""
    if len(wishes) < 2:
        return True
    keys = {(wish.claim.metadata.namespace, wish.claim.metadata.name) for wish in wishes}
    tellings = {(_sort(wish.demand), wish.demand.access_modes, wish.demand.selector) for wish in wishes}
    return len(keys) == len(wishes) and len(tellings) == len({_sort(wish.demand) for wish in wishes})


def _sort(demand: Demand) -> object:
    """No volume fits two demands of different sorts."""
    return demand.storage_class, demand.mode, demand.attributes_class
