"""NodeVolumeLimits: no more volumes on a node than its CSI drivers can attach.

Nodes without a driver are refused too where its CSIDriver says `preventPodSchedulingIfMissing`.
"""

from collections.abc import Hashable
from typing import Any

import numpy as np
import numpy.typing as npt

from pallet.api.pod import Pod
from pallet.api.storage import CSI_DRIVERS, CSI_NODES, CSINode, PersistentVolumeClaim, VolumeAttachment
from pallet.cache.changes import ChangeLog
from pallet.cache.cursor import Cursor
from pallet.cache.node_table import NodeTable
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.cache.volumes_in_use import volumes_of
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.handle import Handle
from pallet.framework.interface import Codes, Reads, RowChoice
from pallet.framework.state import CycleState
from pallet.framework.status import PluginError, Status, unresolvable, unschedulable
from pallet.informers.informer import Handler
from pallet.plugins import names
from pallet.plugins.volumes.attached import AttachedCounts, AttachedVolumes, Counts, CSIVolume
from pallet.plugins.volumes.claims import claim_names, is_made_for

_TOO_MANY, _NO_CLAIM = 1, 2
_NOT_INSTALLED = 3
"""The first driver of the pod is not installed, by name; the next codes are for the next drivers."""


class NodeVolumeLimits:
    """Refuses nodes where a driver would have to attach more volumes than it can."""

    name = names.NODE_VOLUME_LIMITS
    filter_reads = Reads.CLUSTER

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take what claims stand for, what is attached where, and the limits."""
        self._attached = AttachedVolumes(handle.informers)
        self._limits = _Limits()
        self._drivers = handle.informers.informer(CSI_DRIVERS).store
        nodes = handle.informers.informer(CSI_NODES)
        nodes.add_handler(Handler(self._limits.put, lambda _, new: self._limits.put(new), self._limits.drop))

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """Asked about every pod with claims or in-tree volumes."""
        volumes = info.volumes
        return self.name if volumes.claims or volumes.ephemeral or volumes.mounted else None

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Whether a claim is missing, or some driver is not installed or has too much to attach.

        Raises PluginError when the claim of an ephemeral volume was made for another pod.
        """
        table = snapshot.table
        if self._missing(info.pod) is not None:
            return np.full(table.live[rows].shape, _NO_CLAIM, np.uint32)
        codes = np.zeros(table.capacity, np.uint32)
        by_driver = self._wanted(info)
        for driver, wanted in by_driver.items():
            if self._limits.has(driver):
                attached_counts = self._attached.attached_counts(snapshot)
                limits = self._limits.of(driver, table, attached_counts)
                codes[_overfull(driver, wanted, limits, attached_counts)] = _TOO_MANY
        for place, driver in enumerate(sorted(by_driver)):
            found = self._drivers.get(driver)
            if found is not None and found.spec.prevent_pod_scheduling_if_missing:
                accepted = self._limits.accepted(driver, table, in_tree=self._only_in_tree(info, driver))
                codes[~accepted & (codes < _NOT_INSTALLED)] = _NOT_INSTALLED + place
        return codes[rows]

    def explain(self, info: PodInfo, code: int) -> Status:
        """The claim or driver that is missing, or the one reason for all drivers."""
        if code >= _NOT_INSTALLED:
            driver = sorted(self._wanted(info))[code - _NOT_INSTALLED]
            return unschedulable(f"{driver} CSI driver is not installed on the node")
        if code == _NO_CLAIM:
            name, namespace = self._missing(info.pod), info.pod.metadata.namespace
            return unresolvable(
                f'looking up PVC {namespace}/{name}: persistentvolumeclaim "{name}" not found'
            )
        return unschedulable("node(s) exceed max volume count")

    def events_to_register(self) -> list[EventInterest]:
        """A driver that is new on a node or can do more, a pod with volumes or an attachment that goes."""
        return [
            EventInterest(ClusterEvent(EventResource.CSI_NODE, Action.ADD)),
            EventInterest(ClusterEvent(EventResource.CSI_NODE, Action.UPDATE), _limit_grew),
            EventInterest(ClusterEvent(EventResource.ASSIGNED_POD, Action.DELETE), _had_volumes),
            EventInterest(ClusterEvent(EventResource.PERSISTENT_VOLUME_CLAIM, Action.ADD), _is_its_claim),
            EventInterest(ClusterEvent(EventResource.VOLUME_ATTACHMENT, Action.DELETE), _may_free_a_place),
        ]

    def _missing(self, pod: Pod) -> str | None:
        """The first of the pod's claims that does not exist."""
        known, namespace = self._attached.claims, pod.metadata.namespace
        return next((name for name in claim_names(pod) if f"{namespace}/{name}" not in known), None)

    def _wanted(self, info: PodInfo) -> dict[str, set[CSIVolume]]:
        """The pod's volumes by driver."""
        wanted: dict[str, set[CSIVolume]] = {}
        for key in info.volumes.ephemeral:
            claim = self._attached.claims.get(key)
            if claim is not None and not is_made_for(claim, info.pod):
                words = f"PVC {key} was not created for pod {info.pod.key} (pod is not owner)"
                raise PluginError(self.name, words)
        found = (self._attached.volume_of(key) for key in (*info.volumes.claims, *info.volumes.ephemeral))
        for volume in (*found, *info.volumes.mounted):
            if volume is not None:
                wanted.setdefault(volume[0], set()).add(volume)
        return wanted

    def _only_in_tree(self, info: PodInfo, driver: str) -> bool:
        """Whether all volumes of the driver are in-tree volumes."""
        keys = (*info.volumes.claims, *info.volumes.ephemeral)
        return all(
            self._attached.is_in_tree(key)
            for key in keys
            if (volume := self._attached.volume_of(key)) is not None and volume[0] == driver
        )


