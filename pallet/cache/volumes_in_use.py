"""Which volumes the placed pods use, and on which rows: what volume plugins ask without walking pods."""

from collections.abc import Iterator

import msgspec

from pallet.api.in_tree import mounted_volume
from pallet.api.pod import Pod
from pallet.api.volumes import Volume
from pallet.cache.row_counts import RowCounts


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


class VolumesInUse:
    """Claims (named and ephemeral), disks and in-tree volumes of the placed pods, each with its rows.

    `written` and `read` are the disks by what tells them apart: those that pods may write to, and the others.
    With a parent, what is counted here is added to what is counted there.
    """

    def __init__(self, parent: "VolumesInUse | None" = None) -> None:
        self.claims: RowCounts[str] = RowCounts(parent.claims if parent else None)
        self.written: RowCounts[tuple[str, ...]] = RowCounts(parent.written if parent else None)
        self.read: RowCounts[tuple[str, ...]] = RowCounts(parent.read if parent else None)
        self.mounted: RowCounts[tuple[str, str]] = RowCounts(parent.mounted if parent else None)

    def count(self, volumes: PodVolumes, row: int, by: int) -> None:
        """Count a pod's volumes on a row, or with -1 take them back."""
        if volumes is NO_VOLUMES:
            return
        for claim in (*volumes.claims, *volumes.ephemeral):
            self.claims.bump(claim, row, by)
        for disk in volumes.disks:
            (self.read if disk.read_only else self.written).bump(disk.identity, row, by)
        for mounted in volumes.mounted:
            self.mounted.bump(mounted, row, by)
