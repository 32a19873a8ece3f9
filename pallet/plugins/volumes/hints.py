"""What of classes, claims, drivers and capacities can help a pod that VolumeBinding refused."""

from pallet.api.storage import (
    CSIDriver,
    CSINode,
    CSIStorageCapacity,
    PersistentVolumeClaim,
    StorageClass,
)
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.plugins.volumes.claims import claim_names
from pallet.plugins.volumes.migration import MIGRATED_PLUGINS
from pallet.plugins.volumes.provisioning import limit

_NEW_OR_CHANGED = Action.ADD | Action.UPDATE


def interests() -> list[EventInterest]:
    """All that may help."""
    return [
        EventInterest(ClusterEvent(EventResource.STORAGE_CLASS, _NEW_OR_CHANGED), _allows_other_nodes),
        EventInterest(ClusterEvent(EventResource.PERSISTENT_VOLUME_CLAIM, _NEW_OR_CHANGED), _is_its_claim),
        EventInterest(ClusterEvent(EventResource.PERSISTENT_VOLUME, _NEW_OR_CHANGED)),
        EventInterest(ClusterEvent(EventResource.NODE, Action.ADD | Action.UPDATE_NODE_LABEL)),
        EventInterest(ClusterEvent(EventResource.CSI_NODE, _NEW_OR_CHANGED), _migrated),
        EventInterest(ClusterEvent(EventResource.CSI_DRIVER, Action.UPDATE), _keeps_no_account_any_more),
        EventInterest(ClusterEvent(EventResource.CSI_STORAGE_CAPACITY, _NEW_OR_CHANGED), _has_grown),
    ]


def _hint(*, helps: bool) -> Hint:
    return Hint.QUEUE if helps else Hint.SKIP


def _allows_other_nodes(_: PodInfo, old: StorageClass | None, new: StorageClass) -> Hint:
    return _hint(helps=old is None or new.allowed_topologies != old.allowed_topologies)


def _is_its_claim(info: PodInfo, _: PersistentVolumeClaim | None, new: PersistentVolumeClaim) -> Hint:
    same = new.metadata.namespace == info.pod.metadata.namespace
    return _hint(helps=same and new.metadata.name in claim_names(info.pod))


def _migrated(_: PodInfo, old: CSINode | None, new: CSINode) -> Hint:
    if old is None:
        return Hint.QUEUE
    before, after = (each.metadata.annotations.get(MIGRATED_PLUGINS, "") for each in (old, new))
    return _hint(helps=before != after)


def _keeps_no_account_any_more(info: PodInfo, old: CSIDriver, new: CSIDriver) -> Hint:
    """Upstream looks at inline volumes only, though it is claims that capacity is about."""
    inline = any(
        each.csi is not None and each.csi.driver == new.metadata.name for each in info.pod.spec.volumes
    )
    return _hint(helps=inline and old.spec.storage_capacity and not new.spec.storage_capacity)


def _has_grown(_: PodInfo, old: CSIStorageCapacity | None, new: CSIStorageCapacity) -> Hint:
    if old is None:
        return Hint.QUEUE
    before, after = limit(old), limit(new)
    return _hint(helps=after is not None and (before is None or after > before))
