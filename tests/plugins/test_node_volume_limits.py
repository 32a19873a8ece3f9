"""NodeVolumeLimits: what CSI drivers can attach to a node."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
import pytest

from pallet.api.meta import Object, ObjectMeta
from pallet.api.pod import Pod
from pallet.api.resource import Resource
from pallet.api.storage import (
    CSI_DRIVERS,
    CSI_NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    CSIDriver,
    CSIDriverSpec,
    PersistentVolumeClaim,
    PersistentVolumeSpec,
    VolumeAttachment,
)
from pallet.api.volumes import AWSDisk, AzureDisk, CinderDisk, GCEDisk, ISCSIVolume, PortworxVolume, Volume
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import ASSIGNED_POD_DELETE, Action, ClusterEvent, EventResource, Hint
from pallet.framework.status import PluginError
from pallet.plugins.node_volume_limits import NodeVolumeLimits, _overfull
from pallet.plugins.volumes.attached import AttachedCounts, AttachedVolumes
from tests.builders import make_node, make_pod
from tests.plugins.asking import Asked
from tests.profiles import Objects
from tests.storage import (
    DRIVER,
    claimed,
    ephemeral,
    make_attachment,
    make_claim,
    make_class,
    make_csi_node,
    make_volume,
)

FULL = "node(s) exceed max volume count"
EBS = "ebs.csi.aws.com"
SLOW, IN_TREE = make_class("slow"), make_class("ebs", "kubernetes.io/aws-ebs")


def bound(*names: str) -> dict[Resource[Any], Iterable[Object]]:
    """Claims, each bound to a volume of its name."""
    return {
        PERSISTENT_VOLUME_CLAIMS: [make_claim(name, volume=name) for name in names],
        PERSISTENT_VOLUMES: [make_volume(name) for name in names],
    }


def asked(
    *placed: Pod,
    limits: Mapping[str, int | None] | None = None,
    objects: Objects | None = None,
) -> Asked:
    """A node `a` with limits (2 for the driver unless told otherwise), a node `b` without a CSINode."""
    node = make_csi_node("a", {DRIVER: 2} if limits is None else limits)
    given = dict(objects or {})
    given.setdefault(CSI_NODES, [node])
    return Asked(NodeVolumeLimits, [make_node("a"), make_node("b")], placed, objects=given)


def using(*claims: str, name: str = "p", node: str = "") -> Pod:
    return make_pod(name, node=node, volumes=map(claimed, claims))


@pytest.mark.parametrize(
    ("placed", "wanted", "message"),
    [
        pytest.param([], ["a", "b"], "", id="as many as it takes"),
        pytest.param([], ["a", "b", "c"], FULL, id="one too many at once"),
        pytest.param([["a"]], ["b"], "", id="one beside another"),
        pytest.param([["a"], ["b"]], ["c"], FULL, id="no room left"),
        pytest.param([["a", "b"]], ["c"], FULL, id="no room left, all by one pod"),
        pytest.param([["a"], ["a"]], ["b"], "", id="two pods share a volume"),
        pytest.param([["a"], ["b"]], ["a"], "", id="the pod shares a volume"),
        pytest.param([["a"], ["b"]], ["a", "c"], FULL, id="the pod shares one of two"),
        pytest.param([["a"], ["b"], ["c"]], ["a"], "", id="too many, but none is new"),
        pytest.param([["gone"], ["a"]], ["b"], "", id="a claim that is gone does not count"),
    ],
)
def test_a_node_takes_as_many_volumes_as_its_driver_can_attach(
    placed: list[list[str]], wanted: list[str], message: str
) -> None:
    pods = [using(*claims, name=f"on-{index}", node="a") for index, claims in enumerate(placed)]
    plugin = asked(*pods, objects=bound("a", "b", "c"))
    assert plugin.messages(using(*wanted)) == {"a": message, "b": ""}


@pytest.mark.parametrize(
    ("limits", "message"),
    [({DRIVER: None}, ""), ({"other": 0}, ""), ({}, ""), ({DRIVER: 0}, FULL), ({DRIVER: 1, "other": 0}, "")],
)
def test_only_a_limit_of_the_volumes_driver_counts(limits: Mapping[str, int | None], message: str) -> None:
    plugin = asked(limits=limits, objects=bound("a"))
    assert plugin.messages(using("a"))["a"] == message


ABSENT = f"{DRIVER} CSI driver is not installed on the node"
EBS_ABSENT = f"{EBS} CSI driver is not installed on the node"


@pytest.mark.parametrize(
    ("drivers", "limits", "pod", "expected"),
    [
        pytest.param({DRIVER: True}, {DRIVER: None}, using("a"), ("", ABSENT), id="one node has it"),
        pytest.param({DRIVER: True}, {"other": 1}, using("a"), (ABSENT, ABSENT), id="another driver"),
        pytest.param({DRIVER: True}, {DRIVER: 0}, using("a"), (FULL, ABSENT), id="installed, but full"),
        pytest.param({DRIVER: False}, {}, using("a"), ("", ""), id="it may be missing"),
        pytest.param({}, {}, using("a"), ("", ""), id="no CSIDriver"),
        pytest.param({"other": True}, {}, using("a"), ("", ""), id="not the pod's driver"),
        pytest.param({DRIVER: True}, {}, using("late"), (ABSENT, ABSENT), id="a volume to be made"),
        pytest.param({EBS: True}, {}, using("ebs"), (EBS_ABSENT, ""), id="in-tree: only where migrated"),
        pytest.param(
            {EBS: True},
            {},
            make_pod("p", volumes=[Volume(aws_elastic_block_store=AWSDisk("v"))]),
            (EBS_ABSENT, ""),
            id="an in-tree volume of the pod",
        ),
    ],
)
def test_change_2_a_node_without_the_driver_is_refused(
    drivers: Mapping[str, bool], limits: Mapping[str, int | None], pod: Pod, expected: tuple[str, str]
) -> None:
    objects = bound("a")
    claims = [
        make_claim("a", volume="a"),
        make_claim("late", storage_class="slow"),
        make_claim("ebs", storage_class="ebs"),
    ]
    objects |= {
        PERSISTENT_VOLUME_CLAIMS: claims,
        STORAGE_CLASSES: [SLOW, IN_TREE],
        CSI_DRIVERS: [
            CSIDriver(ObjectMeta(name=name), CSIDriverSpec(prevent_pod_scheduling_if_missing=prevented))
            for name, prevented in drivers.items()
        ],
    }
    assert tuple(asked(limits=limits, objects=objects).messages(pod).values()) == expected


def test_volumes_of_two_drivers_are_counted_apart() -> None:
    objects = bound("a", "b")
    objects[PERSISTENT_VOLUMES] = [make_volume("a"), make_volume("b", driver="other")]
    plugin = asked(using("b", name="on", node="a"), limits={DRIVER: 1, "other": 1}, objects=objects)
    assert plugin.messages(using("a"))["a"] == ""
    assert plugin.messages(using("b", "a"))["a"] == ""


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        pytest.param(make_claim("new", storage_class="slow"), FULL, id="to be provisioned"),
        pytest.param(make_claim("new", storage_class="ebs"), "", id="by another driver"),
        pytest.param(make_claim("new", storage_class="unknown"), "", id="of a class that is not there"),
        pytest.param(make_claim("new"), "", id="without a class"),
        pytest.param(make_claim("new", storage_class="slow", volume="gone"), FULL, id="volume not there"),
        pytest.param(
            make_claim("new", annotations={"volume.beta.kubernetes.io/storage-class": "slow"}),
            FULL,
            id="class by annotation",
        ),
    ],
)
def test_an_unbound_claim_counts_for_the_provisioner_of_its_class(
    claim: PersistentVolumeClaim, message: str
) -> None:
    objects: Objects = {PERSISTENT_VOLUME_CLAIMS: [claim], STORAGE_CLASSES: [SLOW, IN_TREE]}
    assert asked(limits={DRIVER: 0, EBS: 1}, objects=objects).messages(using("new"))["a"] == message


@pytest.mark.parametrize(
    ("provisioner", "driver", "message"),
    [
        ("kubernetes.io/aws-ebs", EBS, FULL),
        ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io", FULL),
        ("kubernetes.io/azure-file", "file.csi.azure.com", ""),
    ],
)
def test_an_in_tree_provisioner_stands_for_its_driver(provisioner: str, driver: str, message: str) -> None:
    objects: Objects = {
        PERSISTENT_VOLUME_CLAIMS: [make_claim("new", storage_class="old")],
        STORAGE_CLASSES: [make_class("old", provisioner)],
    }
    assert asked(limits={driver: 0}, objects=objects).messages(using("new"))["a"] == message


def test_the_claim_of_an_ephemeral_volume_counts() -> None:
    placed = make_pod("on", node="a", volumes=[ephemeral("scratch")])
    objects: Objects = {
        PERSISTENT_VOLUME_CLAIMS: [
            make_claim("on-scratch", storage_class="slow", owner="uid-on"),
            make_claim("p-scratch", storage_class="slow", owner="uid-p"),
        ],
        STORAGE_CLASSES: [SLOW],
    }
    plugin = asked(placed, limits={DRIVER: 1}, objects=objects)
    assert plugin.messages(make_pod("p", volumes=[ephemeral("scratch")])) == {"a": FULL, "b": ""}


@pytest.mark.parametrize(
    ("volume", "driver"),
    [
        (Volume(aws_elastic_block_store=AWSDisk("vol-1")), EBS),
        (Volume(gce_persistent_disk=GCEDisk("disk")), "pd.csi.storage.gke.io"),
        (Volume(azure_disk=AzureDisk("disk", "uri")), "disk.csi.azure.com"),
        (Volume(cinder=CinderDisk("disk")), "cinder.csi.openstack.org"),
        (Volume(portworx_volume=PortworxVolume("disk")), "pxd.portworx.com"),
    ],
)
def test_an_in_tree_volume_of_a_pod_counts_for_its_driver(volume: Volume, driver: str) -> None:
    pod = make_pod("p", volumes=[volume])
    assert asked(limits={driver: 0}).messages(pod)["a"] == FULL
    mounting_the_same = make_pod("on", node="a", volumes=[volume])
    assert asked(mounting_the_same, limits={driver: 0}).messages(pod)["a"] == ""


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (PersistentVolumeSpec(aws_elastic_block_store=AWSDisk("aws://zone/vol-1")), ""),
        (PersistentVolumeSpec(aws_elastic_block_store=AWSDisk("vol-2")), FULL),
    ],
)
def test_an_in_tree_volume_behind_a_claim_is_the_same_as_in_a_pod(
    spec: PersistentVolumeSpec, message: str
) -> None:
    inline = Volume(aws_elastic_block_store=AWSDisk("vol-1"))
    objects = bound("a")
    objects[PERSISTENT_VOLUMES] = [make_volume("a", spec=spec)]
    plugin = asked(make_pod("on", node="a", volumes=[inline]), limits={EBS: 1}, objects=objects)
    assert plugin.messages(using("a"))["a"] == message


@pytest.mark.parametrize(
    ("attachment", "message"),
    [
        pytest.param(make_attachment("a", "b"), FULL, id="of a volume that no pod there uses"),
        pytest.param(make_attachment("a", "on"), "", id="of one that a pod uses"),
        pytest.param(make_attachment("b", "b"), "", id="on another node"),
        pytest.param(make_attachment("a", "b", attacher="other"), "", id="by another driver"),
        pytest.param(make_attachment("a", "b", attacher=""), "", id="by nobody"),
        pytest.param(make_attachment("a", None), "", id="of no volume"),
        pytest.param(make_attachment("a", "gone"), "", id="of a volume that is gone"),
    ],
)
def test_volume_attachments_count_beside_the_pods(attachment: VolumeAttachment, message: str) -> None:
    objects = bound("a", "b", "on") | {VOLUME_ATTACHMENTS: [attachment]}
    plugin = asked(using("on", name="on", node="a"), objects=objects)
    assert plugin.messages(using("a"))["a"] == message


def test_a_pod_whose_claim_is_missing_goes_nowhere() -> None:
    missing = '!looking up PVC default/b: persistentvolumeclaim "b" not found'
    assert asked(objects=bound("a")).messages(using("a", "b")) == {"a": missing, "b": missing}


def test_a_claim_made_for_another_pod_is_an_error() -> None:
    claim = make_claim("p-scratch", storage_class="slow", owner="uid-other")
    plugin = asked(objects={PERSISTENT_VOLUME_CLAIMS: [claim], STORAGE_CLASSES: [SLOW]})
    words = r"PVC default/p-scratch was not created for pod default/p \(pod is not owner\)"
    with pytest.raises(PluginError, match=words):
        plugin.messages(make_pod("p", volumes=[ephemeral("scratch")]))


def test_a_pod_without_volumes_to_attach_is_not_asked_about() -> None:
    plugin = asked().plugin
    assert plugin.filter_signature(PodInfo(make_pod("p"))) is None
    iscsi = make_pod("p", volumes=[Volume(iscsi=ISCSIVolume("disk"))])
    assert plugin.filter_signature(PodInfo(iscsi)) is None
    assert plugin.filter_signature(PodInfo(using("a"))) is not None


def test_the_volumes_of_a_pod_are_not_gone_through_for_each_node() -> None:
    class Watched(set[tuple[str, str]]):
        def __sub__(self, _: object) -> set[tuple[str, str]]:
            raise AssertionError("all of them were compared")

    attached_counts = AttachedCounts(cast("AttachedVolumes", None))
    attached_counts.on_row = {0: {(EBS, "v1"), (EBS, "other")}}
    attached_counts.attached = {EBS: np.array([2, 0, 9])}
    wanted = Watched((EBS, f"v{number}") for number in range(4))
    assert _overfull(EBS, wanted, np.array([5, 3, 20]), attached_counts) == [1]
    assert _overfull(EBS, wanted, np.array([4, 4, 12]), attached_counts) == [0, 2]


def event(resource: EventResource, action: Action) -> ClusterEvent:
    return ClusterEvent(resource, action)


@pytest.mark.parametrize(
    ("before", "after", "hint"),
    [
        ({DRIVER: 1}, {DRIVER: 2}, Hint.QUEUE),
        ({DRIVER: 2}, {DRIVER: 1}, Hint.SKIP),
        ({DRIVER: 1}, {DRIVER: 1, "other": 1}, Hint.QUEUE),
        ({DRIVER: 1}, {DRIVER: 1, "other": None}, Hint.SKIP),
        ({DRIVER: 1}, {DRIVER: None}, Hint.SKIP),
        ({DRIVER: 1}, {}, Hint.SKIP),
    ],
)
def test_a_limit_that_grows_helps(
    before: Mapping[str, int | None], after: Mapping[str, int | None], hint: Hint
) -> None:
    old, new = make_csi_node("a", before), make_csi_node("a", after)
    update = event(EventResource.CSI_NODE, Action.UPDATE)
    assert asked().hint(update, using("a"), old, new) is hint


def test_any_new_csi_node_helps() -> None:
    added = event(EventResource.CSI_NODE, Action.ADD)
    assert asked().hint(added, using("a"), None, make_csi_node("c", {})) is Hint.QUEUE


@pytest.mark.parametrize(
    ("gone", "hint"),
    [
        (using("x", node="a"), Hint.QUEUE),
        (make_pod("x", node="a", volumes=[ephemeral("e")]), Hint.QUEUE),
        (make_pod("x", node="a", volumes=[Volume(cinder=CinderDisk("c"))]), Hint.QUEUE),
        (make_pod("x", node="a", volumes=[Volume("config")]), Hint.SKIP),
        (make_pod("x", node="a"), Hint.SKIP),
    ],
)
def test_a_placed_pod_with_volumes_that_goes_helps(gone: Pod, hint: Hint) -> None:
    assert asked().hint(ASSIGNED_POD_DELETE, using("a"), gone, None) is hint


@pytest.mark.parametrize(
    ("claim", "hint"),
    [
        (make_claim("a"), Hint.QUEUE),
        (make_claim("p-e"), Hint.QUEUE),
        (make_claim("e"), Hint.SKIP),
        (make_claim("a", namespace="other"), Hint.SKIP),
    ],
)
def test_a_new_claim_helps_the_pod_that_it_is_for(claim: PersistentVolumeClaim, hint: Hint) -> None:
    added = event(EventResource.PERSISTENT_VOLUME_CLAIM, Action.ADD)
    pod = make_pod("p", volumes=[claimed("a"), ephemeral("e")])
    assert asked().hint(added, pod, None, claim) is hint


@pytest.mark.parametrize(
    ("volumes", "hint"),
    [
        ([claimed("a")], Hint.QUEUE),
        ([ephemeral("e")], Hint.SKIP),
        ([Volume(aws_elastic_block_store=AWSDisk("vol-1"))], Hint.QUEUE),
        ([Volume(cinder=CinderDisk("c"))], Hint.SKIP),
    ],
)
def test_an_attachment_that_goes_helps_by_its_driver(volumes: list[Volume], hint: Hint) -> None:
    gone = event(EventResource.VOLUME_ATTACHMENT, Action.DELETE)
    attachment: VolumeAttachment = make_attachment("a", "v", attacher=EBS)
    assert asked().hint(gone, make_pod("p", volumes=volumes), attachment, None) is hint
