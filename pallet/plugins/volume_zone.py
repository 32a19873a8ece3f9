"""VolumeZone: a volume that is labelled with zones or regions is used from these only."""

from collections.abc import Hashable
from typing import Any

import numpy as np

from pallet.api.pod import Pod
from pallet.api.selectors import NodeSelectorRequirement
from pallet.api.storage import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
)
from pallet.cache.columns import ABSENT
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.handle import Handle
from pallet.framework.interface import Codes, Reads, RowChoice
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, SUCCESS, Status, unresolvable
from pallet.plugins import names
from pallet.plugins.node_selection import match_label
from pallet.plugins.volumes.claims import WAIT_FOR_FIRST_CONSUMER, class_of

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
_OLD_ZONE, _OLD_REGION = "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region"
_LABELS = (_OLD_ZONE, _OLD_REGION, ZONE, REGION)
_SUCCESSOR = {_OLD_ZONE: ZONE, _OLD_REGION: REGION}
"""Read on nodes that lack the old label."""

_SEPARATOR = "__"
"""Between the zones of a volume with several."""

Topology = tuple[str, tuple[str, ...]]
"""A label that a node must have, and the values that will do."""


class VolumeZone:
    """Refuses nodes elsewhere. Nodes with none of the labels are taken for a cluster of a single zone."""

    name = names.VOLUME_ZONE
    filter_reads = Reads.NODE

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take claims, volumes and classes, as the API shows them."""
        self._claims = handle.informers.informer(PERSISTENT_VOLUME_CLAIMS).store
        self._volumes = handle.informers.informer(PERSISTENT_VOLUMES).store
        self._classes = handle.informers.informer(STORAGE_CLASSES).store

    def pre_filter(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> tuple[frozenset[str] | None, Status]:
        """Refuse the pod while a claim that should have a volume has none."""
        if not info.volumes.claims:
            return None, SKIP
        try:
            topologies = self._topologies(info.pod)
        except _UnusableError as unusable:
            return None, unresolvable(str(unusable))
        return None, SUCCESS if topologies else SKIP

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """What the volumes ask for."""
        try:
            return (info.volumes.claims and self._topologies(info.pod)) or None
        except _UnusableError:
            return None  # the pod was refused before

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Code 1 for nodes that have labels, but not the ones asked for."""
        labels = snapshot.table.labels
        labelled = np.zeros(snapshot.table.live[rows].shape, np.bool_)
        for key in _LABELS:
            labelled |= labels[key].codes[rows] != ABSENT
        within = np.ones_like(labelled)
        for key, values in self._topologies(info.pod):
            matching = match_label(NodeSelectorRequirement(key, "In", values), labels[key], rows)
            newer = _SUCCESSOR.get(key)
            if newer is not None:
                fallback = match_label(NodeSelectorRequirement(newer, "In", values), labels[newer], rows)
                matching |= fallback & (labels[key].codes[rows] == ABSENT)
            within &= matching
        return (labelled & ~within).astype(np.uint32)

    def explain(self, info: PodInfo, code: int) -> Status:
        """The only reason."""
        return unresolvable("node(s) had no available volume zone")

    def events_to_register(self) -> list[EventInterest]:
        """A late-binding class, a node's labels, the pod's claims, a volume or its zones."""
        changed = Action.ADD | Action.UPDATE
        nodes = ClusterEvent(EventResource.NODE, Action.ADD | Action.UPDATE_NODE_LABEL)
        return [
            EventInterest(ClusterEvent(EventResource.STORAGE_CLASS, Action.ADD), _binds_late),
            EventInterest(nodes),
            EventInterest(ClusterEvent(EventResource.PERSISTENT_VOLUME_CLAIM, changed), _is_its_claim),
            EventInterest(ClusterEvent(EventResource.PERSISTENT_VOLUME, changed), _has_other_zones),
        ]

    def _topologies(self, pod: Pod) -> tuple[Topology, ...]:
        """What the volumes of the claims that a pod names ask for. Raise _UnusableError."""
        found: list[Topology] = []
        for each in pod.spec.volumes:
            if each.persistent_volume_claim is not None:
                volume = self._volume(pod.metadata.namespace, each.persistent_volume_claim.claim_name)
                found += topologies(volume) if volume is not None else ()
        return tuple(found)

    def _volume(self, namespace: str, name: str) -> PersistentVolume | None:
        """A claim's volume; None where one is to be chosen yet."""
        claim = self._claims.get(f"{namespace}/{name}")
        if claim is None:
            raise _UnusableError(f'persistentvolumeclaim "{name}" not found')
        if not claim.spec.volume_name:
            self._check_is_late(claim)
            return None
        volume = self._volumes.get(claim.spec.volume_name)
        if volume is None:
            raise _UnusableError(f'persistentvolume "{claim.spec.volume_name}" not found')
        return volume

    def _check_is_late(self, claim: PersistentVolumeClaim) -> None:
        name = class_of(claim)
        if not name:
            raise _UnusableError("PersistentVolumeClaim had no pv name and storageClass name")
        found = self._classes.get(name)
        if found is None:
            raise _UnusableError(f'storageclass.storage.k8s.io "{name}" not found')
        if found.volume_binding_mode != WAIT_FOR_FIRST_CONSUMER:
            raise _UnusableError("PersistentVolume had no name")


class _UnusableError(Exception):
    """A claim without its volume; the text is kube-scheduler's."""


def topologies(volume: PersistentVolume) -> tuple[Topology, ...]:
    """What a volume's labels ask for; a label with an empty zone in it counts for nothing."""
    labels = volume.metadata.labels
    found = ((key, _zones(labels[key])) for key in _LABELS if key in labels)
    return tuple((key, zones) for key, zones in found if all(zones))


def _zones(text: str) -> tuple[str, ...]:
    return tuple(sorted({zone.strip() for zone in text.split(_SEPARATOR)}))


def _binds_late(_: PodInfo, __: StorageClass | None, new: StorageClass) -> Hint:
    return Hint.QUEUE if new.volume_binding_mode == WAIT_FOR_FIRST_CONSUMER else Hint.SKIP


def _is_its_claim(info: PodInfo, _: PersistentVolumeClaim | None, new: PersistentVolumeClaim) -> Hint:
    named = (each.persistent_volume_claim for each in info.pod.spec.volumes)
    mine = any(claim is not None and claim.claim_name == new.metadata.name for claim in named)
    return Hint.QUEUE if mine and new.metadata.namespace == info.pod.metadata.namespace else Hint.SKIP


def _has_other_zones(_: PodInfo, old: PersistentVolume | None, new: PersistentVolume) -> Hint:
    return Hint.QUEUE if old is None or topologies(old) != topologies(new) else Hint.SKIP
