"""What is decided for the claims of a pod on its node: volumes to be bound, and volumes to be made."""

from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from pallet.api.labels import Labels
from pallet.api.meta import Object
from pallet.api.storage import ClaimReference, PersistentVolume, PersistentVolumeClaim
from pallet.plugins.volumes.claims import BIND_COMPLETED, BOUND_BY_CONTROLLER, SELECTED_NODE, is_kept_for


@dataclass(slots=True)
class Binding:
    """A claim, and the volume kept for it."""

    volume: PersistentVolume
    claim: PersistentVolumeClaim


@dataclass(slots=True)
class VolumeChoice:
    """The claims' volumes. Once written, the answers of the API stand in place of what was assumed."""

    bindings: list[Binding] = field(default_factory=list)
    provisions: list[PersistentVolumeClaim] = field(default_factory=list)


def keep_for(volume: PersistentVolume, claim: PersistentVolumeClaim) -> PersistentVolume:
    """A volume as it is kept for a claim. Who kept it is noted, unless it was the user."""
    meta, mine = volume.metadata, claim.metadata
    reference = ClaimReference(mine.namespace, mine.name, mine.uid)
    if not is_kept_for(volume, claim) and BOUND_BY_CONTROLLER not in meta.annotations:
        meta = replace(meta, annotations=Labels({**meta.annotations, BOUND_BY_CONTROLLER: "yes"}))
    return replace(volume, metadata=meta, spec=replace(volume.spec, claim_ref=reference))


def select_node(claim: PersistentVolumeClaim, node_name: str) -> PersistentVolumeClaim:
    """A claim as it asks for a volume on a node."""
    annotations = Labels({**claim.metadata.annotations, SELECTED_NODE: node_name})
    return replace(claim, metadata=replace(claim.metadata, annotations=annotations))


def bind_to(claim: PersistentVolumeClaim, volume: PersistentVolume) -> PersistentVolumeClaim:
    """A claim as it is once it is bound to a volume."""
    annotations = Labels({**claim.metadata.annotations, BIND_COMPLETED: "yes"})
    metadata = replace(claim.metadata, annotations=annotations)
    return replace(claim, metadata=metadata, spec=replace(claim.spec, volume_name=volume.metadata.name))


def volume_patch(binding: Binding) -> dict[str, Any]:
    """What is written to keep a volume for its claim, if nobody has changed the volume meanwhile."""
    claim = binding.claim.metadata
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": claim.namespace,
        "name": claim.name,
        "uid": claim.uid,
        "resourceVersion": claim.resource_version,
    }
    return {"metadata": _metadata(binding.volume, BOUND_BY_CONTROLLER), "spec": {"claimRef": reference}}


def claim_patch(claim: PersistentVolumeClaim) -> dict[str, Any]:
    """What is written to have a volume made, if nobody has changed the claim meanwhile."""
    return {"metadata": _metadata(claim, SELECTED_NODE)}


def _metadata(obj: Object, annotation: str) -> dict[str, Any]:
    meta = obj.metadata
    found = {"uid": meta.uid, "resourceVersion": meta.resource_version}
    value = meta.annotations.get(annotation)
    return found if value is None else {**found, "annotations": {annotation: value}}
