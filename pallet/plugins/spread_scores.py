"""Ranking the feasible nodes by soft topology spread constraints.

A node's raw score is the sum, over the constraints, of the pods in its domain, each weighted by the logarithm
of the number of domains: more pods are worse. The rules are those of kube-scheduler's plugin, whose numbers
are reached to the last one.

Nodes in one place (see `spread_field`) with as many pods of their own score alike. They make up a cell: what
there is to compute is computed for the cells, which are few, and then looked up for the nodes.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from pallet.api.pod import Pod
from pallet.bounded_cache import MIB, BoundedCache, footprint
from pallet.cache.changes import ChangeLog, Rows
from pallet.cache.columns import ABSENT, Codes
from pallet.cache.cursor import Cursor
from pallet.cache.snapshot import Snapshot
from pallet.cache.tally import Counts
from pallet.framework.interface import MAX_SCORE, Scores
from pallet.plugins.spread_constraints import HOSTNAME, Constraint, Spread
from pallet.plugins.spread_domains import DomainMemory, count_pods, ground_of
from pallet.plugins.spread_field import Field, Fields

_CELLS_BYTES = 16 * MIB

_FEW_CELLS = 1024
"""So many cells are worth it, however few nodes there are."""

_ROOM = 2
"""So many pods more than any node has can come to a node before its cells are laid out again."""

Shares = npt.NDArray[np.float64]


class SpreadScorer:
    """Scores on one table, remembering what depends on its nodes only, and the cells."""

    def __init__(self, memory: DomainMemory) -> None:
        self._memory = memory
        self._fields = Fields()
        self._cells: BoundedCache[Spread, Cells] = BoundedCache(
            "spread_cells", _CELLS_BYTES, lambda spread, cells: footprint(spread, _CELLS_BYTES) + cells.bytes
        )

    def scores(self, spread: Spread, pod: Pod, snapshot: Snapshot, rows: Rows) -> Scores:
        """The scores of the feasible rows, 0 to MAX_SCORE: the fewer pods, the higher; 0 where left out."""
        cells = self._fresh_cells(spread, snapshot, rows)
        place, counts = cells.occupied()
        raw = np.rint(self._shares(spread, pod, snapshot, cells.field, place, counts)).astype(np.int64)
        ranked = cells.field.places.ranked[place]
        return cells.look_up(_scaled(raw, raw[ranked]) * ranked)

    def _fresh_cells(self, spread: Spread, snapshot: Snapshot, rows: Rows) -> "Cells":
        cells = self._cells.get(spread)
        if cells is None or not cells.field.is_of(rows, snapshot.table) or not cells.follow(snapshot):
            keys = tuple(constraint.topology_key for constraint in spread.soft)
            field = self._fields.field(keys, snapshot.table, rows, strict=spread.strict)
            by_node = [each for each in spread.soft if each.topology_key == HOSTNAME]
            cells = self._cells[spread] = Cells(field, by_node, snapshot)
        return cells

    def _shares(
        self,
        spread: Spread,
        pod: Pod,
        snapshot: Snapshot,
        field: Field,
        place: Codes,
        counts: Iterable[Counts],
    ) -> Shares:
        """The sums over the constraints, given places, and the pods by node of those that count so."""
        by_node = iter(counts)
        required = tuple(constraint.topology_key for constraint in spread.soft) if spread.strict else ()
        shares = np.zeros(place.size, np.float64)
        for constraint, codes, weight in zip(spread.soft, field.places.codes, field.weights, strict=True):
            if constraint.topology_key == HOSTNAME:  # the pods of the node itself: node policies have no say
                share = next(by_node) * weight + (constraint.max_skew - 1)
                shares += share * (codes[place] != ABSENT)
            else:
                domains = self._memory.domains(constraint, ground_of(constraint, required, pod), snapshot)
                by_domain = domains.sums * weight + (constraint.max_skew - 1)
                by_domain[ABSENT] = 0
                shares += by_domain.take(codes[place])
        return shares


class Cells:
    """The rows of a field by their places, and by the pods there that each of some constraints counts.

    A cell's number is made of its place and its counts. Where there would be more cells than rows, each row
    is a cell of its own, and nothing is kept for the next pod.
    """

    def __init__(self, field: Field, constraints: Sequence[Constraint], snapshot: Snapshot) -> None:
        self.field = field
        self._constraints = constraints
        self._counts = [count_pods(each, snapshot).take(field.rows) for each in constraints]
        self._lows = [int(counts.min()) for counts in self._counts]
        self._spans = [int(np.ptp(counts)) + 1 + _ROOM for counts in self._counts]
        size = field.places.ranked.size
        self._strides = []
        for span in self._spans:
            self._strides.append(size)
            size *= span
        self._kept = size <= max(field.rows.size, _FEW_CELLS)
        if self._kept:
            self._of_rows = field.of_rows.copy()
            for counts, low, stride in zip(self._counts, self._lows, self._strides, strict=True):
                self._of_rows += stride * (counts - low)
            self._rows_in = np.bincount(self._of_rows, minlength=size)
            self._cursor = Cursor(*self._logs(snapshot))
            self._counts.clear()

    @property
    def bytes(self) -> int:
        """What it takes with its field, which others may have too."""
        own = (self._of_rows, self._rows_in) if self._kept else self._counts
        return self.field.bytes + sum(array.nbytes for array in own)

    def follow(self, snapshot: Snapshot) -> bool:
        """Catch up with the pods that came and went. False where it takes new cells to do so."""
        if not self._kept:
            return False
        changed = enumerate(self._cursor.read_each(*self._logs(snapshot)))
        return all(rows is not None and self._move(number, rows, snapshot) for number, rows in changed)

    def occupied(self) -> tuple[Codes, list[Counts]]:
        """The places of all cells with any rows, and the pods in each that the constraints count."""
        if not self._kept:
            return self.field.of_rows, self._counts
        cells = self._rows_in.nonzero()[0]
        return cells % self.field.places.ranked.size, [
            cells // stride % span + low
            for low, span, stride in zip(self._lows, self._spans, self._strides, strict=True)
        ]

    def look_up(self, scores: Scores) -> Scores:
        """The score of each row of the field, given those of the occupied cells."""
        if not self._kept:
            return scores
        by_cell = np.zeros(self._rows_in.size, np.int64)
        by_cell[self._rows_in > 0] = scores
        return by_cell.take(self._of_rows)

    def _logs(self, snapshot: Snapshot) -> list[ChangeLog[int]]:
        """Where each constraint's counts changed."""
        return [snapshot.counters.tally(each.pods).changes for each in self._constraints]

    def _move(self, number: int, rows: Sequence[int], snapshot: Snapshot) -> bool:
        """Move rows to the cells of their counts now. False where there is no such cell."""
        if not rows:
            return True
        counts = count_pods(self._constraints[number], snapshot)
        low, span, stride = self._lows[number], self._spans[number], self._strides[number]
        among = self.field.rows
        for row in rows:
            position = int(among.searchsorted(row))
            if position == among.size or among.item(position) != row:
                continue
            cell, count = self._of_rows.item(position), counts.item(row) - low
            if not 0 <= count < span:
                return False
            moved = cell + stride * (count - cell // stride % span)
            self._of_rows[position] = moved
            self._rows_in[cell] -= 1
            self._rows_in[moved] += 1
        return True


def _scaled(raw: Scores, ranked: Scores) -> Scores:
    """From the most pods to the fewest, in proportion to the most, rounded down."""
    high = int(ranked.max(initial=0))
    if not high:
        return np.full(raw.size, MAX_SCORE, np.int64)
    return MAX_SCORE * (high + int(ranked.min()) - raw) // high
