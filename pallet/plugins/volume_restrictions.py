"""VolumeRestrictions: disks that only one pod of a node may write to, claims that only one pod may use."""

from collections.abc import Hashable
from typing import Any

import numpy as np

from pallet.api.pod import Pod
from pallet.api.storage import PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.cache.volumes_in_use import volumes_of
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.handle import Handle
from pallet.framework.interface import Codes, Reads, RowChoice
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, SUCCESS, Status, unresolvable, unschedulable
from pallet.plugins import names

_DISK_TAKEN, _CLAIM_TAKEN = 1, 2
_EXCLUSIVE = f"{names.VOLUME_RESTRICTIONS}/exclusive"


class VolumeRestrictions:
    """Refuses nodes where a disk of the pod is mounted, and all nodes while its exclusive claim is used."""

    name = names.VOLUME_RESTRICTIONS
    filter_reads = Reads.CLUSTER

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take the claims, whose access modes decide."""
        self._claims = handle.informers.informer(PERSISTENT_VOLUME_CLAIMS).store

    def pre_filter(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> tuple[frozenset[str] | None, Status]:
        """Find the pod's claims for a single pod. Refuse it while a claim is missing."""
        volumes = info.volumes
        if not volumes.claims and not volumes.disks:
            return None, SKIP
        exclusive = []
        for key in volumes.claims:
            claim = self._claims.get(key)
            if claim is None:
                return None, unresolvable(f'persistentvolumeclaim "{key.partition("/")[2]}" not found')
            if "ReadWriteOncePod" in claim.spec.access_modes:
                exclusive.append(key)
        if not volumes.disks and not _used(exclusive, snapshot):
            return None, SKIP
        state.write(_EXCLUSIVE, tuple(exclusive))
        return None, SUCCESS

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """Asked about every pod with claims or disks, unless left out above."""
        return self.name if info.volumes.claims or info.volumes.disks else None

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Which of the two it is; disks first."""
        taken = _CLAIM_TAKEN if _used(state.read(_EXCLUSIVE), snapshot) else 0
        codes = np.full(snapshot.table.capacity, taken, np.uint32)
        written, read = snapshot.volumes.written, snapshot.volumes.read
        mounted: set[int] = set()
        for disk in info.volumes.disks:
            mounted.update(written.get(disk.identity))
            if not disk.read_only:
                mounted.update(read.get(disk.identity))
        codes[list(mounted)] = _DISK_TAKEN
        return codes[rows]

    def explain(self, info: PodInfo, code: int) -> Status:
        """What is taken."""
        if code == _DISK_TAKEN:
            return unschedulable("node(s) had no available disk")
        return unschedulable(
            "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already "
            "in-use by another pod"
        )

    def events_to_register(self) -> list[EventInterest]:
        """A pod that held the same and goes, a new node, the pod's claim."""
        return [
            EventInterest(ClusterEvent(EventResource.ASSIGNED_POD, Action.DELETE), _shared_a_volume),
            EventInterest(ClusterEvent(EventResource.NODE, Action.ADD)),
            EventInterest(ClusterEvent(EventResource.PERSISTENT_VOLUME_CLAIM, Action.ADD), _is_its_claim),
        ]


def _used(claims: "list[str] | tuple[str, ...]", snapshot: Snapshot) -> bool:
    return any(claim in snapshot.volumes.claims for claim in claims)


def _shared_a_volume(info: PodInfo, old: Pod, _: Pod | None) -> Hint:
    """Only pods of the same namespace are looked at, as kube-scheduler does even for disks."""
    if old.metadata.namespace != info.pod.metadata.namespace:
        return Hint.SKIP
    wanted, held = info.volumes, volumes_of(old)
    written = {disk.identity for disk in held.disks if not disk.read_only}
    mounted = {disk.identity for disk in held.disks}
    shared = any(disk.identity in (written if disk.read_only else mounted) for disk in wanted.disks)
    return Hint.QUEUE if shared or set(wanted.claims) & set(held.claims) else Hint.SKIP


def _is_its_claim(info: PodInfo, _: PersistentVolumeClaim | None, new: PersistentVolumeClaim) -> Hint:
    key = f"{new.metadata.namespace}/{new.metadata.name}"
    return Hint.QUEUE if key in info.volumes.claims else Hint.SKIP
