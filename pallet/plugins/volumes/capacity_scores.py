"""How well nodes are suited to a pod by the storage that would be used there, as part of what there is.

On a node with free volumes for the pod they are compared with what is asked for; elsewhere the capacity from
which volumes would be made. Each class of storage counts once (volumebinding/scorer.go).
"""

from collections.abc import Collection, Iterable

import numpy as np

from pallet.api.quantity import whole
from pallet.api.requests import LARGEST_AMOUNT
from pallet.api.storage import PersistentVolume, PersistentVolumeClaim
from pallet.cache.changes import Rows
from pallet.cache.node_table import NodeTable
from pallet.cache.resource_columns import Amounts
from pallet.framework.interface import RowChoice, Scores
from pallet.plugins.volumes.claims import STORAGE, class_of
from pallet.plugins.volumes.free import FreeVolumes
from pallet.plugins.volumes.matching import Matching, UnboundClaim
from pallet.plugins.volumes.pod_claims import PodClaims
from pallet.plugins.volumes.provisioning import Provisioning


class CapacityScores:
    """Scores rows for a pod's claims. `shape` has the score for each utilization, 0 to 100 per cent."""

    def __init__(
        self, free: FreeVolumes, matching: Matching, provisioning: Provisioning, shape: Amounts
    ) -> None:
        self._free = free
        self._matching = matching
        self._provisioning = provisioning
        self._shape = shape

    def may_differ(self, claims: PodClaims) -> bool:
        """Whether any node can have a score but 0: there are free volumes, or capacities are known."""
        return any(self._is_static(each) for each in claims.unbound) or any(
            map(self._provisioning.is_limited, _provisioned(claims))
        )

    def of(
        self,
        claims: PodClaims,
        table: NodeTable,
        rows: RowChoice,
        taken: Collection[PersistentVolume] = (),
    ) -> Scores:
        """The score of each of the rows, 0 to 100, if some volumes are taken: int64, (rows,)."""
        scores = self._of_provisioning(_provisioned(claims), table)[rows]
        if not any(self._is_static(each) for each in claims.unbound):
            return scores
        indexes = np.arange(table.capacity)[rows]
        for members in self._alike(claims.unbound, table, indexes):
            node = table.nodes[indexes[members[0]]]
            volumes = self._matching.choose(claims.unbound, node.metadata.labels if node else {}, taken)
            if any(volumes):
                scores[members] = self._of_volumes(claims.unbound, volumes)
        return scores

    def _is_static(self, unbound: UnboundClaim) -> bool:
        """Whether there is any free volume of the claim's class, or one is kept for the claim."""
        pool = self._free.pool(unbound.demand.storage_class)
        return bool(pool) or self._free.kept(unbound.claim, unbound.demand) is not None

    def _alike(self, unbound: Iterable[UnboundClaim], table: NodeTable, indexes: Rows) -> list[Rows]:
        """The positions of rows that reach the same volumes, for they are alike in the labels that decide."""
        if not indexes.size:
            return []
        keys = {key for each in unbound for key in self._free.topology_keys(each.claim, each.demand)}
        alike = np.zeros(indexes.size, np.int64)
        for key in keys:
            codes = table.labels[key].codes[indexes]
            _, alike = np.unique(alike * (int(codes.max()) + 2) + codes + 1, return_inverse=True)
        order = np.argsort(alike, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(alike[order])) + 1)

    def _of_volumes(self, unbound: Iterable[UnboundClaim], volumes: Iterable[PersistentVolume | None]) -> int:
        asked: dict[str, int] = {}
        there: dict[str, int] = {}
        for each, volume in zip(unbound, volumes, strict=True):
            if volume is not None:
                name = class_of(each.claim)
                asked[name] = asked.get(name, 0) + _size(each.claim)
                there[name] = there.get(name, 0) + whole(volume.spec.capacity.get(STORAGE, "0"))
        scores = [int(self._score(asked[name], np.int64(there[name]))) for name in asked]
        return int(sum(scores) / len(scores) + 0.5)

    def _of_provisioning(self, claims: Iterable[PersistentVolumeClaim], table: NodeTable) -> Scores:
        asked: dict[str, int] = {}
        there: dict[str, Amounts] = {}
        for claim in claims:
            capacities = self._provisioning.capacities(claim, table)
            if capacities is not None:
                name = class_of(claim)
                asked[name] = asked.get(name, 0) + _size(claim)
                there[name] = capacities
        total = np.zeros(table.capacity, np.int64)
        for name, capacities in there.items():
            total += self._score(asked[name], capacities)
        classes = max(1, len(there))
        return (2 * total + classes) // (2 * classes)

    def _score(self, asked: int, there: Amounts | np.int64) -> Amounts:
        """The score of what is asked for as part of what is there; all is used where that is too little."""
        part = np.minimum(asked * 100 // np.maximum(there, 1), 100)
        scores: Amounts = self._shape[np.where(there == 0, 100, part)]
        return scores


def _provisioned(claims: PodClaims) -> tuple[PersistentVolumeClaim, ...]:
    """The claims for which volumes are made where there are none."""
    return (*(each.claim for each in claims.unbound), *claims.started)


def _size(claim: PersistentVolumeClaim) -> int:
    return min(whole(claim.spec.resources.requests.get(STORAGE, "0")), LARGEST_AMOUNT)