class _Limits:
    """The drivers of each node, and how many volumes each can attach there, as CSINodes say."""

    def __init__(self) -> None:
        self._drivers_of: dict[str, frozenset[str]] = {}
        self._by_driver: dict[str, dict[str, int]] = {}
        self._changes: ChangeLog[str] = ChangeLog()

    def put(self, node: CSINode) -> None:
        """Take the drivers of a node, new or changed."""
        self.drop(node)
        self._drivers_of[node.metadata.name] = frozenset(driver.name for driver in node.spec.drivers or ())
        for driver in node.spec.drivers or ():
            if driver.allocatable is not None and driver.allocatable.count is not None:
                limits = self._by_driver.setdefault(driver.name, {})
                limits[node.metadata.name] = driver.allocatable.count

    def drop(self, node: CSINode) -> None:
        """Take out the drivers of a node."""
        self._changes.record(node.metadata.name)
        self._drivers_of.pop(node.metadata.name, None)
        for limits in self._by_driver.values():
            limits.pop(node.metadata.name, None)

    def accepted(self, driver: str, table: NodeTable, *, in_tree: bool) -> npt.NDArray[np.bool_]:
        """The rows with the driver; for in-tree volumes also those without a CSINode: nothing is migrated."""
        accepted = np.full(table.capacity, in_tree)
        for node_name, drivers in self._drivers_of.items():
            if node_name in table.row_of:
                accepted[table.row_of[node_name]] = driver in drivers
        return accepted

    def has(self, driver: str) -> bool:
        """Whether the driver has a limit on any node."""
        return bool(self._by_driver.get(driver))

    def of(self, driver: str, table: NodeTable, attached_counts: AttachedCounts) -> Counts:
        """The driver's limit on each row, _NO_LIMIT where it has none; kept with the counts."""
        logs = self._changes, table.node_changes
        kept = attached_counts.limits.get(driver)
        if kept is None or kept[0].is_behind(*logs):
            column = np.full(table.capacity, _NO_LIMIT, np.int64)
            for node_name, limit in self._by_driver[driver].items():
                if node_name in table.row_of:
                    column[table.row_of[node_name]] = limit
            kept = attached_counts.limits[driver] = (Cursor(*logs), column)
        return kept[1]


_NO_LIMIT = np.iinfo(np.int64).max


def _overfull(
    driver: str, wanted: set[CSIVolume], limits: Counts, attached_counts: AttachedCounts
) -> list[int]:
    """The rows where the driver cannot attach what is there and what is wanted beside it.

    A volume that a pod of the node mounts already is not wanted again.
    """
    attached = attached_counts.attached.get(driver, np.zeros_like(limits))
    suspects: list[int] = (attached > limits - len(wanted)).nonzero()[0].tolist()
    nothing: set[CSIVolume] = set()
    new = {row: len(wanted) - len(wanted & attached_counts.on_row.get(row, nothing)) for row in suspects}
    return [row for row in suspects if new[row] and attached[row] + new[row] > limits[row]]


def _limit_grew(_: PodInfo, old: CSINode, new: CSINode) -> Hint:
    before, after = _counts(old), _counts(new)
    return Hint.QUEUE if any(count > before.get(name, 0) for name, count in after.items()) else Hint.SKIP


def _counts(node: CSINode) -> dict[str, int]:
    """The limits of a node's drivers; one that has none counts as 0, as in kube-scheduler."""
    return {
        driver.name: (driver.allocatable.count or 0) if driver.allocatable else 0
        for driver in node.spec.drivers or ()
    }


def _had_volumes(_: PodInfo, old: Pod, __: Pod | None) -> Hint:
    volumes = volumes_of(old)
    return Hint.QUEUE if volumes.claims or volumes.ephemeral or volumes.mounted else Hint.SKIP


def _is_its_claim(info: PodInfo, _: PersistentVolumeClaim | None, new: PersistentVolumeClaim) -> Hint:
    same_namespace = new.metadata.namespace == info.pod.metadata.namespace
    return Hint.QUEUE if same_namespace and new.metadata.name in claim_names(info.pod) else Hint.SKIP


def _may_free_a_place(info: PodInfo, old: VolumeAttachment, _: VolumeAttachment | None) -> Hint:
    """Any attachment, for a pod with claims: what they stand for is not looked up, as in kube-scheduler."""
    if info.volumes.claims:
        return Hint.QUEUE
    drivers = {driver for driver, _ in info.volumes.mounted}
    return Hint.QUEUE if old.spec.attacher in drivers else Hint.SKIP
