"""Ranking the feasible nodes by soft topology spread constraints.

A node's raw score is the sum, over the constraints, of the pods in its domain, each weighted by the logarithm
of the number of domains: more pods are worse. The rules are those of kube-scheduler's plugin, whose numbers
are reached to the last one.
"""

import math

import msgspec
import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from pallet.api.pod import Pod
from pallet.cache.changes import Rows
from pallet.cache.columns import ABSENT, Codes, Mask
from pallet.cache.snapshot import Snapshot
from pallet.framework.interface import MAX_SCORE, Scores
from pallet.plugins.spread_constraints import HOSTNAME, Constraint, Spread
from pallet.plugins.spread_domains import DomainMemory, count_pods, ground_of

_MAX_FIELDS = 16

Shares = npt.NDArray[np.float64]


class Axis(msgspec.Struct, frozen=True, gc=False):
    """One topology key over the feasible nodes: the label's code on each, and the weight of a pod.

    `unlabelled`: those without the label; None where there are none.
    """

    codes: Codes
    weight: float
    unlabelled: Mask | None


class Field(msgspec.Struct, frozen=True, gc=False):
    """The feasible nodes as a ranking sees them, whatever pods it counts.

    `ignored`: those left out, since they lack a label; None where there are none.
    """

    rows: Rows
    node_stamp: int
    axes: tuple[Axis, ...]
    ignored: Mask | None


class SpreadScorer:
    """Scores on one table, remembering what depends on its nodes only."""

    def __init__(self, memory: DomainMemory) -> None:
        self._memory = memory
        self._fields: LRUCache[tuple[tuple[str, ...], bool], Field] = LRUCache(_MAX_FIELDS)

    def scores(self, spread: Spread, pod: Pod, snapshot: Snapshot, rows: Rows) -> Scores:
        """The scores of the feasible rows, 0 to MAX_SCORE: the fewer pods, the higher; 0 where left out."""
        keys = tuple(constraint.topology_key for constraint in spread.soft)
        field = self._field(keys, snapshot, rows, strict=spread.strict)
        required = keys if spread.strict else ()
        shares = np.zeros(rows.size, np.float64)
        for constraint, axis in zip(spread.soft, field.axes, strict=True):
            if constraint.topology_key == HOSTNAME:
                shares += _by_node(constraint, axis, snapshot, rows)
            else:
                domains = self._memory.domains(constraint, ground_of(constraint, required, pod), snapshot)
                by_domain = domains.sums * axis.weight + (constraint.max_skew - 1)
                by_domain[ABSENT] = 0
                shares += by_domain.take(axis.codes)
        raw = np.rint(shares).astype(np.int64)
        if field.ignored is None:
            return _scaled(raw, raw)
        scores = _scaled(raw, raw[~field.ignored])
        scores[field.ignored] = 0
        return scores

    def _field(self, keys: tuple[str, ...], snapshot: Snapshot, rows: Rows, *, strict: bool) -> Field:
        field = self._fields.get((keys, strict))
        stamp = snapshot.table.node_changes.stamp
        if field is None or field.node_stamp != stamp or not _same(field.rows, rows):
            field = self._fields[keys, strict] = _lay_out(keys, snapshot, rows, strict=strict)
        return field


def _same(some: Rows, others: Rows) -> bool:
    """Whether they are the same rows, mostly told by their being one object."""
    return some is others or np.array_equal(some, others)


def _by_node(constraint: Constraint, axis: Axis, snapshot: Snapshot, rows: Rows) -> Shares:
    """The shares by the pods of each node itself, which node policies have no say in."""
    counts = count_pods(constraint, snapshot).take(rows)
    shares = np.multiply(counts, axis.weight, dtype=np.float64) + (constraint.max_skew - 1)
    if axis.unlabelled is not None:
        shares[axis.unlabelled] = 0
    return shares


def _scaled(raw: Scores, ranked: Scores) -> Scores:
    """From the most pods to the fewest, in proportion to the most, rounded down."""
    high = int(ranked.max(initial=0))
    if not high:
        return np.full(raw.size, MAX_SCORE, np.int64)
    return MAX_SCORE * (high + int(ranked.min()) - raw) // high


def _lay_out(keys: tuple[str, ...], snapshot: Snapshot, rows: Rows, *, strict: bool) -> Field:
    table = snapshot.table
    ranked = np.ones(rows.size, np.bool_)
    if strict:
        for key in keys:
            ranked &= table.labels[key].codes[rows] != ABSENT
    axes = []
    for key in keys:
        column = table.labels[key]
        codes = column.codes[rows]
        size = int(np.count_nonzero(ranked))
        if key != HOSTNAME:
            found = np.bincount(codes[ranked], minlength=len(column.values)) > 0
            size = int(np.count_nonzero(found))
            if found[ABSENT] and "" in column.code_of and found[column.code_of[""]]:
                size -= 1  # no label and an empty one are the same domain
        axes.append(Axis(codes, math.log(size + 2), _unless_none(codes == ABSENT)))
    return Field(rows, table.node_changes.stamp, tuple(axes), _unless_none(~ranked))


def _unless_none(mask: Mask) -> Mask | None:
    return mask if mask.any() else None
