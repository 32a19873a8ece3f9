"""Claims, volumes and what belongs to them, from the few fields that a test is about."""

from collections.abc import Iterable, Mapping
from typing import Any

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta, OwnerReference
from pallet.api.selectors import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from pallet.api.storage import (
    AttachmentSource,
    ClaimReference,
    CSINode,
    CSINodeDriver,
    CSINodeSpec,
    CSISource,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimStatus,
    PersistentVolumeSpec,
    PersistentVolumeStatus,
    StorageClass,
    TopologySelectorRequirement,
    TopologySelectorTerm,
    VolumeAttachment,
    VolumeAttachmentSpec,
    VolumeNodeAffinity,
    VolumeNodeResources,
    VolumeResources,
)
from pallet.api.volumes import ClaimVolume, EphemeralVolume, Volume
from pallet.plugins.volumes.migration import MIGRATED_PLUGINS
from tests.builders import EPOCH

DRIVER = "csi.example.com"


def claimed(name: str) -> Volume:
    """A pod's volume that a claim stands for."""
    return Volume(f"volume-{name}", ClaimVolume(name))


def ephemeral(name: str) -> Volume:
    """A pod's volume with a claim of its own."""
    return Volume(name, ephemeral=EphemeralVolume())


def make_claim(
    name: str,
    *,
    namespace: str = "default",
    volume: str = "",
    storage_class: str | None = None,
    modes: Iterable[str] = ("ReadWriteOnce",),
    owner: str = "",
    annotations: Mapping[str, str] | None = None,
    size: str | None = None,
    phase: str = "",
    version: int = 1,
    deleted: bool = False,
    **spec: Any,
) -> PersistentVolumeClaim:
    """A claim, bound to a volume where one is named; `owner` is the UID of the pod it was made for.

    `spec` are more fields of its spec.
    """
    owners = (OwnerReference("Pod", "", owner, "v1", controller=True),) if owner else ()
    return PersistentVolumeClaim(
        ObjectMeta(
            name=name,
            namespace=namespace,
            uid=f"uid-{name}",
            resource_version=str(version),
            deletion_timestamp=EPOCH if deleted else None,
            owner_references=owners,
            annotations=Labels(annotations or {}),
        ),
        PersistentVolumeClaimSpec(
            access_modes=tuple(modes),
            resources=VolumeResources(Labels({} if size is None else {"storage": size})),
            volume_name=volume,
            storage_class_name=storage_class,
            **spec,
        ),
        PersistentVolumeClaimStatus(phase),
    )


def make_volume(
    name: str,
    *,
    driver: str = DRIVER,
    holder: str = "",
    spec: PersistentVolumeSpec | None = None,
) -> PersistentVolume:
    """A volume of a CSI driver, unless `spec` says what it is. `holder` is the claim it is bound to."""
    claim = ClaimReference("default", holder) if holder else None
    csi = PersistentVolumeSpec(csi=CSISource(driver, name), claim_ref=claim)
    return PersistentVolume(ObjectMeta(name=name), spec or csi)


def make_free_volume(
    name: str,
    *,
    size: str = "1Gi",
    storage_class: str = "late",
    reach: Mapping[str, str] | None = None,
    modes: Iterable[str] = ("ReadWriteOnce",),
    kept_for: ClaimReference | None = None,
    phase: str = "Available",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    version: int = 1,
    deleted: bool = False,
    **spec: Any,
) -> PersistentVolume:
    """A volume that nobody has yet, reached from nodes with the labels `reach` (from all without them).

    `kept_for` keeps it for a claim all the same. `spec` are more fields of its spec.
    """
    affinity = reach and VolumeNodeAffinity(reached_by(reach))
    return PersistentVolume(
        ObjectMeta(
            name=name,
            uid=f"uid-{name}",
            resource_version=str(version),
            deletion_timestamp=EPOCH if deleted else None,
            labels=Labels(labels or {}),
            annotations=Labels(annotations or {}),
        ),
        PersistentVolumeSpec(
            **{
                "capacity": Labels({"storage": size}),
                "access_modes": tuple(modes),
                "claim_ref": kept_for,
                "storage_class_name": storage_class,
                "node_affinity": affinity or None,
                **spec,
            }
        ),
        PersistentVolumeStatus(phase),
    )


def reached_by(labels: Mapping[str, str]) -> NodeSelector:
    """Nodes with all of these labels."""
    requirements = (NodeSelectorRequirement(key, "In", (value,)) for key, value in labels.items())
    return NodeSelector((NodeSelectorTerm(tuple(requirements)),))


def make_class(
    name: str, provisioner: str = DRIVER, *, late: bool = False, topologies: Iterable[Mapping[str, str]] = ()
) -> StorageClass:
    """A storage class; `late` ones wait for the first consumer, `topologies` are the labels of its nodes."""
    terms = (
        TopologySelectorTerm(
            tuple(TopologySelectorRequirement(key, (value,)) for key, value in topology.items())
        )
        for topology in topologies
    )
    mode = "WaitForFirstConsumer" if late else "Immediate"
    return StorageClass(ObjectMeta(name=name), provisioner, mode, tuple(terms))


def make_csi_node(
    name: str,
    limits: Mapping[str, int | None] | None = None,
    *,
    migrated: Iterable[str] = (),
    version: int = 1,
) -> CSINode:
    """What CSI drivers run on a node, each with how many volumes it can attach there (None for no limit).

    `migrated` are in-tree plugins whose volumes they have taken over.
    """
    plugins = ",".join(migrated)
    return CSINode(
        ObjectMeta(
            name=name,
            resource_version=str(version),
            annotations=Labels({MIGRATED_PLUGINS: plugins} if plugins else {}),
        ),
        CSINodeSpec(
            tuple(
                CSINodeDriver(driver, allocatable=None if limit is None else VolumeNodeResources(limit))
                for driver, limit in (limits or {}).items()
            )
        ),
    )


def make_attachment(node: str, volume: str | None, *, attacher: str = DRIVER) -> VolumeAttachment:
    """A PersistentVolume that is attached to a node, or is to be."""
    return VolumeAttachment(
        ObjectMeta(name=f"{node}-{volume}"), VolumeAttachmentSpec(attacher, node, AttachmentSource(volume))
    )
