"""Which rows are the best, kept up to date while single rows change."""

from random import Random

import numpy as np

from pallet.cache.changes import Rows
from pallet.framework.interface import Scores

FAR_BELOW = 1 << 60
"""Taken from the rank of a row that is not feasible, which makes it negative."""


class Ranking:
    """A rank for each row, below 0 where it is not feasible, and the rows that share the highest one.

    ranks: int64, (rows,); feasible: how many of them are not below 0
    """

    __slots__ = ("_best", "_leaders", "_leading", "feasible", "ranks")

    def __init__(self, ranks: Scores) -> None:
        self.ranks = ranks
        self.feasible = int(np.count_nonzero(ranks >= 0))
        self._best = 0
        self._leaders: Rows = ranks  # of which none are known yet
        self._leading = 0

    @property
    def best(self) -> int:
        """The highest rank; below 0 when no row is feasible."""
        if not self._leading:
            self._find_leaders()
        return self._best

    def pick(self, rng: Random) -> int:
        """One of the best rows, by chance where there are several. There must be at least one row."""
        if not self._leading:
            self._find_leaders()
        leading = self._leading
        return self._leaders.item(rng.randrange(leading) if leading > 1 else 0)

    def put(self, row: int, rank: int) -> None:
        """Change the rank of one row."""
        before = self.ranks.item(row)
        if rank == before:
            return
        self.ranks[row] = rank
        self.feasible += (rank >= 0) - (before >= 0)
        if not self._leading:
            return
        if rank > self._best:
            self._leading = 0
        elif rank == self._best:
            self._add_leader(row)
        elif before == self._best:
            self._drop_leader(row)

    def put_many(self, rows: Rows, ranks: Scores) -> None:
        """Change the ranks of some rows."""
        self.feasible += int(np.count_nonzero(ranks >= 0) - np.count_nonzero(self.ranks[rows] >= 0))
        self.ranks[rows] = ranks
        self._leading = 0

    def shift(self, by: Scores | int) -> None:
        """Add to all ranks; feasible rows stay so."""
        self.ranks += by
        self._leading = 0

    def _find_leaders(self) -> None:
        self._best = self.ranks.item(int(self.ranks.argmax()))
        self._leaders = (self.ranks == self._best).nonzero()[0]
        self._leading = self._leaders.size

    def _add_leader(self, row: int) -> None:
        if self._leading == self._leaders.size:
            self._leading = 0
        else:
            self._leaders[self._leading] = row
            self._leading += 1

    def _drop_leader(self, row: int) -> None:
        self._leading -= 1
        position = int((self._leaders[: self._leading + 1] == row).argmax())
        self._leaders[position] = self._leaders[self._leading]
