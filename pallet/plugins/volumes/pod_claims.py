"""The claims of a pod, sorted by what is left to do about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pallet.api.pod import Pod
from pallet.api.storage import PERSISTENT_VOLUME_CLAIMS, STORAGE_CLASSES, PersistentVolumeClaim
from pallet.informers.factory import InformerFactory
from pallet.plugins.volumes.assumed import AssumeCache
from pallet.plugins.volumes.claims import (
    WAIT_FOR_FIRST_CONSUMER,
    claim_name,
    class_of,
    is_fully_bound,
    is_made_for,
    selected_node,
)
from pallet.plugins.volumes.matching import UnboundClaim, unbound_claims

NO_CLAIMS: Mapping[str, PersistentVolumeClaim] = MappingProxyType({})


class UnusableClaimError(Exception):
    """A pod cannot be placed because of one of its claims; the text is kube-scheduler's."""


@dataclass(frozen=True, slots=True)
class PodClaims:
    """Claims that have their volumes, that are being provisioned for a node, and that need volumes."""

    bound: tuple[PersistentVolumeClaim, ...] = ()
    started: tuple[PersistentVolumeClaim, ...] = ()
    unbound: tuple[UnboundClaim, ...] = ()


class ClaimReader:
    """Reads a pod's claims: whether they are in order as the API shows them, the rest as assumed."""

    def __init__(self, informers: InformerFactory, claims: AssumeCache[PersistentVolumeClaim]) -> None:
        self._store = informers.informer(PERSISTENT_VOLUME_CLAIMS).store
        self._classes = informers.informer(STORAGE_CLASSES).store
        self._claims = claims

    def read(
        self, pod: Pod, supposed: Mapping[str, PersistentVolumeClaim] = MappingProxyType({})
    ) -> PodClaims:
        """A pod's claims, some of them as they are supposed to be.

        Raise UnusableClaimError where one is missing, lost, going, or should be bound.
        """
        keys = [self._checked(pod, name, own=own) for name, own in _named(pod)]
        bound, delayed = [], []
        for key in keys:
            claim = supposed.get(key) or self._claims.get(key)
            if claim is None:
                continue  # it was there a moment ago, and nothing else has run since
            if is_fully_bound(claim):
                bound.append(claim)
            elif self._waits_for_consumer(claim):
                delayed.append(claim)
            else:
                raise UnusableClaimError("pod has unbound immediate PersistentVolumeClaims")
        started = tuple(claim for claim in delayed if selected_node(claim) is not None)
        unbound = unbound_claims([claim for claim in delayed if selected_node(claim) is None])
        return PodClaims(tuple(bound), started, unbound)

    def _checked(self, pod: Pod, name: str, *, own: bool) -> str:
        """The key of a claim that is in order. `own` ones are made for the pod, some time after it."""
        key = f"{pod.metadata.namespace}/{name}"
        claim = self._store.get(key)
        if claim is None:
            if own:
                raise UnusableClaimError(
                    f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
                )
            raise UnusableClaimError(f'persistentvolumeclaim "{name}" not found')
        if claim.status.phase == "Lost":
            volume = claim.spec.volume_name
            raise UnusableClaimError(
                f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
            )
        if claim.metadata.deletion_timestamp is not None:
            raise UnusableClaimError(f'persistentvolumeclaim "{name}" is being deleted')
        if own and not is_made_for(claim, pod):
            raise UnusableClaimError(f"PVC {key} was not created for pod {pod.key} (pod is not owner)")
        return key

    def _waits_for_consumer(self, claim: PersistentVolumeClaim) -> bool:
        """Whether the scheduler chooses the volume. One that names its volume is waited for instead."""
        found = self._classes.get(class_of(claim))
        delayed = found is not None and found.volume_binding_mode == WAIT_FOR_FIRST_CONSUMER
        return delayed and not claim.spec.volume_name


def _named(pod: Pod) -> list[tuple[str, bool]]:
    """The names of a pod's claims, and whether each is made for the pod alone."""
    names = ((claim_name(pod, volume), volume.ephemeral is not None) for volume in pod.spec.volumes)
    return [(name, own) for name, own in names if name is not None]
