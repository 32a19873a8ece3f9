"""Volumes written in the way of before CSI, as the CSI volumes that they stand for.

Every node with a CSINode has the five kinds below migrated (csi-translation-lib). Azure files and vSphere
volumes are translated too, but kube-scheduler does not count them. Left out: the regions of GCE disks in
several zones (all their zones stand in the handle instead), and volume IDs of AWS that are malformed.
"""

from collections.abc import Mapping

from pallet.api.storage import PersistentVolume, PersistentVolumeSpec
from pallet.api.volumes import Volume

EBS, PERSISTENT_DISK, AZURE_DISK = "ebs.csi.aws.com", "pd.csi.storage.gke.io", "disk.csi.azure.com"
CINDER, PORTWORX = "cinder.csi.openstack.org", "pxd.portworx.com"

AWS_EBS, GCE_PD, AZURE = "kubernetes.io/aws-ebs", "kubernetes.io/gce-pd", "kubernetes.io/azure-disk"
OPENSTACK, PX = "kubernetes.io/cinder", "kubernetes.io/portworx-volume"
"""The in-tree plugins that are translated, and the provisioners of that name."""

DRIVERS: Mapping[str, str | None] = {
    AWS_EBS: EBS,
    GCE_PD: PERSISTENT_DISK,
    AZURE: AZURE_DISK,
    OPENSTACK: CINDER,
    PX: PORTWORX,
    "kubernetes.io/azure-file": None,
    "kubernetes.io/vsphere-volume": None,
}
"""The CSI driver of an in-tree provisioner; None where kube-scheduler does not count its volumes."""

_ZONE_LABELS = ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone")


def mounted_volume(volume: Volume) -> tuple[str, str] | None:
    """CSI driver and volume handle of a volume written into a pod; None for one that is not in-tree."""
    return _translated(volume, "")


def persistent_volume(volume: PersistentVolume) -> tuple[str, str] | None:
    """CSI driver and volume handle of an in-tree PersistentVolume; None for another."""
    labels = volume.metadata.labels
    zone = next((labels[label] for label in _ZONE_LABELS if labels.get(label)), "")
    return _translated(volume.spec, zone)


def plugin_of(volume: PersistentVolumeSpec) -> str | None:
    """The in-tree plugin of a volume; None for one that needs no translation."""
    if volume.csi is not None:
        return None
    sources = (
        (volume.aws_elastic_block_store, AWS_EBS),
        (volume.gce_persistent_disk, GCE_PD),
        (volume.azure_disk, AZURE),
        (volume.cinder, OPENSTACK),
        (volume.portworx_volume, PX),
    )
    return next((plugin for source, plugin in sources if source is not None), None)


def _translated(source: Volume | PersistentVolumeSpec, zone: str) -> tuple[str, str] | None:
    if (ebs := source.aws_elastic_block_store) is not None:
        return EBS, ebs.volume_id.rpartition("/")[2] if ebs.volume_id.startswith("aws://") else ebs.volume_id
    if (gce := source.gce_persistent_disk) is not None:
        return PERSISTENT_DISK, f"projects/UNSPECIFIED/zones/{zone or 'UNSPECIFIED'}/disks/{gce.pd_name}"
    if (azure := source.azure_disk) is not None:
        return AZURE_DISK, azure.disk_uri
    if (cinder := source.cinder) is not None:
        return CINDER, cinder.volume_id
    if (portworx := source.portworx_volume) is not None:
        return PORTWORX, portworx.volume_id
    return None
