"""How far the binding of a pod's claims has come, as the API shows it: nothing that is assumed counts."""

from collections.abc import Mapping

from pallet.api.meta import key_of
from pallet.api.pod import PODS, Pod
from pallet.api.storage import PersistentVolume, PersistentVolumeClaim
from pallet.framework.handle import Handle
from pallet.informers.versions import is_older
from pallet.plugins.volumes.assumed import AssumeCache
from pallet.plugins.volumes.choice import Binding, VolumeChoice
from pallet.plugins.volumes.claims import is_fully_bound, selected_node
from pallet.plugins.volumes.migration import Migration, UntranslatableError, bound_node_affinity


class UndoneError(Exception):
    """A binding came to nothing, so the pod must be scheduled again; the text is kube-scheduler's."""


class Progress:
    """Looks at claims and volumes."""

    def __init__(
        self,
        handle: Handle,
        volumes: AssumeCache[PersistentVolume],
        claims: AssumeCache[PersistentVolumeClaim],
        migration: Migration,
    ) -> None:
        self._snapshot = handle.cache.snapshot
        self._pods = handle.informers.informer(PODS).store
        self._volumes = volumes
        self._claims = claims
        self._migration = migration

    def is_done(self, pod: Pod, node_name: str, written: VolumeChoice) -> bool:
        """Whether all claims have their volumes. Raise UndoneError where one of them will not get it."""
        self._labels(node_name)
        if self._pods.get(pod.key) is None:
            raise UndoneError(f'pod does not exist any more: pod "{pod.metadata.name}" not found')
        return self._has_volumes(node_name, written)

    def is_over(self, node_name: str, written: VolumeChoice) -> bool:
        """Whether all claims have their volumes, or one of them will not get it; pod and node are there."""
        try:
            return self._has_volumes(node_name, written)
        except UndoneError:
            return True

    def _has_volumes(self, node_name: str, written: VolumeChoice) -> bool:
        return all(self._is_bound(binding, node_name) for binding in written.bindings) and all(
            self._is_made(claim, node_name) for claim in written.provisions
        )

    def _labels(self, node_name: str) -> Mapping[str, str]:
        table = self._snapshot.table
        row = table.row_of.get(node_name)
        node = None if row is None else table.nodes[row]
        if node is None:
            raise UndoneError(f'failed to get node "{node_name}": node "{node_name}" not found')
        return node.metadata.labels

    def _is_bound(self, binding: Binding, node_name: str) -> bool:
        """Whether a claim is bound to the volume that was kept for it."""
        name, key = binding.volume.metadata.name, key_of(binding.claim)
        volume = self._volumes.from_api(name)
        if volume is None:
            raise UndoneError(f'failed to check binding: persistentvolumes "{name}" not found')
        claim = self._claims.from_api(key)
        if claim is None:
            raise UndoneError(f'failed to check binding: persistentvolumeclaims "{key}" not found')
        if is_older(volume, binding.volume):  # our own write is still to be seen
            return False
        self._check_reach(volume, node_name)
        if volume.spec.claim_ref is None or not volume.spec.claim_ref.uid:
            raise UndoneError(f'ClaimRef got reset for pv "{name}"')
        return is_fully_bound(claim)

    def _is_made(self, asking: PersistentVolumeClaim, node_name: str) -> bool:
        """Whether a claim is bound to the volume that was made for it."""
        key = key_of(asking)
        claim = self._claims.from_api(key)
        if claim is None:
            raise UndoneError(f'failed to check provisioning pvc: persistentvolumeclaims "{key}" not found')
        if is_older(claim, asking):
            return False
        if not claim.metadata.annotations:
            raise UndoneError(f'selectedNode annotation reset for PVC "{claim.metadata.name}"')
        if selected_node(claim) != node_name:  # a provisioner that fails takes it away
            raise UndoneError(f'provisioning failed for PVC "{claim.metadata.name}"')
        if claim.spec.volume_name:
            volume = self._volumes.from_api(claim.spec.volume_name)
            if volume is None:  # it will be seen soon, or it is gone and the claim will be lost
                return False
            self._check_reach(volume, node_name)
        return is_fully_bound(claim)

    def _check_reach(self, volume: PersistentVolume, node_name: str) -> None:
        try:
            if self._migration.matches_labels(
                bound_node_affinity(volume), node_name, self._labels(node_name)
            ):
                return
        except UntranslatableError as mistake:
            raise UndoneError(str(mistake)) from mistake
        raise UndoneError(
            f'pv "{volume.metadata.name}" node affinity doesn\'t match node "{node_name}": '
            "no matching NodeSelectorTerms"
        )
