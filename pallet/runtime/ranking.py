"""Which rows are the best, kept up to date while single rows change."""

from random import Random

import numpy as np

from pallet.cache.changes import Rows
from pallet.framework.interface import Scores
from pallet.runtime.verdicts import NO_ROWS

FAR_BELOW = 1 << 60
"""Taken from the rank of a row that is not feasible, which makes it negative."""

_MANY = 64
"""Of more rows than these, nobody follows the changes one by one."""

_NOWHERE = np.zeros(0, np.int32)


class Ranking:
    """A rank for each row, below 0 where it is not feasible, and the rows that share the highest one.

    ranks: int64, (rows,); feasible: how many of them are not below 0
    """

    __slots__ = ("_best", "_leaders", "_leading", "_position", "feasible", "ranks")

    def __init__(self, ranks: Scores) -> None:
        self.ranks = ranks
        self.feasible = int(np.count_nonzero(ranks >= 0))
        self._best = 0
        self._leaders: Rows = NO_ROWS
        self._leading = 0  # so many of `_leaders` are; 0 where they are not known
        self._position = _NOWHERE  # of each leader among the `_leaders`

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
        if self._leading:
            self._follow(row, before, rank)

    def put_many(self, rows: Rows, ranks: Scores) -> None:
        """Change the ranks of some rows."""
        before = self.ranks[rows]
        self.ranks[rows] = ranks
        self.feasible += int(np.count_nonzero(ranks >= 0) - np.count_nonzero(before >= 0))
        changed = (ranks != before).nonzero()[0]
        if changed.size > _MANY:
            self._leading = 0
        for position in changed.tolist() if self._leading else ():
            self._follow(rows.item(position), before.item(position), ranks.item(position))

    def shift(self, by: Scores | int) -> None:
        """Add to all ranks; feasible rows stay so."""
        self.ranks += by
        if isinstance(by, int):
            self._best += by
        else:
            self._leading = 0

    def _follow(self, row: int, before: int, rank: int) -> None:
        """Keep the leaders, if they are known, while one row gets another rank."""
        if not self._leading:
            return
        if rank > self._best:
            self._best, self._leading = rank, 0
            self._add_leader(row)
        elif rank == self._best:
            self._add_leader(row)
        elif before == self._best:
            self._drop_leader(row)

    def _find_leaders(self) -> None:
        self._best = self.ranks.item(int(self.ranks.argmax()))
        self._leaders = (self.ranks == self._best).nonzero()[0]
        self._leading = self._leaders.size
        if self._position.size != self.ranks.size:
            self._position = np.zeros(self.ranks.size, np.int32)
        self._position[self._leaders] = np.arange(self._leading)

    def _add_leader(self, row: int) -> None:
        if self._leading == self._leaders.size:
            self._leaders = np.concatenate((self._leaders, self._leaders))  # the second half is room
        self._leaders[self._leading] = row
        self._position[row] = self._leading
        self._leading += 1

    def _drop_leader(self, row: int) -> None:
        """Put the last leader in the place of one that is none any more."""
        self._leading -= 1
        last = self._leaders.item(self._leading)
        position = self._position.item(row)
        self._leaders[position] = last
        self._position[last] = position
