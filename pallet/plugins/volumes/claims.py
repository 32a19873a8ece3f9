"""What claims and volumes say about themselves, read as k8s.io/component-helpers/storage/volume reads it."""

from collections.abc import Iterator

from pallet.api.pod import Pod
from pallet.api.quantity import parse_quantity
from pallet.api.storage import PersistentVolume, PersistentVolumeClaim
from pallet.api.volumes import Volume
from pallet.bounded_cache import MIB, bounded_cache

SELECTED_NODE = "volume.kubernetes.io/selected-node"
"""On a claim: the node for which its volume is to be provisioned."""
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
"""On a claim: the volume controller has done all it does for a binding."""
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
"""On a volume: it was not the user who kept it for its claim."""
STORAGE = "storage"
WAIT_FOR_FIRST_CONSUMER = "WaitForFirstConsumer"

_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"

exact = bounded_cache("quantities", 2 * MIB)(parse_quantity)
"""A quantity in billionths, to compare sizes without rounding."""


def claim_name(pod: Pod, volume: Volume) -> str | None:
    """The claim that a volume of a pod stands for; None where it stands for none."""
    if volume.persistent_volume_claim is not None:
        return volume.persistent_volume_claim.claim_name
    return f"{pod.metadata.name}-{volume.name}" if volume.ephemeral is not None else None


def claim_names(pod: Pod) -> Iterator[str]:
    """The names of all claims of a pod, in the order of its volumes."""
    for volume in pod.spec.volumes:
        name = claim_name(pod, volume)
        if name is not None:
            yield name


def class_of(obj: PersistentVolume | PersistentVolumeClaim) -> str:
    """The storage class of a volume or claim; empty for none."""
    beta = obj.metadata.annotations.get(_BETA_CLASS)
    return beta if beta is not None else obj.spec.storage_class_name or ""


def is_fully_bound(claim: PersistentVolumeClaim) -> bool:
    """Whether a claim has its volume, and the volume controller is done with it."""
    return bool(claim.spec.volume_name) and BIND_COMPLETED in claim.metadata.annotations


def is_made_for(claim: PersistentVolumeClaim, pod: Pod) -> bool:
    """Whether a pod owns a claim, as it does those of its ephemeral volumes."""
    owners = claim.metadata.owner_references
    return any(owner.controller and owner.uid == pod.metadata.uid for owner in owners)


def requested(claim: PersistentVolumeClaim) -> int:
    """The size that a claim asks for, in billionths of a byte."""
    return exact(claim.spec.resources.requests.get(STORAGE, 0))


def capacity(volume: PersistentVolume) -> int:
    """The size of a volume, in billionths of a byte."""
    return exact(volume.spec.capacity.get(STORAGE, 0))


def is_kept_for(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether a volume is bound to a claim, or kept for it by name."""
    kept = volume.spec.claim_ref
    if kept is None or (kept.namespace, kept.name) != (claim.metadata.namespace, claim.metadata.name):
        return False
    return kept.uid in ("", claim.metadata.uid)


def holder_of(volume: PersistentVolume) -> str | None:
    """The key of the claim that a volume is bound to or kept for; None for a free one."""
    kept = volume.spec.claim_ref
    return None if kept is None else f"{kept.namespace}/{kept.name}"


def selected_node(claim: PersistentVolumeClaim) -> str | None:
    """The node for which the claim's volume is being provisioned; None when nothing was decided."""
    return claim.metadata.annotations.get(SELECTED_NODE)
