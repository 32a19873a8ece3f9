"""The totals of all nodes for one equivalence class, corrected row by row instead of summed up again.

They could be summed up from the plugins' results whenever one has changed, in a tenth of this code. What the
rest is worth, in microseconds of CPU time a pod (median of all pods, `make bench ARGS="--decide"`, the lowest
of two runs in alternation; most of what remains is not about totals):

| workload | nodes | summed up again | corrected |
|---|---|---|---|
| plain | 5,000 | 285 | 77 |
| plain | 15,000 | 461 | 71 |
| preferred anti-affinity | 15,000 | 662 | 113 |
| spreading | 15,000 | 385 | 194 |
| node affinity | 15,000 | 285 | 77 |
| mixed | 15,000 | 613 | 277 |

To know the best rows without a look at all (`pallet.runtime.ranking`) is some 15 of that at 5,000 nodes, and
25 at 15,000.
"""

from collections.abc import Iterable, Sequence
from random import Random

import numpy as np

from pallet.cache.changes import FEW_ROWS, Rows
from pallet.cache.columns import Mask
from pallet.cache.cursor import Cursor
from pallet.cache.node_table import NodeTable
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.hooks import Normalize
from pallet.framework.interface import Scores
from pallet.framework.state import CycleState
from pallet.runtime.ranking import FAR_BELOW, Ranking
from pallet.runtime.results import PluginResult

INFEASIBLE = -1
"""The total of a node that is not feasible."""

_LONGEST_SCALE = 4096
"""So many different raw scores are normalised once, and looked up from then on."""

_BYTES_A_ROW = 45
"""Of a class: feasible and its rows, the ranking, the diagnosis with its rows."""

_NORMALIZED_BYTES_A_ROW = 16
"""Of a normalized column: the raw scores and the shares."""


