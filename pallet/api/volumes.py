"""The volumes of a pod, as far as their kind matters to placement."""

import msgspec


class ClaimVolume(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A volume that a PersistentVolumeClaim of the pod's namespace stands for."""

    claim_name: str
    read_only: bool = False


class EphemeralVolume(msgspec.Struct, frozen=True, gc=False):
    """A volume with a claim of its own, made for the pod and named `<pod>-<volume>`."""


class GCEDisk(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A disk of GCE."""

    pd_name: str
    read_only: bool = False


class AWSDisk(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A disk of AWS."""

    volume_id: str = msgspec.field(name="volumeID")
    read_only: bool = False


class AzureDisk(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A disk of Azure; of the kinds only Managed is known to its CSI driver."""

    disk_name: str
    disk_uri: str = msgspec.field(default="", name="diskURI")
    kind: str | None = None


class CinderDisk(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A disk of OpenStack."""

    volume_id: str = msgspec.field(name="volumeID")


class PortworxVolume(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A volume of Portworx."""

    volume_id: str = msgspec.field(name="volumeID")


class ISCSIVolume(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A disk reached over iSCSI."""

    iqn: str
    lun: int = 0
    target_portal: str = ""
    read_only: bool = False


class RBDVolume(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """An image of Ceph."""

    monitors: tuple[str, ...]
    image: str
    pool: str = "rbd"
    read_only: bool = False


class InlineCSIVolume(msgspec.Struct, frozen=True, gc=False):
    """A volume that a CSI driver makes for the pod, without a claim."""

    driver: str


class ImageVolume(msgspec.Struct, frozen=True, gc=False):
    """An image, mounted as a volume."""

    reference: str = ""


class Volume(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A volume, as far as its kind matters to placement; all are None for other kinds."""

    name: str = ""
    persistent_volume_claim: ClaimVolume | None = None
    ephemeral: EphemeralVolume | None = None
    gce_persistent_disk: GCEDisk | None = None
    aws_elastic_block_store: AWSDisk | None = None
    azure_disk: AzureDisk | None = None
    cinder: CinderDisk | None = None
    portworx_volume: PortworxVolume | None = None
    iscsi: ISCSIVolume | None = None
    rbd: RBDVolume | None = None
    csi: InlineCSIVolume | None = None
    image: ImageVolume | None = None
