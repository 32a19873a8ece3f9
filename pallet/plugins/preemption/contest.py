"""Which row is the best to preempt on, kept up to date while single rows are tried again.

Many rows are sorted at once, into a queue. Rows that change afterwards leave it, and compete with its head on
a heap: so a change costs no more than its own rows.
"""

from heapq import heappop, heappush
from random import Random

import numpy as np
import numpy.typing as npt

from pallet.cache.changes import Rows
from pallet.cache.columns import Mask
from pallet.plugins.preemption.finding import Rank

Numbers = npt.NDArray[np.int64]

_Entry = tuple[Rank, float, int, int]
"""A candidate's rank, the lot drawn for it, its row, and the entry's number among all of its row."""

_MANY = 1 / 16
"""Of this part of all rows it is quicker to sort all again."""


class Contest:
    """What decides between rows, and who leads.

    violations, highest, total, count: int64, (capacity,), as in `Rank`; start: float64, (capacity,)

    Rows without victims (a count of 0) do not compete. Chance decides between equals.
    """

    def __init__(self, capacity: int, rng: Random) -> None:
        self.violations: Numbers = np.zeros(capacity, np.int64)
        self.highest: Numbers = np.zeros(capacity, np.int64)
        self.total: Numbers = np.zeros(capacity, np.int64)
        self.count: Numbers = np.zeros(capacity, np.int64)
        self.start: npt.NDArray[np.float64] = np.zeros(capacity)
        self._lot: npt.NDArray[np.float64] = np.zeros(capacity)
        self._rng = rng
        self._heap: list[_Entry] = []
        self._queue: list[int] = []
        self._head = -1
        self._entered = [0] * capacity
        """The number of the last entry of each row since all were sorted; 0 while it is in the queue."""

    def rank(self, row: int) -> Rank:
        """How good a candidate is."""
        return (
            self.violations.item(row),
            self.highest.item(row),
            self.total.item(row),
            self.count.item(row),
            -self.start.item(row),
        )

    def withdraw(self, rows: Rows) -> None:
        """Take some rows out of the contest."""
        self.count[rows] = 0
        for row in rows.tolist():
            self._entered[row] += 1

    def enter(self, rows: Rows) -> None:
        """Have some rows compete as the columns now say."""
        capacity = len(self._entered)
        if rows.size > capacity * _MANY or len(self._heap) > capacity:  # most of the heap is outdated
            self._lot[rows] = [self._rng.random() for _ in range(rows.size)]
            self._sort_all()
            return
        for row in rows.tolist():
            self._entered[row] += 1
            if self.count[row]:
                self._lot[row] = lot = self._rng.random()
                heappush(self._heap, (self.rank(row), lot, row, self._entered[row]))

    def sorted(self, rows: Rows) -> Rows:
        """Some rows in the order of their rank, the best first; equals stay in the order they have."""
        columns = (-self.start, self.count, self.total, self.highest, self.violations)
        ordered: Rows = rows[np.lexsort([column[rows] for column in columns])]
        return ordered

    def best(self, rows: Mask) -> int | None:
        """The best candidate among some rows; None if there is none."""
        aside: list[_Entry] = []
        found = None
        while self._heap and found is None:
            row, number = self._heap[0][-2:]
            if number == self._entered[row] and rows[row]:
                found = row
            else:
                entry = self._pop()
                if number == self._entered[row]:
                    aside.append(entry)
        for entry in aside:
            heappush(self._heap, entry)
        return found

    def _sort_all(self) -> None:
        """Have all candidates wait in the queue, the best last."""
        self._entered = [0] * len(self._entered)
        self._heap.clear()
        candidates = self.count.nonzero()[0]
        self._queue = self.sorted(candidates[self._lot[candidates].argsort()]).tolist()[::-1]
        self._call_next()

    def _pop(self) -> _Entry:
        """Take the leader off the heap; where it came from the queue, the next one follows it."""
        entry = heappop(self._heap)
        if entry[-2] == self._head and not entry[-1]:
            self._call_next()
        return entry

    def _call_next(self) -> None:
        """Have the first of the queue that has not left it compete: the others are no better."""
        while self._queue:
            row = self._queue.pop()
            if not self._entered[row]:
                heappush(self._heap, (self.rank(row), self._lot.item(row), row, 0))
                self._head = row
                return
        self._head = -1
