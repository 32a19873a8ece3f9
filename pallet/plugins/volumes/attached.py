"""How many volumes of each CSI driver the nodes have attached: those of their pods, and VolumeAttachments.

Counts are kept by snapshot and brought up to date where pods came or went, or where an event changed what a
claim stands for. In-tree volumes count as their CSI form (see `pallet.api.in_tree`), since every node whose
CSINode sets limits has them migrated.
"""

from collections import Counter
from collections.abc import Iterable
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from pallet.api.in_tree import DRIVERS, persistent_volume
from pallet.api.meta import key_of
from pallet.api.storage import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
    VolumeAttachment,
)
from pallet.cache.changes import ChangeLog
from pallet.cache.cursor import Cursor
from pallet.cache.snapshot import Snapshot
from pallet.cache.volumes_in_use import VolumesInUse
from pallet.informers.factory import InformerFactory
from pallet.informers.informer import Handler
from pallet.plugins.volumes.claims import class_of, holder_of

CSIVolume = tuple[str, str]
"""CSI driver and handle; a volume that is not there yet has its claim's key, after a `?`, for a handle."""

Counts = npt.NDArray[np.int64]

V = TypeVar("V")


class AttachedVolumes:
    """What claims stand for and nodes have attached, as the API says, and who must count again for it."""

    def __init__(self, informers: InformerFactory) -> None:
        claims, volumes = informers.informer(PERSISTENT_VOLUME_CLAIMS), informers.informer(PERSISTENT_VOLUMES)
        classes, attachments = informers.informer(STORAGE_CLASSES), informers.informer(VOLUME_ATTACHMENTS)
        self.claims, self._volumes, self._classes = claims.store, volumes.store, classes.store
        self._on_node: dict[str, dict[str, VolumeAttachment]] = {}
        self._nodes_of: dict[str, dict[str, str]] = {}
        self.changes: ChangeLog[str] = ChangeLog()
        """The claims and nodes of which something changed."""
        self._counts = WeakKeyDictionary[VolumesInUse, AttachedCounts]()
        claims.add_handler(Handler(self._claim, lambda _, new: self._claim(new), self._claim))
        volumes.add_handler(Handler(self._volume, self._changed_volume, self._volume))
        classes.add_handler(Handler(self._class, lambda _, new: self._class(new), self._class))
        attachments.add_handler(Handler(self._attach, self._reattach, self._detach))

    def attached_counts(self, snapshot: Snapshot) -> "AttachedCounts":
        """The counts of a snapshot, brought up to date."""
        attached_counts = self._counts.get(snapshot.volumes)
        if attached_counts is None:
            attached_counts = self._counts[snapshot.volumes] = self._new_counts(snapshot)
        attached_counts.refresh(snapshot)
        return attached_counts

    def _new_counts(self, snapshot: Snapshot) -> "AttachedCounts":
        """New counts, which begin with what is known of the snapshot that this one was forked from."""
        base = snapshot.base()
        if base is None:
            return AttachedCounts(self)
        parent, changed = base
        return self.attached_counts(parent).fork(snapshot, changed)

    def volume_of(self, claim_key: str) -> CSIVolume | None:
        """The volume that a claim stands for, or will; None where it does not count."""
        claim = self.claims.get(claim_key)
        if claim is None:
            return None
        volume = self._volumes.get(claim.spec.volume_name) if claim.spec.volume_name else None
        if volume is None:
            return self._to_be_provisioned(claim)
        if (csi := volume.spec.csi) is None:
            return persistent_volume(volume)
        return (csi.driver, csi.volume_handle) if csi.driver and csi.volume_handle else None

    def is_in_tree(self, claim_key: str) -> bool:
        """Whether a claim that counts stands for an in-tree volume, or will."""
        claim = self.claims.get(claim_key)
        if claim is None:
            return False
        volume = self._volumes.get(claim.spec.volume_name) if claim.spec.volume_name else None
        if volume is not None:
            return volume.spec.csi is None
        storage_class = self._classes.get(class_of(claim))
        return storage_class is not None and storage_class.provisioner in DRIVERS

    def attached_to(self, node_name: str) -> Iterable[CSIVolume]:
        """The CSI volumes that VolumeAttachments name for a node."""
        for attachment in self._on_node.get(node_name, {}).values():
            volume = self._volumes.get(attachment.spec.source.persistent_volume_name or "")
            if attachment.spec.attacher and volume is not None and volume.spec.csi is not None:
                yield attachment.spec.attacher, volume.spec.csi.volume_handle

    def nodes(self) -> Iterable[str]:
        """The nodes with VolumeAttachments."""
        return self._on_node.keys()

    def _to_be_provisioned(self, claim: PersistentVolumeClaim) -> CSIVolume | None:
        """A claim without class, or of one that is not there, must be bound first: it does not count."""
        storage_class = self._classes.get(class_of(claim))
        if storage_class is None:
            return None
        driver = DRIVERS.get(storage_class.provisioner, storage_class.provisioner)
        return (driver, f"?{key_of(claim)}") if driver else None

    def _claim(self, claim: PersistentVolumeClaim) -> None:
        self.changes.record(key_of(claim))

    def _volume(self, volume: PersistentVolume) -> None:
        holder = holder_of(volume)
        if holder is not None:
            self.changes.record(holder)
        for node_name in self._nodes_of.get(volume.metadata.name, {}).values():
            self.changes.record(node_name)

    def _changed_volume(self, old: PersistentVolume, new: PersistentVolume) -> None:
        self._volume(old)
        self._volume(new)

    def _class(self, _: StorageClass) -> None:
        self.changes.reset()

    def _attach(self, attachment: VolumeAttachment) -> None:
        name, spec = attachment.metadata.name, attachment.spec
        self._on_node.setdefault(spec.node_name, {})[name] = attachment
        self._nodes_of.setdefault(spec.source.persistent_volume_name or "", {})[name] = spec.node_name
        self.changes.record(spec.node_name)

    def _reattach(self, old: VolumeAttachment, new: VolumeAttachment) -> None:
        self._detach(old)
        self._attach(new)

    def _detach(self, attachment: VolumeAttachment) -> None:
        name, spec = attachment.metadata.name, attachment.spec
        _drop(self._on_node, spec.node_name, name)
        _drop(self._nodes_of, spec.source.persistent_volume_name or "", name)
        self.changes.record(spec.node_name)


