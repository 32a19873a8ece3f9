"""What stands against a pod's claims on each node, and for how long such a verdict holds."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import numpy as np

from pallet.api.storage import PersistentVolume, PersistentVolumeClaim
from pallet.cache.cursor import Cursor
from pallet.cache.node_table import NodeTable
from pallet.framework.interface import Codes, RowChoice
from pallet.plugins.volumes.assumed import AssumeCache
from pallet.plugins.volumes.claims import STORAGE, selected_node
from pallet.plugins.volumes.free import Demand, FreeVolumes
from pallet.plugins.volumes.matching import Matching, are_countable
from pallet.plugins.volumes.migration import InTreeNodeAffinity, Migration, bound_node_affinity
from pallet.plugins.volumes.node_affinity import VolumeNodeAffinity, matching_rows, node_affinity_of
from pallet.plugins.volumes.pod_claims import PodClaims
from pallet.plugins.volumes.provisioning import Provisioning

OUT_OF_REACH, NOTHING_TO_BIND, TOO_LITTLE_STORAGE, NO_VOLUME = 1, 2, 4, 8
"""The bits of a code."""


class Topic(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """What a verdict depends on: where the bound volumes are, and what is wanted (with a size or without)."""

    affinities: tuple[VolumeNodeAffinity | InTreeNodeAffinity, ...] = ()
    demands: tuple[tuple[Demand, bool], ...] = ()


class _Seen:
    """The changes that a reader has seen."""

    def __init__(self) -> None:
        self.everywhere, self.nodes, self.volumes = Cursor(), Cursor(), Cursor()


class Verdicts:
    """Judges a pod's claims on all nodes, or on one."""

    def __init__(
        self,
        volumes: AssumeCache[PersistentVolume],
        free: FreeVolumes,
        matching: Matching,
        provisioning: Provisioning,
        migration: Migration,
    ) -> None:
        self._volumes = volumes
        self._free = free
        self._matching = matching
        self._provisioning = provisioning
        self._migration = migration

    def all_nodes_will_do(self, claims: PodClaims) -> bool:
        """Whether nothing stands against any node, as can be told without a look at them."""
        bound = (self._volumes.get(claim.spec.volume_name) for claim in claims.bound)
        return (
            not claims.started
            and all(volume is not None and bound_node_affinity(volume) is None for volume in bound)
            and all(self._provisioning.is_possible_everywhere(each.claim) for each in claims.unbound)
        )

    def topic(self, claims: PodClaims) -> Topic | None:
        """What the verdict depends on; None for a verdict on these claims alone."""
        volumes = [self._volumes.get(claim.spec.volume_name) for claim in claims.bound]
        found = [volume for volume in volumes if volume is not None]
        alone = claims.started or any(self._free.kept(each.claim, each.demand) for each in claims.unbound)
        if alone or len(found) < len(volumes) or not are_countable(claims.unbound):
            return None
        demands = ((each.demand, STORAGE in each.claim.spec.resources.requests) for each in claims.unbound)
        return Topic(tuple(map(bound_node_affinity, found)), tuple(demands))

    def changes(self, topic: Topic, table: NodeTable, stamp: Any) -> tuple[Any, list[int] | None]:
        """A new stamp, and the rows whose verdict may have changed since the old one; None for all."""
        seen: _Seen = stamp or _Seen()
        pools = [self._free.pool(demand.storage_class).changes for demand, _ in topic.demands]
        migrates = any(isinstance(affinity, InTreeNodeAffinity) for affinity in topic.affinities)
        everywhere = [self._provisioning.changes, *([self._migration.changes] if migrates else [])]
        anything = seen.everywhere.read_all(*everywhere)
        changed, volumes = seen.nodes.read(table.node_changes), seen.volumes.read_each(*pools)
        if anything is None or anything or changed is None or None in volumes:
            return seen, None
        rows = set(changed)
        for each in volumes:
            for _, volume in each or ():
                rows.update(matching_rows(node_affinity_of(volume), table).tolist())
        return seen, sorted(rows)

    def codes(
        self,
        claims: PodClaims,
        table: NodeTable,
        rows: RowChoice,
        taken: Collection[PersistentVolume] = (),
    ) -> Codes:
        """All that stands against each of the rows, if some volumes are taken. Raise UntranslatableError."""
        codes = np.zeros(table.live[rows].shape, np.uint32)
        if claims.bound:
            codes |= self._judge_bound(claims.bound, table, rows)
        if claims.started or claims.unbound:
            codes |= self._judge_unbound(claims, table, rows, taken)
        return codes

    def code(
        self, claims: PodClaims, table: NodeTable, row: int, taken: Collection[PersistentVolume] = ()
    ) -> int:
        """All that stands against one row, if some volumes are taken. Raise UntranslatableError."""
        node = table.nodes[row]
        labels = node.metadata.labels if node is not None else {}
        code = 0
        for claim in claims.bound:
            volume = self._volumes.get(claim.spec.volume_name)
            if volume is None or not self._migration.matches_labels(
                bound_node_affinity(volume), table.name(row), labels
            ):
                code = NO_VOLUME if volume is None else OUT_OF_REACH
                break
        if any(selected_node(claim) != table.name(row) for claim in claims.started):
            return code | NOTHING_TO_BIND
        chosen = self._matching.choose(claims.unbound, labels, taken)
        missing = [each.claim for each, volume in zip(claims.unbound, chosen, strict=True) if volume is None]
        for claim in (*claims.started, *missing):
            forbidden, too_little = self._provisioning.obstacles(claim, table, slice(row, row + 1))
            if forbidden.any():
                return code | NOTHING_TO_BIND
            if too_little.any():
                return code | TOO_LITTLE_STORAGE
        return code

    def _judge_bound(
        self, bound: Sequence[PersistentVolumeClaim], table: NodeTable, rows: RowChoice
    ) -> Codes:
        """The first of the bound claims whose volume cannot be used decides."""
        left = np.ones(table.live[rows].shape, np.bool_)
        codes = left * np.uint32(0)
        for claim in bound:
            volume = self._volumes.get(claim.spec.volume_name)
            if volume is None:
                codes |= left * np.uint32(NO_VOLUME)
                break
            within = self._migration.matching_mask(bound_node_affinity(volume), table, rows)
            codes |= (left & ~within) * np.uint32(OUT_OF_REACH)
            left &= within
        return codes

    def _judge_unbound(
        self, claims: PodClaims, table: NodeTable, rows: RowChoice, taken: Collection[PersistentVolume]
    ) -> Codes:
        """Of the claims for which a volume must be made, the first for which it cannot be made decides."""
        left = np.ones(table.live[rows].shape, np.bool_)
        for claim in claims.started:
            left &= np.arange(table.capacity)[rows] == table.row_of.get(selected_node(claim) or "", -1)
        codes: Codes = ~left * np.uint32(NOTHING_TO_BIND)
        found = self._matching.found(claims.unbound, table, rows, taken)
        missing = [(claim, np.ones_like(left)) for claim in claims.started]
        missing += [(each.claim, ~mask) for each, mask in zip(claims.unbound, found, strict=True)]
        for claim, needed in missing:
            forbidden, too_little = self._provisioning.obstacles(claim, table, rows)
            codes |= (left & needed & forbidden) * np.uint32(NOTHING_TO_BIND)
            codes |= (left & needed & ~forbidden & too_little) * np.uint32(TOO_LITTLE_STORAGE)
            left = codes == 0
        return codes
