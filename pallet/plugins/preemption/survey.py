"""What it would cost to preempt on each node, for preemptors that the filters cannot tell apart.

All filters that are asked look at placed pods only for the sums of their requests (for others see `trials`).
So all nodes are tried at once: step by step the next most important pod of every row comes back, and stays
where the preemptor still fits. What was found for a row stands until the ladder notes a change there.
"""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from random import Random
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pallet.cache.changes import Rows
from pallet.cache.columns import Mask
from pallet.cache.node_table import Amounts
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.advice import Victims
from pallet.framework.diagnosis import Refused
from pallet.framework.interface import VectorFilterPlugin
from pallet.framework.nominator import Nominator
from pallet.framework.row_filters import code_of, distinct, first_codes, reads_sums
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status
from pallet.plugins.preemption.budgets import Budgets
from pallet.plugins.preemption.finding import ABOVE_ZERO, NO_VICTIMS, Finding, Rank
from pallet.plugins.preemption.ladder import Ladder

Numbers = npt.NDArray[np.int64]

_Entry = tuple[Rank, float, int, int]
"""A candidate's rank, a number drawn for it, its row, and which try of the row it stands for."""

_LOWEST = np.iinfo(np.int64).min

_FEW = 8
"""So many rows are sooner tried one by one."""


