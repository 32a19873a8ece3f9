"""Kinds of pods: what all plugins together said about pods that they cannot tell apart."""

from collections.abc import Sequence
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
from pallet.runtime.verdicts import INFEASIBLE, Remembered

_LONGEST_SCALE = 4096
"""So many different raw scores are normalised once, and looked up from then on."""

_BYTES_A_ROW = 45
"""Of a kind: feasible and its rows, the ranking, the refusals with their rows."""

_NORMALIZED_BYTES_A_ROW = 16
"""Of a normalized column: the raw scores and the shares."""


class VerdictCursor:
    """A reader of one verdict, which others may read too and bring up to date meanwhile."""

    __slots__ = ("_cursor", "verdict")

    def __init__(self, verdict: Remembered) -> None:
        self.verdict = verdict
        self._cursor = Cursor()

    def catch_up(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> Sequence[int] | None:
        """Bring the verdict up to date: the rows where it changed since last read here, None for all."""
        self.verdict.refresh(state, info, snapshot)
        return self._cursor.read(self.verdict.changes)


class ScoreColumn(VerdictCursor):
    """One plugin's share in the totals: its scores times its weight."""

    __slots__ = ("weight",)

    def __init__(self, verdict: Remembered, weight: int) -> None:
        super().__init__(verdict)
        self.weight = weight

    def rebuild(self, feasible: Rows) -> Scores | int:
        """Take every row again; give the shares of all rows."""
        return self.weight * self.verdict.values

    def patch(self, row: int, *, was: bool, fits: bool) -> int:
        """Take one row again, which was or was not feasible, and is so or not; give its share."""
        share: int = self.weight * self.verdict.values.item(row)
        return share

    def patch_many(self, rows: Rows, was: Mask, fits: Mask) -> Scores | int:
        """The same for many rows at once."""
        shares: Scores = self.weight * self.verdict.values[rows]
        return shares

    def correction(self, rows: Rows) -> Scores | None:
        """What to add to the shares when of the feasible nodes only some are left."""
        return None


class NormalizedColumn(ScoreColumn):
    """One plugin's share in the totals where its scores are normalised over the feasible nodes.

    Where all feasible nodes score alike, as they mostly do, that is one number. Elsewhere it is known how
    many nodes have the lowest and the highest score: the scale stands until one of these is left by the last.

    shares: int64, (capacity,), or the one share that all have
    moved: whether the scale is another one now, so that all shares are
    """

    __slots__ = (
        "_counted", "_high", "_highest", "_low", "_lowest", "_normalize", "_raw", "_scale", "moved", "shares",
    )  # fmt: skip

    def __init__(self, verdict: Remembered, weight: int, normalize: Normalize) -> None:
        super().__init__(verdict, weight)
        self.moved = True
        self.shares: Scores | int = verdict.values
        self._normalize = normalize
        self._raw: Scores = verdict.values
        self._low = self._high = self._lowest = self._highest = 0
        self._counted = False
        self._scale: Scores | None = None

    def lose(self) -> None:
        """Any score may have changed."""
        self.moved, self._counted = True, False

    def rescale(self, feasible: Rows) -> Scores | int:
        """Take every row again, but look for the ends of the scale only where they are not known."""
        if not self._counted:
            return self.rebuild(feasible)
        self._spread()
        return self.shares

    def rebuild(self, feasible: Rows) -> Scores | int:
        """Take every row again; give the shares of all rows, or the one share that they all have."""
        values = self.verdict.values
        scores = values.take(feasible)
        low, high = (int(scores.min()), int(scores.max())) if scores.size else (0, 0)
        if low == high:
            self._level(low)
        else:
            self._low, self._high, self._raw = low, high, values.copy()
            self._lowest = int(np.count_nonzero(scores == low))
            self._highest = int(np.count_nonzero(scores == high))
            self._counted = True
            self._spread()
        return self.shares

    def patch(self, row: int, *, was: bool, fits: bool) -> int:
        """Take one row again; give its share, which holds unless the scale has `moved`."""
        score = self.verdict.values.item(row)
        if isinstance(self.shares, int):
            self.moved |= fits and score != self._low
            return self.shares
        before = self._raw.item(row)
        if score == before and fits == was:
            return self.shares.item(row)
        self._raw[row] = score
        if was:
            self._lowest -= before == self._low
            self._highest -= before == self._high
        if fits:
            self._make_room(score)
            self._lowest += score == self._low
            self._highest += score == self._high
        if not self._lowest or not self._highest:
            self.lose()
        share = int(self._place(np.array([score]))[0])
        self.shares[row] = share
        return share

    def patch_many(self, rows: Rows, was: Mask, fits: Mask) -> Scores | int:
        """The same for many rows at once."""
        scores = self.verdict.values[rows]
        if isinstance(self.shares, int):
            self.moved |= bool((fits & (scores != self._low)).any())
            return self.shares
        before = self._raw[rows]
        if not ((was != fits) | (scores != before)).any():
            return self.shares[rows]
        self._raw[rows] = scores
        left, come = before[was], scores[fits]
        self._lowest -= int(np.count_nonzero(left == self._low))
        self._highest -= int(np.count_nonzero(left == self._high))
        if come.size:
            self._make_room(int(come.min()))
            self._make_room(int(come.max()))
            self._lowest += int(np.count_nonzero(come == self._low))
            self._highest += int(np.count_nonzero(come == self._high))
        if not self._lowest or not self._highest:
            self.lose()
        self.shares[rows] = shares = self._place(scores)
        return shares

    def _make_room(self, score: int) -> None:
        """A score beyond an end of the scale is the end from now on."""
        if score < self._low:
            self._low, self._lowest, self.moved = score, 0, True
        elif score > self._high:
            self._high, self._highest, self.moved = score, 0, True

    def _level(self, score: int) -> None:
        """All feasible nodes have this score."""
        self.moved = self._counted = False
        if self._low != score or self._high != score or not isinstance(self.shares, int):
            self._low = self._high = score
            self.shares = int(self._weigh(np.array([score]))[0])

    def _spread(self) -> None:
        """Measure all scores on the scale."""
        self.moved = False
        low, high = self._low, self._high
        self._scale = self._weigh(np.arange(low, high + 1)) if high - low < _LONGEST_SCALE else None
        self.shares = self._place(self.verdict.values)

    def correction(self, rows: Rows) -> Scores | None:
        """What to add to the shares when of the feasible nodes only some are left."""
        if isinstance(self.shares, int):
            return None
        scores = self.verdict.values[rows]
        low, high = (int(scores.min()), int(scores.max())) if scores.size else (0, 0)
        if (low, high) == (self._low, self._high):
            return None
        return self.weight * self._normalize(scores, low, high) - self.shares[rows]

    def _place(self, scores: Scores) -> Scores:
        """The shares of some scores; of those that are not on the scale, any."""
        if self._scale is None:
            return self._weigh(scores)
        return self._scale.take(scores - self._low, mode="clip")

    def _weigh(self, scores: Scores) -> Scores:
        return self.weight * self._normalize(scores, self._low, self._high)


class EquivalenceClass:
    """What is known of all pods that the remembering plugins cannot tell apart.

    feasible: bool, (capacity,), rows that no remembering filter refuses
    """

    __slots__ = (
        "_columns", "_filters", "_followers", "_nodes", "_normalized", "_ranking", "_restless", "_rows",
        "feasible",
    )  # fmt: skip

    def __init__(self, filters: tuple[VerdictCursor, ...], columns: tuple[ScoreColumn, ...]) -> None:
        self.feasible: Mask = np.zeros(0, np.bool_)
        self._filters = filters
        self._columns = columns
        self._normalized = tuple(each for each in columns if isinstance(each, NormalizedColumn))
        self._followers = (*filters, *columns)
        self._restless = tuple(each for each in self._followers if each.verdict.restless)
        self._ranking = Ranking(np.zeros(0, np.int64))
        self._rows: Rows | None = None
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
        """What it takes with so many rows, including the verdicts that it follows and the refusals."""
        by_row = _BYTES_A_ROW + _NORMALIZED_BYTES_A_ROW * len(self._normalized)
        return by_row * capacity + sum(each.verdict.bytes_for(capacity) for each in self._followers)

    def pick(self, rng: Random) -> int:
        """One of the rows with the highest total."""
        return self._ranking.pick(rng)

    def totals(self) -> Scores:
        """The sum of the weighted scores for each row, INFEASIBLE where it is not feasible."""
        return np.maximum(self._ranking.ranks, INFEASIBLE)

    def feasible_rows(self) -> Rows:
        """The rows that no remembering filter refuses."""
        if self._rows is None:
            self._rows = self.feasible.nonzero()[0]
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
        """Catch up with all verdicts; from the beginning after a plugin has failed."""
        try:
            self._catch_up(state, info, snapshot)
        except BaseException:
            self._nodes = Cursor()
            raise

    def _catch_up(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> None:
        table = snapshot.table
        nodes = self._nodes.read(table.node_changes)
        followers, rebuild, rows = self._restless, nodes is None, set(nodes or ())
        if nodes is None or nodes:
            followers = self._followers
        for follower in followers:
            changed = follower.catch_up(state, info, snapshot)
            if changed:
                rows.update(changed)
            elif changed is None and isinstance(follower, NormalizedColumn):
                follower.lose()
            elif changed is None:
                rebuild = True
        if rebuild:
            self._rebuild(table)
        else:
            if len(rows) > FEW_ROWS:
                self._patch_many(table, np.array(sorted(rows)))
            else:
                for row in rows:
                    self._patch(table, row)
            self._rescale()

    def _rebuild(self, table: NodeTable) -> None:
        feasible = table.live.copy()
        for each in self._filters:
            feasible &= each.verdict.values == 0
        self.feasible, self._rows = feasible, None
        ranks: Scores = ~feasible * -FAR_BELOW
        for column in self._columns:
            ranks += column.rebuild(self.feasible_rows())
        self._ranking = Ranking(ranks)

    def _patch(self, table: NodeTable, row: int) -> None:
        was = self.feasible.item(row)
        fits = table.live.item(row)
        for each in self._filters:
            if each.verdict.values.item(row):
                fits = False
                break
        if was != fits:
            self.feasible[row], self._rows = fits, None
        rank = 0 if fits else -FAR_BELOW
        for column in self._columns:
            rank += column.patch(row, was=was, fits=fits)
        self._ranking.put(row, rank)

    def _patch_many(self, table: NodeTable, rows: Rows) -> None:
        was, fits = self.feasible[rows], table.live[rows]
        for each in self._filters:
            fits &= each.verdict.values[rows] == 0
        if (was != fits).any():
            self.feasible[rows], self._rows = fits, None
        ranks: Scores = ~fits * -FAR_BELOW
        for column in self._columns:
            ranks += column.patch_many(rows, was, fits)
        self._ranking.put_many(rows, ranks)

    def _rescale(self) -> None:
        for column in self._normalized:
            if column.moved:
                before = column.shares
                by = column.rescale(self.feasible_rows()) - before
                if not isinstance(by, int) or by:
                    self._ranking.shift(by)
