"""Which volumes the placed pods use, and on which rows: what volume plugins ask without walking pods."""

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from pallet.api.in_tree import mounted_volume
from pallet.api.pod import Pod
from pallet.api.volumes import Volume


class Disk(msgspec.Struct, frozen=True, gc=False):
    """A disk written into a pod, by what tells it apart."""

    identity: tuple[str, ...]
    read_only: bool = False


class PodVolumes(msgspec.Struct, frozen=True, gc=False):
    """What a pod mounts, as far as other pods are concerned.

    `claims` are `namespace/name` of those it names, `ephemeral` of those made for it alone, `disks` cannot be
    shared by all pods of a node, `mounted` are driver and handle of in-tree volumes written into the pod.
    """

    claims: tuple[str, ...] = ()
    ephemeral: tuple[str, ...] = ()
    disks: tuple[Disk, ...] = ()
    mounted: tuple[tuple[str, str], ...] = ()


NO_VOLUMES = PodVolumes()


def volumes_of(pod: Pod) -> PodVolumes:
    """What a pod's volumes come down to."""
    volumes = pod.spec.volumes
    if not volumes:
        return NO_VOLUMES
    namespace, name = pod.metadata.namespace, pod.metadata.name
    found = PodVolumes(
        tuple(
            f"{namespace}/{each.persistent_volume_claim.claim_name}"
            for each in volumes
            if each.persistent_volume_claim is not None
        ),
        tuple(f"{namespace}/{name}-{each.name}" for each in volumes if each.ephemeral is not None),
        tuple(disk for each in volumes for disk in _disks(each)),
        tuple(mounted for each in volumes if (mounted := mounted_volume(each)) is not None),
    )
    return NO_VOLUMES if found == NO_VOLUMES else found


def _disks(volume: Volume) -> Iterator[Disk]:
    """The disks of one volume. An image of Ceph is the same by any of its monitors."""
    if (gce := volume.gce_persistent_disk) is not None:
        yield Disk(("gce", gce.pd_name), gce.read_only)
    if (aws := volume.aws_elastic_block_store) is not None:
        yield Disk(("aws", aws.volume_id))  # not even readers share it
    if (iscsi := volume.iscsi) is not None:
        yield Disk(("iscsi", iscsi.iqn), iscsi.read_only)
    if (rbd := volume.rbd) is not None:
        for monitor in rbd.monitors:
            yield Disk(("rbd", monitor, rbd.pool, rbd.image), rbd.read_only)


RowCounts = dict[int, int]
"""How many volumes on each row that has any."""

K = TypeVar("K")


class VolumesInUse:
    """Claims (named and ephemeral), disks and in-tree volumes of the placed pods, each with its rows.

    `written` and `read` are the disks by what tells them apart: those that pods may write to, and the others.
    """

    def __init__(self) -> None:
        self.claims: dict[str, RowCounts] = {}
        self.written: dict[tuple[str, ...], RowCounts] = {}
        self.read: dict[tuple[str, ...], RowCounts] = {}
        self.mounted: dict[tuple[str, str], RowCounts] = {}

    def add(self, volumes: PodVolumes, row: int) -> None:
        """Count a pod's volumes on a row."""
        self._apply(volumes, row, 1)

    def remove(self, volumes: PodVolumes, row: int) -> None:
        """Take a counted pod's volumes back."""
        self._apply(volumes, row, -1)

    def copy(self) -> "VolumesInUse":
        """Counts that can be changed without changing these."""
        twin = VolumesInUse()
        twin.claims, twin.mounted = _copy(self.claims), _copy(self.mounted)
        twin.written, twin.read = _copy(self.written), _copy(self.read)
        return twin

    def _apply(self, volumes: PodVolumes, row: int, by: int) -> None:
        if volumes is NO_VOLUMES:
            return
        for claim in (*volumes.claims, *volumes.ephemeral):
            _bump(self.claims, claim, row, by)
        for disk in volumes.disks:
            _bump(self.read if disk.read_only else self.written, disk.identity, row, by)
        for mounted in volumes.mounted:
            _bump(self.mounted, mounted, row, by)


def _bump(counts: dict[K, RowCounts], key: K, row: int, by: int) -> None:
    rows = counts.setdefault(key, {})
    rows[row] = rows.get(row, 0) + by
    if not rows[row]:
        del rows[row]
        if not rows:
            del counts[key]


def _copy(counts: dict[K, RowCounts]) -> dict[K, RowCounts]:
    return {key: dict(rows) for key, rows in counts.items()}
