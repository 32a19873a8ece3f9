"""Counting pods by topology domain, over the nodes that a constraint counts on."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.pod import Pod, Toleration
from pallet.api.selectors import NodeSelector
from pallet.bounded_cache import MIB, BoundedCache, footprint
from pallet.cache.columns import ABSENT, Codes, Mask
from pallet.cache.cursor import Cursor
from pallet.cache.node_table import NodeTable
from pallet.cache.snapshot import Snapshot
from pallet.cache.tally import Counts
from pallet.framework.interface import ALL_ROWS
from pallet.plugins.node_selection import match_required
from pallet.plugins.spread_constraints import Constraint
from pallet.plugins.tolerations import NO_EXECUTE, NO_SCHEDULE, Tolerance

_DOMAINS_BYTES = 32 * MIB

_LAYOUTS_BYTES = 16 * MIB


class NodeInclusion(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """The nodes that a constraint counts on: those with all topology labels, and as its policies say."""

    keys: tuple[str, ...]
    node_selector: Labels = NO_LABELS
    required: NodeSelector | None = None
    tolerations: tuple[Toleration, ...] | None = None
    """None where taints do not matter."""

    def mask(self, table: NodeTable) -> Mask:
        """Which rows these are: bool, (capacity,)."""
        mask = table.live & match_required(self.node_selector, self.required, table, ALL_ROWS)
        for key in self.keys:
            mask &= table.labels[key].codes != ABSENT
        if self.tolerations is not None:
            tolerance = Tolerance(self.tolerations)
            for taint, present in table.taints.present.items():
                if taint.effect in (NO_SCHEDULE, NO_EXECUTE) and not tolerance.covers(taint):
                    mask &= ~present
        return mask


def inclusion_of(constraint: Constraint, keys: tuple[str, ...], pod: Pod) -> NodeInclusion:
    """Where a constraint of a pod counts, among the nodes with the labels `keys`."""
    tolerations = pod.spec.tolerations if constraint.honors_taints else None
    if not constraint.honors_affinity:
        return NodeInclusion(keys, tolerations=tolerations)
    affinity = pod.spec.affinity
    wanted = affinity.node_affinity if affinity else None
    return NodeInclusion(keys, pod.spec.node_selector, wanted.required if wanted else None, tolerations)


def count_pods(constraint: Constraint, snapshot: Snapshot) -> Counts:
    """The pods on each row that a constraint counts: int64, (capacity,), not to be changed by the caller."""
    if not constraint.counts:
        return np.zeros(snapshot.table.capacity, np.int64)
    return snapshot.counters.count(constraint.pods)


class Domains:
    """The domains of one constraint, with the number of pods in each; `refresh` before reading.

    sums: int64 by code of the topology key's label column (ABSENT gathers what is not counted)
    """

    __slots__ = (
        "_codes", "_constraint", "_counts", "_inclusion", "_lowest", "_nodes", "_present", "_seen", "sums",
    )  # fmt: skip

    def __init__(self, constraint: Constraint, inclusion: NodeInclusion) -> None:
        self.sums: Counts = np.zeros(1, np.int64)
        self._constraint = constraint
        self._inclusion = inclusion
        self._codes: Codes = np.zeros(0, np.intp)
        self._present: Codes = np.zeros(0, np.intp)
        self._seen: Counts = np.zeros(0, np.int64)
        self._nodes, self._counts = Cursor(), Cursor()
        self._lowest: int | None = None

    def refresh(self, snapshot: Snapshot, layouts: "Layouts") -> None:
        """Catch up with the snapshot: of the pods only where their number changed."""
        table, constraint = snapshot.table, self._constraint
        nodes = self._nodes.read(table.node_changes)
        rows = self._counts.read(snapshot.counters.tally(constraint.pods).changes)
        if nodes is None or nodes:
            self._codes, self._present = layouts.layout(constraint.topology_key, self._inclusion, table)
            self._recount(snapshot)
        elif rows is None:
            self._recount(snapshot)
        elif rows:
            self._follow(rows, count_pods(constraint, snapshot))

    @property
    def bytes(self) -> int:
        """What its own arrays take."""
        return self.sums.nbytes + self._seen.nbytes

    @property
    def lowest(self) -> int:
        """The fewest pods that a domain has; 0 while there are fewer domains than the constraint wants."""
        if self._lowest is None:
            few = self._present.size < max(self._constraint.min_domains, 1)
            self._lowest = 0 if few else int(self.sums[self._present].min())
        return self._lowest

    def _follow(self, rows: Sequence[int], counts: Counts) -> None:
        for row in rows:
            moved = counts.item(row) - self._seen.item(row)
            if moved:
                self._seen[row] += moved
                self.sums[self._codes.item(row)] += moved
                self._lowest = None

    def _recount(self, snapshot: Snapshot) -> None:
        size = len(snapshot.table.labels[self._constraint.topology_key].values)
        self._seen = count_pods(self._constraint, snapshot).copy()
        self.sums = np.bincount(self._codes, weights=self._seen, minlength=size).astype(np.int64)
        self._lowest = None


class Layouts:
    """Which domain each row counts for: remembered for all tables with the same nodes.

    A layout has the codes of the topology key's label column, ABSENT where a row does not count, and the
    distinct codes.
    """

    def __init__(self) -> None:
        self._inclusion: tuple[NodeInclusion, Cursor, Mask] | None = None
        self._layouts: BoundedCache[tuple[str, NodeInclusion], _Layout] = BoundedCache(
            "spread_layouts",
            _LAYOUTS_BYTES,
            lambda key, layout: footprint(key, _LAYOUTS_BYTES) + layout.codes.nbytes + layout.present.nbytes,
        )

    def layout(self, topology_key: str, inclusion: NodeInclusion, table: NodeTable) -> tuple[Codes, Codes]:
        """The codes by row and the distinct ones, not to be changed by the caller."""
        found = self._layouts.get((topology_key, inclusion))
        if found is None or found.seen.is_behind(table.node_changes):
            found = _lay_out(topology_key, self._mask(inclusion, table), table)
            self._layouts[topology_key, inclusion] = found
        return found.codes, found.present

    def _mask(self, inclusion: NodeInclusion, table: NodeTable) -> Mask:
        """The rows that an inclusion leaves, which a pod's constraints mostly share."""
        last = self._inclusion
        if last is None or last[0] != inclusion or last[1].is_behind(table.node_changes):
            last = self._inclusion = inclusion, Cursor(table.node_changes), inclusion.mask(table)
        return last[2]