def _drop(by_key: dict[str, dict[str, V]], key: str, name: str) -> None:
    found = by_key[key]
    del found[name]
    if not found:
        del by_key[key]


class AttachedCounts:
    """The counts of one snapshot.

    `on_row` has the volumes of the pods of each row that has any. `attached` has for each driver how many
    volumes each row has, those of VolumeAttachments alone included: int64, (capacity,). `limits` has columns
    of limits for the plugin that asks, each with the changes that were read for it.
    """

    def __init__(self, known: AttachedVolumes) -> None:
        self.on_row: dict[int, set[CSIVolume]] = {}
        self.attached: dict[str, Counts] = {}
        self.limits: dict[str, tuple[Cursor, Counts]] = {}
        self._counted: dict[int, Counter[str]] = {}
        self._known = known
        self._table, self._changed = Cursor(), Cursor()

    def refresh(self, snapshot: Snapshot) -> None:
        """Count again where something changed."""
        rows = self._table.read_all(snapshot.table.node_changes, snapshot.table.load_changes)
        changed = self._changed.read(self._known.changes)
        if rows is None or changed is None:
            self._count_everything(snapshot)
        else:
            for row in {*rows, *self._rows(changed, snapshot)}:
                self._count(row, snapshot)

    def fork(self, snapshot: Snapshot, changed: Iterable[int]) -> "AttachedCounts":
        """The counts of a fork, in which the pods of some rows may be others."""
        twin = AttachedCounts(self._known)
        twin.on_row, twin._counted, twin.limits = dict(self.on_row), dict(self._counted), dict(self.limits)
        twin.attached = {driver: counts.copy() for driver, counts in self.attached.items()}
        for row in changed:
            twin._count(row, snapshot)
        twin._table = Cursor(snapshot.table.node_changes, snapshot.table.load_changes)
        twin._changed = Cursor(self._known.changes)
        return twin

    def _count_everything(self, snapshot: Snapshot) -> None:
        self.on_row, self.attached, self._counted = {}, {}, {}
        in_use = snapshot.volumes.claims.rows() | snapshot.volumes.mounted.rows()
        for row in {*in_use, *self._rows(self._known.nodes(), snapshot)}:
            self._count(row, snapshot)

    def _rows(self, changed: Iterable[str], snapshot: Snapshot) -> Iterable[int]:
        """The rows of some nodes, and those where some claims are used."""
        for name in changed:
            yield from snapshot.volumes.claims.get(name)
            if name in snapshot.table.row_of:
                yield snapshot.table.row_of[name]

    def _count(self, row: int, snapshot: Snapshot) -> None:
        volumes: set[CSIVolume] = set()
        for info in snapshot.pods(row):
            volumes.update(info.volumes.mounted)
            for claim in (*info.volumes.claims, *info.volumes.ephemeral):
                volume = self._known.volume_of(claim)
                if volume is not None:
                    volumes.add(volume)
        everything = volumes.union(self._known.attached_to(snapshot.table.name(row)))
        counted = Counter(driver for driver, _ in everything)
        for driver in self._counted.pop(row, ()):
            self.attached[driver][row] = 0
        self.on_row.pop(row, None)
        if not everything:
            return
        for driver, count in counted.items():
            if driver not in self.attached:
                self.attached[driver] = np.zeros(snapshot.table.capacity, np.int64)
            self.attached[driver][row] = count
        self.on_row[row], self._counted[row] = volumes, counted
