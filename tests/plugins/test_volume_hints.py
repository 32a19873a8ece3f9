from typing import Any

import pytest
from msgspec.structs import replace

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.pod import Pod
from pallet.api.storage import CSIDriver, CSIDriverSpec, CSINode, CSIStorageCapacity
from pallet.api.volumes import InlineCSIVolume, Volume
from pallet.framework.events import Action, ClusterEvent, EventResource, Hint
from pallet.plugins.volume_binding import VolumeBinding
from tests.builders import ZONE, make_node, make_pod
from tests.plugins.asking import Asked
from tests.plugins.volume_scene import a_pod, late
from tests.storage import DRIVER, claimed, ephemeral, make_class, make_free_volume

POD = make_pod("p", volumes=[claimed("c"), ephemeral("scratch")])
INLINE = make_pod("p", volumes=[Volume("v", csi=InlineCSIVolume(DRIVER))])
ZONAL = make_class("late", late=True, topologies=[{ZONE: "z"}])
LATE = make_class("late", late=True)


def csi_node(migrated: str | None) -> CSINode:
    annotations = {} if migrated is None else {"storage.alpha.kubernetes.io/migrated-plugins": migrated}
    return CSINode(ObjectMeta(name="a", annotations=Labels(annotations)))


def driver(name: str = DRIVER, *, keeps_account: bool) -> CSIDriver:
    return CSIDriver(ObjectMeta(name=name), CSIDriverSpec(storage_capacity=keeps_account))


def capacity(size: str | None = None, largest: str | None = None) -> CSIStorageCapacity:
    return CSIStorageCapacity(ObjectMeta(name="x"), "late", None, size, largest)


@pytest.mark.parametrize(
    ("resource", "pod", "old", "new", "helps"),
    [
        ("STORAGE_CLASS", POD, None, LATE, True),
        ("STORAGE_CLASS", POD, LATE, ZONAL, True),
        ("STORAGE_CLASS", POD, ZONAL, replace(ZONAL, provisioner="other"), False),
        ("PERSISTENT_VOLUME_CLAIM", POD, None, late("c"), True),
        ("PERSISTENT_VOLUME_CLAIM", POD, late("c"), late("c"), True),
        ("PERSISTENT_VOLUME_CLAIM", POD, None, late("p-scratch"), True),
        ("PERSISTENT_VOLUME_CLAIM", POD, None, late("other"), False),
        ("PERSISTENT_VOLUME_CLAIM", POD, None, late("c", namespace="other"), False),
        ("PERSISTENT_VOLUME", POD, None, make_free_volume("v"), True),
        ("PERSISTENT_VOLUME", POD, make_free_volume("v"), make_free_volume("v"), True),
        ("NODE", POD, None, make_node("a"), True),
        ("CSI_NODE", POD, None, csi_node(None), True),
        ("CSI_NODE", POD, csi_node(None), csi_node("kubernetes.io/aws-ebs"), True),
        ("CSI_NODE", POD, csi_node(None), csi_node(""), False),
        ("CSI_DRIVER", INLINE, driver(keeps_account=True), driver(keeps_account=False), True),
        ("CSI_DRIVER", INLINE, driver(keeps_account=False), driver(keeps_account=True), False),
        ("CSI_DRIVER", INLINE, driver("x", keeps_account=True), driver("x", keeps_account=False), False),
        ("CSI_DRIVER", a_pod("c"), driver(keeps_account=True), driver(keeps_account=False), False),
        ("CSI_DRIVER", INLINE, None, driver(keeps_account=False), False),
        ("CSI_STORAGE_CAPACITY", POD, None, capacity(), True),
        ("CSI_STORAGE_CAPACITY", POD, capacity("1Gi"), capacity("2Gi"), True),
        ("CSI_STORAGE_CAPACITY", POD, capacity("2Gi"), capacity("1Gi"), False),
        ("CSI_STORAGE_CAPACITY", POD, capacity("2Gi"), capacity("2Gi"), False),
        ("CSI_STORAGE_CAPACITY", POD, capacity(), capacity("1"), True),
        ("CSI_STORAGE_CAPACITY", POD, capacity("1"), capacity(), False),
        ("CSI_STORAGE_CAPACITY", POD, capacity("9Gi", "2Gi"), capacity("9Gi", "3Gi"), True),
        ("CSI_STORAGE_CAPACITY", POD, capacity("1Gi", "1Gi"), capacity("9Gi", "1Gi"), False),
    ],
)
def test_which_events_help(resource: str, pod: Pod, old: Any, new: Any, helps: bool) -> None:  # noqa: FBT001 - a table
    event = ClusterEvent(EventResource[resource], Action.ADD if old is None else Action.UPDATE)
    assert Asked(VolumeBinding).hint(event, pod, old, new) is (Hint.QUEUE if helps else Hint.SKIP)


@pytest.mark.parametrize(
    ("action", "helps"), [(Action.UPDATE_NODE_LABEL, True), (Action.UPDATE_NODE_TAINT, False)]
)
def test_what_of_a_node_helps(action: Action, helps: bool) -> None:  # noqa: FBT001 - a table
    event = ClusterEvent(EventResource.NODE, action)
    hint = Asked(VolumeBinding).hint(event, POD, make_node("a"), make_node("a"))
    assert hint is (Hint.QUEUE if helps else Hint.SKIP)
