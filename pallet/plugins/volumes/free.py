"""Volumes that a claim may get: the free ones, by class and by the nodes that reach them, and the kept ones.

Upstream walks all volumes of a class for each node. Here a node's labels lead to the few that it reaches.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from pallet.api.selectors import LabelSelector
from pallet.api.storage import PersistentVolume, PersistentVolumeClaim
from pallet.cache.changes import ChangeLog
from pallet.plugins.volumes.claims import capacity, class_of, holder_of, is_kept_for, requested
from pallet.plugins.volumes.node_affinity import (
    VolumeNodeAffinity,
    keys_of,
    matches_labels,
    node_affinity_of,
    single_label,
)


class Demand(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """What of a claim decides which free volumes it can have; `size` is in billionths of a byte."""

    storage_class: str
    mode: str
    attributes_class: str
    access_modes: frozenset[str]
    selector: LabelSelector | None
    size: int

    @classmethod
    def of(cls, claim: PersistentVolumeClaim) -> "Demand":
        """What a claim wants."""
        spec = claim.spec
        return cls(
            class_of(claim),
            spec.volume_mode,
            spec.volume_attributes_class_name or "",
            frozenset(spec.access_modes),
            spec.selector,
            requested(claim),
        )

    def allows(self, volume: PersistentVolume) -> bool:
        """Whether a volume will do that is kept for the claim."""
        spec = volume.spec
        return (
            capacity(volume) >= self.size
            and spec.volume_mode == self.mode
            and (spec.volume_attributes_class_name or "") == self.attributes_class
            and volume.metadata.deletion_timestamp is None
        )

    def fits(self, volume: PersistentVolume) -> bool:
        """Whether a free volume of the class will do."""
        return (
            self.allows(volume)
            and self.access_modes.issubset(volume.spec.access_modes)
            and (self.selector is None or self.selector.matches(volume.metadata.labels))
        )


_Sized = tuple[int, str, PersistentVolume]
"""Size and name, by which volumes are ordered, and the volume."""


class Group:
    """Free volumes that the same nodes reach, the smallest first."""

    def __init__(self) -> None:
        self._volumes: list[_Sized] = []

    def __bool__(self) -> bool:
        return bool(self._volumes)

    def add(self, volume: PersistentVolume) -> None:
        """Put in a volume."""
        insort(self._volumes, (capacity(volume), volume.metadata.name, volume))

    def remove(self, volume: PersistentVolume) -> None:
        """Take out a volume."""
        del self._volumes[bisect_left(self._volumes, (capacity(volume), volume.metadata.name))]

    def count(self, demand: Demand) -> int:
        """How many volumes meet a demand."""
        return sum(1 for _ in self._fitting(demand))

    def smallest(self, demand: Demand, taken: Iterable[str]) -> _Sized | None:
        """The smallest volume that meets a demand, and is none of those taken."""
        return next((sized for sized in self._fitting(demand) if sized[1] not in taken), None)

    def _fitting(self, demand: Demand) -> Iterator[_Sized]:
        start = bisect_left(self._volumes, (demand.size,))
        return (
            self._volumes[at] for at in range(start, len(self._volumes)) if demand.fits(self._volumes[at][2])
        )


class Pool:
    """The free volumes of one class, and a log of those that came (1) and went (-1)."""

    def __init__(self) -> None:
        self.changes: ChangeLog[tuple[int, PersistentVolume]] = ChangeLog()
        self.by_label: dict[str, dict[str, list[Group]]] = {}
        """Groups that nodes with one label reach, by key and value."""
        self.others: dict[VolumeNodeAffinity, Group] = {}
        self._groups: dict[VolumeNodeAffinity, Group] = {}

    def __bool__(self) -> bool:
        return bool(self._groups)

    def topology_keys(self) -> set[str]:
        """The labels of nodes that decide which of the volumes a node reaches."""
        return {*self.by_label, *(key for affinity in self.others for key in keys_of(affinity))}

    def add(self, volume: PersistentVolume) -> None:
        """Put in a volume."""
        affinity = node_affinity_of(volume)
        group = self._groups.get(affinity)
        if group is None:
            group = self._groups[affinity] = Group()
            self._enter(affinity, group)
        group.add(volume)
        self.changes.record((1, volume))

    def remove(self, volume: PersistentVolume) -> None:
        """Take out a volume."""
        affinity = node_affinity_of(volume)
        group = self._groups[affinity]
        group.remove(volume)
        if not group:
            del self._groups[affinity]
            self._leave(affinity, group)
        self.changes.record((-1, volume))

    def reached(self, labels: Mapping[str, str]) -> Iterator[Group]:
        """The groups that a node with these labels reaches."""
        for key, by_value in self.by_label.items():
            value = labels.get(key)
            if value is not None:
                yield from by_value.get(value, ())
        for affinity, group in self.others.items():
            if matches_labels(affinity, labels):
                yield group

    def count(self, demand: Demand, labels: Mapping[str, str]) -> int:
        """How many volumes meet a demand on a node with these labels."""
        return sum(group.count(demand) for group in self.reached(labels))

    def smallest(
        self, demand: Demand, labels: Mapping[str, str], taken: Iterable[str]
    ) -> PersistentVolume | None:
        """The smallest volume that meets a demand there; of several alike the first by name."""
        found = (group.smallest(demand, taken) for group in self.reached(labels))
        best = min((sized for sized in found if sized is not None), default=None, key=lambda it: it[:2])
        return best and best[2]

    def _enter(self, affinity: VolumeNodeAffinity, group: Group) -> None:
        label = single_label(affinity)
        if label is None:
            self.others[affinity] = group
            return
        by_value = self.by_label.setdefault(label[0], {})
        for value in set(label[1]):
            by_value.setdefault(value, []).append(group)

    def _leave(self, affinity: VolumeNodeAffinity, group: Group) -> None:
        label = single_label(affinity)
        if label is None:
            del self.others[affinity]
            return
        by_value = self.by_label[label[0]]
        for value in set(label[1]):
            by_value[value].remove(group)
            if not by_value[value]:
                del by_value[value]


class FreeVolumes:
    """All volumes, as assumed: free ones in the pool of their class, others by the claim that has them."""

    def __init__(self) -> None:
        self._known: dict[str, PersistentVolume] = {}
        self._pools: dict[str, Pool] = {}
        self._kept: dict[str, dict[str, PersistentVolume]] = {}

    def put(self, name: str, volume: PersistentVolume | None) -> None:
        """Take note of a volume's newest state; None when it is gone."""
        old = self._known.pop(name, None)
        if old is not None:
            self._remove(old)
        if volume is not None:
            self._known[name] = volume
            self._add(volume)

    def pool(self, storage_class: str) -> Pool:
        """The free volumes of a class."""
        pool = self._pools.get(storage_class)
        if pool is None:
            pool = self._pools[storage_class] = Pool()
        return pool

    def kept(
        self, claim: PersistentVolumeClaim, demand: Demand, taken: Iterable[str] = ()
    ) -> PersistentVolume | None:
        """The volume that is kept for a claim, and will do for it: it gets that one or none."""
        volumes = self._kept.get(f"{claim.metadata.namespace}/{claim.metadata.name}", {})
        for name, volume in volumes.items():
            if (
                name not in taken
                and is_kept_for(volume, claim)
                and class_of(volume) == demand.storage_class
                and demand.allows(volume)
            ):
                return volume
        return None

    def topology_keys(self, claim: PersistentVolumeClaim, demand: Demand) -> set[str]:
        """The labels of nodes that decide which volume the claim can have on a node."""
        kept = self.kept(claim, demand)
        if kept is not None:
            return keys_of(node_affinity_of(kept))
        return self.pool(demand.storage_class).topology_keys()

    def _add(self, volume: PersistentVolume) -> None:
        holder = holder_of(volume)
        if holder is not None:
            self._kept.setdefault(holder, {})[volume.metadata.name] = volume
        elif _is_free(volume):
            self.pool(class_of(volume)).add(volume)

    def _remove(self, volume: PersistentVolume) -> None:
        holder = holder_of(volume)
        if holder is not None:
            kept = self._kept[holder]
            del kept[volume.metadata.name]
            if not kept:
                del self._kept[holder]
        elif _is_free(volume):
            self.pool(class_of(volume)).remove(volume)


def _is_free(volume: PersistentVolume) -> bool:
    """A volume in another phase will soon be changed by its controller: taking it would conflict."""
    return volume.status.phase == "Available" and volume.metadata.deletion_timestamp is None