class IncrementalTotals:
    """Which rows are feasible, and the sum of the weighted scores of each: `refresh` before reading.

    Of filters and scores whose results are kept; other plugins are not known here.
    """

    __slots__ = (
        "_changing", "_columns", "_feasible", "_filters", "_nodes", "_normalized", "_ranking", "_readers",
        "_rows",
    )  # fmt: skip

    def __init__(
        self,
        filters: Iterable[PluginResult],
        scores: Iterable[tuple[PluginResult, int, Normalize | None]],
    ) -> None:
        """Take the codes of filters, and the scores of others with their weights."""
        self._filters = tuple(map(_Reader, filters))
        self._columns = tuple(
            _Column(result, weight) if normalize is None else _NormalizedColumn(result, weight, normalize)
            for result, weight, normalize in scores
        )
        self._normalized = tuple(each for each in self._columns if isinstance(each, _NormalizedColumn))
        self._readers = (*self._filters, *self._columns)
        self._changing = tuple(each for each in self._readers if each.result.changes_with_load)
        self._feasible: Mask = np.zeros(0, np.bool_)
        self._rows: Rows | None = None
        self._ranking = Ranking(np.zeros(0, np.int64))
        self._nodes = Cursor()

    @property
    def best(self) -> int:
        """The highest total, below 0 when no row is feasible."""
        return self._ranking.best

    @property
    def feasible_count(self) -> int:
        """How many rows are feasible."""
        return self._ranking.feasible

    def bytes_for(self, capacity: int) -> int:
        """What it takes with so many rows, including the results that it reads and the diagnosis."""
        by_row = _BYTES_A_ROW + _NORMALIZED_BYTES_A_ROW * len(self._normalized)
        return by_row * capacity + sum(each.result.bytes_for(capacity) for each in self._readers)

    def pick(self, rng: Random) -> int:
        """One of the rows with the highest total, at random where there are several."""
        return self._ranking.pick(rng)

    def totals(self) -> Scores:
        """The total of each row, INFEASIBLE where it is not feasible: int64, (capacity,)."""
        return np.maximum(self._ranking.ranks, INFEASIBLE)

    def feasible_rows(self) -> Rows:
        """The rows that no filter refuses."""
        if self._rows is None:
            self._rows = self._feasible.nonzero()[0]
        return self._rows

    def totals_over(self, rows: Rows) -> Scores:
        """The totals of some of the feasible rows, as they are when no others are left: int64, (rows,)."""
        totals: Scores = self._ranking.ranks.take(rows)
        if rows.size < self._ranking.feasible:
            for column in self._normalized:
                correction = column.correction(rows)
                if correction is not None:
                    totals += correction
        return totals

    def refresh(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> None:
        """Catch up with all results; from the beginning after a plugin has failed. Raises PluginError."""
        table = snapshot.table
        nodes = self._nodes.read(table.node_changes)
        readers, rebuild, rows = self._changing, nodes is None, set(nodes or ())
        if nodes is None or nodes:
            readers = self._readers
        try:
            for reader in readers:
                changed = reader.catch_up(state, info, snapshot)
                if changed:
                    rows.update(changed)
                elif changed is None and isinstance(reader, _NormalizedColumn):
                    reader.forget_range()
                elif changed is None:
                    rebuild = True
            if rebuild:
                self._rebuild(table)
                return
            if len(rows) > FEW_ROWS:
                self._patch_many(table, np.array(sorted(rows)))
            else:
                for row in rows:
                    self._patch(table, row)
            self._rescale()
        except BaseException:
            self._nodes = Cursor()
            raise

    def _rebuild(self, table: NodeTable) -> None:
        """Sum up all rows."""
        feasible = table.live.copy()
        for each in self._filters:
            feasible &= each.result.values == 0
        self._feasible, self._rows = feasible, None
        ranks: Scores = ~feasible * -FAR_BELOW
        for column in self._columns:
            ranks += column.rebuild(self.feasible_rows())
        self._ranking = Ranking(ranks)

    def _patch(self, table: NodeTable, row: int) -> None:
        """Sum up one row: in plain integers, since numpy takes some microseconds for any array."""
        was = self._feasible.item(row)
        fits = table.live.item(row)
        for each in self._filters:
            if each.result.values.item(row):
                fits = False
                break
        if was != fits:
            self._feasible[row], self._rows = fits, None
        rank = 0 if fits else -FAR_BELOW
        for column in self._columns:
            rank += column.patch(row, was=was, fits=fits)
        self._ranking.put(row, rank)

    def _patch_many(self, table: NodeTable, rows: Rows) -> None:
        was, fits = self._feasible[rows], table.live[rows]
        for each in self._filters:
            fits &= each.result.values[rows] == 0
        if (was != fits).any():
            self._feasible[rows], self._rows = fits, None
        ranks: Scores = ~fits * -FAR_BELOW
        for column in self._columns:
            ranks += column.patch_many(rows, was, fits)
        self._ranking.put_many(rows, ranks)

    def _rescale(self) -> None:
        """Correct all totals where the range of a plugin's scores is another one now."""
        for column in self._normalized:
            if column.stale:
                before = column.shares
                by = column.rescale(self.feasible_rows()) - before
                if not isinstance(by, int) or by:
                    self._ranking.shift(by)


class _Reader:
    """Reads one result, which other classes may read too, and bring up to date meanwhile."""

    __slots__ = ("_cursor", "result")

    def __init__(self, result: PluginResult) -> None:
        self.result = result
        self._cursor = Cursor()

    def catch_up(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> Sequence[int] | None:
        """Bring the result up to date: the rows where it changed since it was read here, None for all."""
        self.result.refresh(state, info, snapshot)
        return self._cursor.read(self.result.changes)


class _Column(_Reader):
    """One plugin's share in the totals: its scores times its weight."""

    __slots__ = ("weight",)

    def __init__(self, result: PluginResult, weight: int) -> None:
        super().__init__(result)
        self.weight = weight

    def rebuild(self, feasible: Rows) -> Scores | int:
        """The shares of all rows, or the one share that they all have."""
        return self.weight * self.result.values

    def patch(self, row: int, *, was: bool, fits: bool) -> int:
        """The share of one row whose score may have changed; whether it was feasible, and is so now."""
        share: int = self.weight * self.result.values.item(row)
        return share

    def patch_many(self, rows: Rows, was: Mask, fits: Mask) -> Scores | int:
        """The same for many rows at once."""
        shares: Scores = self.weight * self.result.values[rows]
        return shares


class _NormalizedColumn(_Column):
    """One plugin's share in the totals where its scores are normalised over the feasible nodes.

    Where all feasible nodes score alike, as they mostly do, that is one number. Elsewhere it is counted how
    many nodes have the lowest and the highest score: the range is the same until one of these counts is 0.

    shares: int64, (capacity,), or the one share that all have
    stale: whether the range is another one now, so that all shares are
    """

    __slots__ = (
        "_at_high", "_at_low", "_high", "_low", "_normalize", "_range_known", "_raw", "_share_of", "shares",
        "stale",
    )  # fmt: skip

    def __init__(self, result: PluginResult, weight: int, normalize: Normalize) -> None:
        super().__init__(result, weight)
        self.stale = True
        self.shares: Scores | int = result.values
        self._normalize = normalize
        self._raw: Scores = result.values
        self._low = self._high = self._at_low = self._at_high = 0
        self._range_known = False
        self._share_of: Scores | None = None
        """The share of each score from the lowest on; None where there are too many."""

    def forget_range(self) -> None:
        """Any score may have changed."""
        self.stale, self._range_known = True, False

    def rescale(self, feasible: Rows) -> Scores | int:
        """The shares of all rows; a look for the lowest and the highest score only where it is needed."""
        if not self._range_known:
            return self.rebuild(feasible)
        self._compute_shares()
        return self.shares

    def rebuild(self, feasible: Rows) -> Scores | int:
        """The shares of all rows, or the one share that they all have."""
        values = self.result.values
        scores = values.take(feasible)
        low, high = (int(scores.min()), int(scores.max())) if scores.size else (0, 0)
        if low == high:
            self._set_one_share(low)
        else:
            self._low, self._high, self._raw = low, high, values.copy()
            self._at_low = int(np.count_nonzero(scores == low))
            self._at_high = int(np.count_nonzero(scores == high))
            self._range_known = True
            self._compute_shares()
        return self.shares

    def patch(self, row: int, *, was: bool, fits: bool) -> int:
        """The share of one row; it is right unless the column is `stale` then."""
        score = self.result.values.item(row)
        if isinstance(self.shares, int):
            self.stale |= fits and score != self._low
            return self.shares
        before = self._raw.item(row)
        if score == before and fits == was:
            return self.shares.item(row)
        self._raw[row] = score
        if was:
            self._at_low -= before == self._low
            self._at_high -= before == self._high
        if fits:
            self._widen(score)
            self._at_low += score == self._low
            self._at_high += score == self._high
        if not self._at_low or not self._at_high:
            self.forget_range()
        share = int(self._shares_of(np.array([score]))[0])
        self.shares[row] = share
        return share

    def patch_many(self, rows: Rows, was: Mask, fits: Mask) -> Scores | int:
        """The same for many rows at once."""
        scores = self.result.values[rows]
        if isinstance(self.shares, int):
            self.stale |= bool((fits & (scores != self._low)).any())
            return self.shares
        before = self._raw[rows]
        if not ((was != fits) | (scores != before)).any():
            return self.shares[rows]
        self._raw[rows] = scores
        left, come = before[was], scores[fits]
        self._at_low -= int(np.count_nonzero(left == self._low))
        self._at_high -= int(np.count_nonzero(left == self._high))
        if come.size:
            self._widen(int(come.min()))
            self._widen(int(come.max()))
            self._at_low += int(np.count_nonzero(come == self._low))
            self._at_high += int(np.count_nonzero(come == self._high))
        if not self._at_low or not self._at_high:
            self.forget_range()
        self.shares[rows] = shares = self._shares_of(scores)
        return shares

    def correction(self, rows: Rows) -> Scores | None:
        """What to add to the shares when of the feasible nodes only some are left."""
        if isinstance(self.shares, int):
            return None
        scores = self.result.values[rows]
        low, high = (int(scores.min()), int(scores.max())) if scores.size else (0, 0)
        if (low, high) == (self._low, self._high):
            return None
        return self.weight * self._normalize(scores, low, high) - self.shares[rows]

    def _widen(self, score: int) -> None:
        """A score beyond an end of the range is that end from now on."""
        if score < self._low:
            self._low, self._at_low, self.stale = score, 0, True
        elif score > self._high:
            self._high, self._at_high, self.stale = score, 0, True

    def _set_one_share(self, score: int) -> None:
        """All feasible nodes have this score."""
        self.stale = self._range_known = False
        if self._low != score or self._high != score or not isinstance(self.shares, int):
            self._low = self._high = score
            self.shares = int(self._normalized(np.array([score]))[0])

    def _compute_shares(self) -> None:
        """Normalise all scores over the range."""
        self.stale = False
        low, high = self._low, self._high
        self._share_of = self._normalized(np.arange(low, high + 1)) if high - low < _LONGEST_SCALE else None
        self.shares = self._shares_of(self.result.values)

    def _shares_of(self, scores: Scores) -> Scores:
        """The shares of some scores; of those that are not in the range, any."""
        if self._share_of is None:
            return self._normalized(scores)
        return self._share_of.take(scores - self._low, mode="clip")

    def _normalized(self, scores: Scores) -> Scores:
        return self.weight * self._normalize(scores, self._low, self._high)