class Survey:
    """The victims on every row, and what decides between rows.

    violations, highest, total, count: int64, (capacity,), as in `rank`; start: float64, (capacity,)
    """

    def __init__(
        self,
        plugins: Sequence[VectorFilterPlugin],
        priority: int,
        ladder: Ladder,
        budgets: Budgets | None,
        nominator: Nominator,
        rng: Random,
    ) -> None:
        self._plugins = plugins
        self._sums = [plugin for plugin in plugins if reads_sums(plugin)]
        self._priority = priority
        self._ladder = ladder
        self._budgets = budgets
        self._nominator = nominator
        self._requested: Amounts = np.zeros((0, 0), np.int64)
        self._rng = rng
        self._stamp = ladder.changes.stamp
        self._heap: list[_Entry] = []
        self._reset()

    def find(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Mask) -> Finding:
        """The best candidate among some rows, or why there is none."""
        self.refresh(state, info, snapshot, rows)
        row = self._best(rows)
        if row is None:
            failed = self._failure != 0
            idle = np.flatnonzero(rows & ~failed).tolist()
            return Finding(failures=self.failures(np.flatnonzero(rows & failed)), idle=tuple(idle))
        return Finding(row, self._who_goes(row), self.violations.item(row))

    def others(self, rows: Mask, best: int, enough: int) -> dict[int, Victims]:
        """The candidates beside the best, as `find` left them; of more than `enough` chance takes some."""
        rest = [row for row in self.sorted(rows)[0] if row != best and self.count[row]]
        some = self._rng.sample(rest, min(enough, len(rest)))
        return {row: Victims(self._who_goes(row), self.violations.item(row)) for row in some}

    def refresh(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Mask) -> None:
        """Try again those of the rows about which something changed, all at once."""
        self._learn()
        own = snapshot.table.row_of.get(self._ladder.nominated_node(info), -1)
        if own >= 0:  # there it does not yield to itself, so that what is known of the row is not for it
            self._stale[own] = True
        stale = np.flatnonzero(self._stale & rows)
        if stale.size:
            self._try_at_once(state, info, snapshot, stale)
            self._stale[stale] = False
        if own >= 0:
            self._stale[own] = True

    def sorted(self, rows: Mask) -> tuple[list[int], Rows]:
        """The rows where preempting helps or nobody has to go, the best first, and the hopeless ones."""
        failed = self._failure != 0
        hopeful = np.flatnonzero(rows & ~failed)
        columns = (-self.start, self.count, self.total, self.highest, self.violations)
        order = np.lexsort([column[hopeful] for column in columns])
        return hopeful[order].tolist(), np.flatnonzero(rows & failed)

    def rank(self, row: int) -> Rank:
        """How good a candidate is."""
        return (
            self.violations.item(row),
            self.highest.item(row),
            self.total.item(row),
            self.count.item(row),
            -self.start.item(row),
        )

    def failures(self, rows: Rows) -> list[Refused]:
        """Why preempting does not help on some rows."""
        numbers = self._failure[rows]
        return [
            Refused(self._statuses[number], rows[numbers == number]) for number in distinct(numbers) if number
        ]

    def _who_goes(self, row: int) -> tuple[PodInfo, ...]:
        pods = self._ladder.pods(row)
        return tuple(pods[step] for step in np.flatnonzero(self._victims[:, row]).tolist())

    def _best(self, rows: Mask) -> int | None:
        """The best candidate of some fresh rows; None if there is none."""
        aside = []
        found = None
        while self._heap and found is None:
            entry = self._heap[0]
            row = entry[-2]
            if entry[-1] != self._tries[row]:
                heappop(self._heap)
            elif rows[row]:
                found = row
            else:
                aside.append(heappop(self._heap))
        for entry in aside:
            heappush(self._heap, entry)
        return found

    def _try_at_once(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> None:
        ladder = self._ladder
        may_go = ladder.priority[:, rows] < self._priority
        weights = ladder.weights[np.where(may_go, ladder.kind[:, rows], 0)]
        requested = self._supposed(snapshot, rows, weights.sum(axis=0).T, info)
        position, code = first_codes(self._plugins, state, info, snapshot, requested, rows)
        refused = position != 0
        failure = np.zeros(rows.size, np.intp)
        if refused.any():
            pairs = position << 32 | code
            for pair in distinct(pairs[refused]):
                plugin = self._plugins[(pair >> 32) - 1]
                status = plugin.explain(info, pair & 0xFFFFFFFF).by(plugin.name)
                failure[pairs == pair] = self._number(status)
        failure[~may_go.any(axis=0)] = self._number(NO_VICTIMS)
        may_go &= failure == 0
        broken: Mask = self._broken(rows, may_go)
        ask = _Ask(self._sums, state, info, snapshot.supposing(requested), requested[: weights.shape[2]])
        victims = np.zeros_like(may_go)
        returning = (may_go & broken, may_go & ~broken) if broken.any() else (may_go,)
        if rows.size <= _FEW:
            for at, row in enumerate(rows.tolist()):
                order = np.concatenate([np.flatnonzero(each[:, at]) for each in returning])
                victims[_stay_away(ask, row, order, weights[order, at]), at] = True
        else:
            for each in returning:
                _send_back(ask, rows, each, weights, victims)
        self._failure[rows] = failure
        self._note(rows, victims, (victims & broken).sum(axis=0))

    def _supposed(self, snapshot: Snapshot, rows: Rows, gone: Amounts, info: PodInfo) -> Amounts:
        """What is requested on the rows without those that may go, and with the pods nominated there."""
        table = snapshot.table
        coming = [
            (row, table.weight(other.requests))
            for row in (rows.tolist() if self._nominator else ())
            for other in self._nominator.ahead_of(info.pod, table.name(row))
            if not snapshot.is_placed(other.uid, row)
        ]
        requested = self._requested
        if requested.shape != table.requested.shape:
            requested = self._requested = np.zeros_like(table.requested)
        requested[:, rows] = table.requested[:, rows]
        requested[: len(gone), rows] -= gone
        for row, weight in coming:
            requested[: len(weight), row] += weight
        return requested

    def _broken(self, rows: Rows, may_go: Mask) -> Mask:
        """Whose preemption breaks a budget: bool, (steps, rows)."""
        broken = np.zeros_like(may_go)
        if self._budgets is None:
            return broken
        for at in self._ladder.guarded[rows].nonzero()[0].tolist():
            pods = self._ladder.pods(int(rows[at]))
            steps = may_go[:, at].nonzero()[0]
            broken[steps, at] = self._budgets.violated_by(pods[step].pod for step in steps.tolist())
        return broken

    def _note(self, rows: Rows, victims: Mask, violations: Numbers) -> None:
        """Keep who has to go on the rows, and what follows from it."""
        priority = self._ladder.priority[:, rows]
        highest = np.where(victims, priority, _LOWEST).max(axis=0)
        foremost = victims & (priority == highest)
        self._victims[:, rows] = victims
        self.violations[rows] = violations
        self.highest[rows] = highest
        self.total[rows] = np.where(victims, priority + ABOVE_ZERO, 0).sum(axis=0)
        self.count[rows] = victims.sum(axis=0)
        self.start[rows] = np.where(foremost, self._ladder.start[:, rows], np.inf).min(axis=0)
        self._enter(rows)

    def _enter(self, rows: Rows) -> None:
        """Have candidates compete with all others; chance decides between equals."""
        entries: list[_Entry] = []
        for row in rows.tolist():
            self._tries[row] += 1
            if not self._failure[row] and self.count[row]:
                entries.append((self.rank(row), self._rng.random(), row, self._tries[row]))
        heap = self._heap
        if len(heap) + len(entries) > 4 * len(self._tries):  # most of them outdated
            heap[:] = [entry for entry in heap if entry[-1] == self._tries[entry[-2]]]
        if len(entries) > len(heap) // 8:
            heap += entries
            heapify(heap)
        else:
            for entry in entries:
                heappush(heap, entry)

    def _number(self, status: Status) -> int:
        number = self._number_of.get(status)
        if number is None:
            number = self._number_of[status] = len(self._statuses)
            self._statuses.append(status)
        return number

    def _learn(self) -> None:
        """Take note of the rows that changed."""
        changes = self._ladder.changes
        changed = changes.rows_since(self._stamp)
        if changed is None or self._victims.shape != self._ladder.priority.shape:
            self._reset()
        else:
            self._stale[changed] = True
        self._stamp = changes.stamp

    def _reset(self) -> None:
        shape = self._ladder.priority.shape
        capacity = shape[1]
        self._victims: Mask = np.zeros(shape, np.bool_)
        self.violations: Numbers = np.zeros(capacity, np.int64)
        self.highest: Numbers = np.zeros(capacity, np.int64)
        self.total: Numbers = np.zeros(capacity, np.int64)
        self.count: Numbers = np.zeros(capacity, np.int64)
        self.start: npt.NDArray[np.float64] = np.zeros(capacity)
        self._failure: Rows = np.zeros(capacity, np.intp)
        self._stale: Mask = np.ones(capacity, np.bool_)
        self._tries = [0] * capacity
        self._heap.clear()
        self._statuses: list[Status] = [SUCCESS]
        self._number_of: dict[Status, int] = {SUCCESS: 0}


class _Ask(NamedTuple):
    """Filters to be asked about supposed sums, which are changed in place."""

    plugins: Sequence[VectorFilterPlugin]
    state: CycleState
    info: PodInfo
    supposed: Snapshot
    sums: Amounts

    def full(self, rows: Rows) -> Mask:
        """Where the pod does not fit."""
        full = np.zeros(rows.size, np.bool_)
        for plugin in self.plugins:
            full |= plugin.filter_rows(self.state, self.info, self.supposed, rows) != 0
        return full

    def fits(self, row: int, sums: Amounts) -> bool:
        """Whether the pod fits with these sums on one row."""
        self.sums[:, row] = sums
        return not any(code_of(plugin, self.state, self.info, self.supposed, row) for plugin in self.plugins)


def _send_back(ask: _Ask, rows: Rows, returning: Mask, weights: Amounts, victims: Mask) -> None:
    """Let pods return to all rows, step by step, and note those for whom there is no room."""
    for step in np.flatnonzero(returning.any(axis=1)).tolist():
        at = returning[step].nonzero()[0]
        there, weight = rows[at], weights[step, at].T
        ask.sums[:, there] += weight
        full = ask.full(there)
        ask.sums[:, there[full]] -= weight[:, full]
        victims[step, at[full]] = True


def _stay_away(ask: _Ask, row: int, order: Rows, weights: Amounts) -> Rows:
    """Let pods return to one row in an order, and tell for whom there is no room.

    The longest run of them that fits is found by halving: the more pods return, the less room there is.
    """
    away: list[int] = []
    there = ask.sums[:, row].copy()
    upto = np.vstack((np.zeros_like(weights[:1]), np.cumsum(weights, axis=0))) if len(order) else weights
    start, end = 0, len(order)
    while start < end and not ask.fits(row, there + upto[end] - upto[start]):
        fits, too_many = start, end
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if ask.fits(row, there + upto[middle] - upto[start]):
                fits = middle
            else:
                too_many = middle
        away.append(fits)
        there += upto[fits] - upto[start]
        start = fits + 1
    return order[away]
