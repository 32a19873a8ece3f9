"""What becomes of an in-tree volume's topology in its CSI form (csi-translation-lib).

Disks of Azure and volumes of Portworx keep their node affinity as it is.
"""

from collections.abc import Mapping

from pallet.api.in_tree import AWS_EBS, AZURE, GCE_PD, OPENSTACK
from pallet.api.labels import Labels
from pallet.api.selectors import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from pallet.api.storage import PersistentVolume
from pallet.bounded_cache import MIB, bounded_cache
from pallet.plugins.volumes.node_affinity import VolumeNodeAffinity, by_labels, node_affinity_of

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
BETA_ZONE, BETA_REGION = "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region"

_TOPOLOGY_KEYS: Mapping[str, str] = {
    AWS_EBS: "topology.ebs.csi.aws.com/zone",
    GCE_PD: "topology.gke.io/zone",
    OPENSTACK: "topology.cinder.csi.openstack.org/zone",
}
"""The label that the driver gives its nodes for their zone, by in-tree plugin."""

_DELIMITER = "__"
"""Between the zones of a label that has several."""


def csi_node_affinity(volume: PersistentVolume, plugin: str) -> VolumeNodeAffinity:
    """From where the CSI form of a volume of a plugin can be reached."""
    key = _TOPOLOGY_KEYS.get(plugin)
    if key is None:
        return node_affinity_of(volume)
    affinity = volume.spec.node_affinity
    return _translated(None if affinity is None else affinity.required, volume.metadata.labels, key)


def mistake_of(volume: PersistentVolume, plugin: str) -> str:
    """Why a volume of a plugin has no CSI form; empty for one that has. The text is kube-scheduler's."""
    spec = volume.spec
    if plugin == AWS_EBS and spec.aws_elastic_block_store is not None:
        return _ebs_mistake(spec.aws_elastic_block_store.volume_id)
    if plugin == GCE_PD:
        labels = volume.metadata.labels
        return _zones_mistake(labels.get(BETA_ZONE) or labels.get(ZONE, ""))
    if plugin == AZURE and spec.azure_disk is not None:
        kind = spec.azure_disk.kind
        if kind is not None and kind.lower() != "managed":
            return f"kind({kind}) is not supported in csi migration"
    return ""


@bounded_cache("volume_topologies", 4 * MIB)
def _translated(required: NodeSelector | None, labels: Labels, key: str) -> VolumeNodeAffinity:
    """Rename the zone in the node affinity; where it has none, add that of the labels to all terms."""
    terms = () if required is None else required.node_selector_terms
    written = [each for term in terms for each in term.match_expressions]
    is_beta = _is_beta({each.key for each in written}, labels)
    zone = BETA_ZONE if is_beta else ZONE
    valued = {each.key for each in written if each.values}
    renamed = {zone: key} if zone in valued else {}
    if is_beta and BETA_REGION in valued:
        renamed[BETA_REGION] = REGION
    added: tuple[NodeSelectorRequirement, ...] = ()
    zones = tuple(part for part in labels.get(zone, "").split(_DELIMITER) if part)
    if zone not in valued and zones:
        added = (NodeSelectorRequirement(key, "In", zones),)
        terms = terms or (NodeSelectorTerm(),)
    elif required is None:
        return None
    return by_labels(
        NodeSelector(
            tuple(
                NodeSelectorTerm(
                    tuple(
                        NodeSelectorRequirement(renamed.get(each.key, each.key), each.operator, each.values)
                        for each in term.match_expressions
                    )
                    + added,
                    term.match_fields,
                )
                for term in terms
            )
        )
    )


def _is_beta(keys: set[str], labels: Labels) -> bool:
    """Whether the zone has its beta name: node affinity tells before labels, the newer name before it."""
    for names in (keys, labels):
        if ZONE in names:
            return False
        if BETA_ZONE in names:
            return True
    return False


def _ebs_mistake(volume_id: str) -> str:
    """A bare ID will do, and one of the form aws://<zone>/vol-<anything>."""
    path = volume_id.removeprefix("aws://").partition("/")[2].strip("/")
    if not volume_id.startswith("aws://") or (path.startswith("vol-") and "/" not in path):
        return ""
    return f"failed to translate Kubernetes ID to EBS Volume ID Invalid format for AWS volume ({volume_id})"


def _zones_mistake(label: str) -> str:
    """Several zones, named <continent>-<region>-<zone>, must be of one region."""
    zones = label.split(_DELIMITER)
    if len(zones) == 1:
        return ""
    odd = next((zone for zone in zones if zone.count("-") != 2), None)
    regions = sorted({zone.rpartition("-")[0] for zone in zones})
    if odd is not None:
        words = f"zone in unexpected format, expected: {{locale}}-{{region}}-{{zone}}, got: {odd}"
    elif len(regions) > 1:
        found = " ".join(f"{region}:{{}}" for region in regions)
        words = f"multiple or no regions gotten from zones, got: map[{found}]"
    else:
        return ""
    return f"failed to get region from zones: {words}"
