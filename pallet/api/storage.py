"""Volumes and their claims, classes, drivers and attachments, as far as a scheduler reads them."""

import msgspec

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.meta import ObjectMeta
from pallet.api.resource import Resource
from pallet.api.selectors import LabelSelector, NodeSelector
from pallet.api.volumes import AWSDisk, AzureDisk, CinderDisk, GCEDisk, PortworxVolume


class VolumeResources(msgspec.Struct, frozen=True, gc=False):
    """What a claim asks for: `storage`."""

    requests: Labels = NO_LABELS


class PersistentVolumeClaimSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The volume a claim wants, and has once it is bound.

    A storage class name of None is one that the API server has not defaulted; an empty one means a volume
    without a class.
    """

    access_modes: tuple[str, ...] = ()
    selector: LabelSelector | None = None
    resources: VolumeResources = VolumeResources()
    volume_name: str = ""
    storage_class_name: str | None = None
    volume_mode: str = "Filesystem"
    volume_attributes_class_name: str | None = None


class PersistentVolumeClaimStatus(msgspec.Struct, frozen=True, gc=False):
    """How far a claim has come: Pending, Bound or Lost."""

    phase: str = ""


class PersistentVolumeClaim(msgspec.Struct, frozen=True, gc=False):
    """core/v1 PersistentVolumeClaim."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()
    status: PersistentVolumeClaimStatus = PersistentVolumeClaimStatus()


class ClaimReference(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The claim that a volume is bound to, or kept for."""

    namespace: str = ""
    name: str = ""
    uid: str = ""


class VolumeNodeAffinity(msgspec.Struct, frozen=True, gc=False):
    """The nodes from which a volume can be reached."""

    required: NodeSelector | None = None


class CSISource(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A volume of a CSI driver."""

    driver: str
    volume_handle: str


class PersistentVolumeSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a volume is."""

    capacity: Labels = NO_LABELS
    access_modes: tuple[str, ...] = ()
    claim_ref: ClaimReference | None = None
    storage_class_name: str = ""
    volume_mode: str = "Filesystem"
    node_affinity: VolumeNodeAffinity | None = None
    volume_attributes_class_name: str | None = None
    csi: CSISource | None = None
    gce_persistent_disk: GCEDisk | None = None
    aws_elastic_block_store: AWSDisk | None = None
    azure_disk: AzureDisk | None = None
    cinder: CinderDisk | None = None
    portworx_volume: PortworxVolume | None = None


class PersistentVolumeStatus(msgspec.Struct, frozen=True, gc=False):
    """How far a volume has come: Pending, Available, Bound, Released or Failed."""

    phase: str = ""


class PersistentVolume(msgspec.Struct, frozen=True, gc=False):
    """core/v1 PersistentVolume."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeStatus = PersistentVolumeStatus()


class TopologySelectorRequirement(msgspec.Struct, frozen=True, gc=False):
    """A label that a node must have, with one of these values."""

    key: str
    values: tuple[str, ...] = ()


class TopologySelectorTerm(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Nodes by label; all requirements must hold."""

    match_label_expressions: tuple[TopologySelectorRequirement, ...] = ()


class StorageClass(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """storage/v1 StorageClass."""

    metadata: ObjectMeta = ObjectMeta()
    provisioner: str = ""
    volume_binding_mode: str = "Immediate"
    allowed_topologies: tuple[TopologySelectorTerm, ...] = ()


class VolumeNodeResources(msgspec.Struct, frozen=True, gc=False):
    """How many volumes a driver can attach to a node; None where it does not say."""

    count: int | None = None


class CSINodeDriver(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A driver that runs on a node."""

    name: str
    node_id: str = msgspec.field(default="", name="nodeID")
    topology_keys: tuple[str, ...] | None = None
    allocatable: VolumeNodeResources | None = None


class CSINodeSpec(msgspec.Struct, frozen=True, gc=False):
    """The drivers of a node; the API server writes null where there are none."""

    drivers: tuple[CSINodeDriver, ...] | None = None


class CSINode(msgspec.Struct, frozen=True, gc=False):
    """storage/v1 CSINode, named as its node."""

    metadata: ObjectMeta = ObjectMeta()
    spec: CSINodeSpec = CSINodeSpec()


class CSIDriverSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What the driver can do."""

    storage_capacity: bool = False
    prevent_pod_scheduling_if_missing: bool = False


class CSIDriver(msgspec.Struct, frozen=True, gc=False):
    """storage/v1 CSIDriver."""

    metadata: ObjectMeta = ObjectMeta()
    spec: CSIDriverSpec = CSIDriverSpec()


class CSIStorageCapacity(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """storage/v1 CSIStorageCapacity: what is left for a class on some nodes."""

    metadata: ObjectMeta = ObjectMeta()
    storage_class_name: str = ""
    node_topology: LabelSelector | None = None
    capacity: str | None = None
    maximum_volume_size: str | None = None


class AttachmentSource(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The volume that is attached."""

    persistent_volume_name: str | None = None


class VolumeAttachmentSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A volume, a node, and who attaches the one to the other."""

    attacher: str = ""
    node_name: str = ""
    source: AttachmentSource = AttachmentSource()


class VolumeAttachment(msgspec.Struct, frozen=True, gc=False):
    """storage/v1 VolumeAttachment."""

    metadata: ObjectMeta = ObjectMeta()
    spec: VolumeAttachmentSpec = VolumeAttachmentSpec()


PERSISTENT_VOLUME_CLAIMS = Resource("", "v1", "persistentvolumeclaims", PersistentVolumeClaim)
PERSISTENT_VOLUMES = Resource("", "v1", "persistentvolumes", PersistentVolume, namespaced=False)
STORAGE_CLASSES = Resource("storage.k8s.io", "v1", "storageclasses", StorageClass, namespaced=False)
CSI_NODES = Resource("storage.k8s.io", "v1", "csinodes", CSINode, namespaced=False)
CSI_DRIVERS = Resource("storage.k8s.io", "v1", "csidrivers", CSIDriver, namespaced=False)
CSI_STORAGE_CAPACITIES = Resource("storage.k8s.io", "v1", "csistoragecapacities", CSIStorageCapacity)
VOLUME_ATTACHMENTS = Resource("storage.k8s.io", "v1", "volumeattachments", VolumeAttachment, namespaced=False)
