"""Which rows are the best, kept up to date while single rows change."""

from random import Random

import numpy as np

from pallet.cache.changes import NO_ROWS, Rows
from pallet.framework.interface import Scores

FAR_BELOW = 1 << 60
"""Taken from the rank of a row that is not feasible, which makes it negative."""

_MANY = 64
"""When more rows than these have changed, the best ones are found by a look at all."""

_NO_POSITIONS = np.zeros(0, np.int32)


class Ranking:
    """A rank for each row, below 0 where it is not feasible, and the rows that share the highest one.

    ranks: int64, (rows,); feasible: how many of them are not below 0
    """

    __slots__ = ("_best", "_best_count", "_best_rows", "_position", "feasible", "ranks")

    def __init__(self, ranks: Scores) -> None:
        self.ranks = ranks
        self.feasible = int(np.count_nonzero(ranks >= 0))
        self._best = 0
        self._best_rows: Rows = NO_ROWS
        """With room at the end: only the first `_best_count` count."""
        self._best_count = 0
        """0 where the best rows are not known."""
        self._position = _NO_POSITIONS
        """Of each of the best rows among them, by row."""

    @property
    def best(self) -> int:
        """The highest rank; below 0 when no row is feasible."""
        if not self._best_count:
            self._find_best()
        return self._best

    def pick(self, rng: Random) -> int:
        """One of the best rows, by chance where there are several. There must be at least one row."""
        if not self._best_count:
            self._find_best()
        count = self._best_count
        return self._best_rows.item(rng.randrange(count) if count > 1 else 0)

    def put(self, row: int, rank: int) -> None:
        """Change the rank of one row."""
        before = self.ranks.item(row)
        if rank == before:
            return
        self.ranks[row] = rank
        self.feasible += (rank >= 0) - (before >= 0)
        if self._best_count:
            self._update_best(row, before, rank)

    def put_many(self, rows: Rows, ranks: Scores) -> None:
        """Change the ranks of some rows."""
        before = self.ranks[rows]
        self.ranks[rows] = ranks
        self.feasible += int(np.count_nonzero(ranks >= 0) - np.count_nonzero(before >= 0))
        changed = (ranks != before).nonzero()[0]
        if changed.size > _MANY:
            self._best_count = 0
        for position in changed.tolist() if self._best_count else ():
            self._update_best(rows.item(position), before.item(position), ranks.item(position))

    def shift(self, by: Scores | int) -> None:
        """Add to all ranks; feasible rows stay so."""
        self.ranks += by
        if isinstance(by, int):
            self._best += by
        else:
            self._best_count = 0

    def _update_best(self, row: int, before: int, rank: int) -> None:
        """Take in, if the best rows are known, that one row has got another rank."""
        if not self._best_count:
            return
        if rank > self._best:
            self._best, self._best_count = rank, 0
            self._add(row)
        elif rank == self._best:
            self._add(row)
        elif before == self._best:
            self._remove(row)

    def _find_best(self) -> None:
        self._best = self.ranks.item(int(self.ranks.argmax()))
        self._best_rows = (self.ranks == self._best).nonzero()[0]
        self._best_count = self._best_rows.size
        if self._position.size != self.ranks.size:
            self._position = np.zeros(self.ranks.size, np.int32)
        self._position[self._best_rows] = np.arange(self._best_count)

    def _add(self, row: int) -> None:
        if self._best_count == self._best_rows.size:
            self._best_rows = np.concatenate((self._best_rows, self._best_rows))  # the second half is room
        self._best_rows[self._best_count] = row
        self._position[row] = self._best_count
        self._best_count += 1

    def _remove(self, row: int) -> None:
        """Move the last of the best rows to the place of one that is none any more."""
        self._best_count -= 1
        last = self._best_rows.item(self._best_count)
        position = self._position.item(row)
        self._best_rows[position] = last
        self._position[last] = position