class _Layout(NamedTuple):
    codes: Codes
    present: Codes
    seen: Cursor


def _lay_out(topology_key: str, mask: Mask, table: NodeTable) -> _Layout:
    column = table.labels[topology_key]
    codes = np.where(mask, column.codes, ABSENT)
    unnamed = column.code_of.get("", ABSENT)
    if unnamed != ABSENT:  # a node without the label is in one domain with those that leave it empty
        codes[mask & (column.codes == ABSENT)] = unnamed
    found = np.bincount(codes, minlength=len(column.values))
    found[ABSENT] = 0
    return _Layout(codes, found.nonzero()[0], Cursor(table.node_changes))


class DomainMemory:
    """The domains that were counted on one table."""

    def __init__(self, layouts: Layouts) -> None:
        self._layouts = layouts
        self._domains: BoundedCache[tuple[Constraint, NodeInclusion], Domains] = BoundedCache(
            "spread_domains",
            _DOMAINS_BYTES,
            lambda key, domains: footprint(key, _DOMAINS_BYTES) + domains.bytes,
        )

    def domains(self, constraint: Constraint, inclusion: NodeInclusion, snapshot: Snapshot) -> Domains:
        """The up-to-date domains of a constraint."""
        found = self._domains.get((constraint, inclusion))
        if found is None:
            found = Domains(constraint, inclusion)
            found.refresh(snapshot, self._layouts)
            self._domains[constraint, inclusion] = found
        else:
            found.refresh(snapshot, self._layouts)
        return found
