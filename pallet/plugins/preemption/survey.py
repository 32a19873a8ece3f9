"""What it would cost to preempt on each node, for preemptors that the filters cannot tell apart.

All filters that are asked look at placed pods only for the sums of their requests (for others see `trials`).
So all nodes are tried at once: step by step the next most important pod of every row comes back, and stays
where the preemptor still fits. What was found for a row stands until the ladder notes a change there.
"""

from collections.abc import Collection, Sequence
from random import Random

import numpy as np

from pallet.api.requests import PODS
from pallet.cache.changes import Rows
from pallet.cache.columns import Mask
from pallet.cache.nominator import Nominator
from pallet.cache.pod_info import PodInfo
from pallet.cache.resource_columns import OVERFULL, Amounts, added
from pallet.cache.snapshot import Snapshot
from pallet.framework.diagnosis import NodesToStatus
from pallet.framework.extender_result import Victims
from pallet.framework.interface import VectorFilterPlugin
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status
from pallet.plugins.preemption.budgets import Budgets
from pallet.plugins.preemption.contest import Contest, Numbers
from pallet.plugins.preemption.finding import ABOVE_ZERO, NO_VICTIMS, Finding
from pallet.plugins.preemption.ladder import Ladder
from pallet.plugins.preemption.returning import Ask, send_back, stay_away
from pallet.runtime.row_filters import distinct, explained, first_codes, reads_sums

_LOWEST = np.iinfo(np.int64).min

_FEW = 8
"""So many rows are sooner tried one by one."""


class Survey:
    """The victims on every row, and why there are none; `contest` tells where it is best to preempt."""

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
        self._reset()

    def find(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Mask) -> Finding:
        """The best candidate among some rows, or why there is none."""
        self.refresh(state, info, snapshot, rows)
        row = self.contest.best(rows)
        if row is None:
            failed = self._failure != 0
            idle = (rows & ~failed).nonzero()[0].tolist()
            return Finding(failures=self.failures((rows & failed).nonzero()[0]), idle=tuple(idle))
        return Finding(row, self._who_goes(row), self.contest.violations.item(row))

    def others(self, rows: Mask, best: int, enough: int) -> dict[int, Victims]:
        """The candidates beside the best, as `find` left them; of more than `enough` chance takes some."""
        rest = [row for row in self.sorted(rows)[0] if row != best and self.contest.count[row]]
        some = self._rng.sample(rest, min(enough, len(rest)))
        return {row: Victims(self._who_goes(row), self.contest.violations.item(row)) for row in some}

    def refresh(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Mask) -> None:
        """Try again those of the rows about which something changed, all at once."""
        self._learn()
        fleeting = list(changed_rows(snapshot))
        own = snapshot.table.row_of.get(self._ladder.nominated_node(info), -1)
        if own >= 0:  # there it does not yield to itself, so that what is known of the row is not for it
            fleeting.append(own)
        self._stale[fleeting] = True
        stale = (self._stale & rows).nonzero()[0]
        if stale.size:
            hopeful = self._with_victims(stale)
            if hopeful.size:
                self._try_at_once(state, info, snapshot, hopeful)
            self._stale[stale] = False
        self._stale[fleeting] = True

    def sorted(self, rows: Mask) -> tuple[list[int], Rows]:
        """The rows where preempting helps or nobody has to go, the best first, and the hopeless ones."""
        failed = self._failure != 0
        hopeful = self.contest.sorted((rows & ~failed).nonzero()[0])
        return hopeful.tolist(), (rows & failed).nonzero()[0]

    def failures(self, rows: Rows) -> list[NodesToStatus]:
        """Why preempting does not help on some rows."""
        numbers = self._failure[rows]
        return [
            NodesToStatus(self._statuses[number], rows[numbers == number])
            for number in distinct(numbers)
            if number
        ]

    def _who_goes(self, row: int) -> tuple[PodInfo, ...]:
        pods = self._ladder.pods(row)
        return tuple([pods[step] for step in self._victims[:, row].nonzero()[0].tolist()])

    def _with_victims(self, rows: Rows) -> Rows:
        """Those of the rows where anybody may go; of the others note that nobody may."""
        may_go = self._ladder.lowest(rows) < self._priority
        if may_go.all():
            return rows
        others = rows[~may_go]
        self._failure[others] = self._number(NO_VICTIMS)
        self.contest.withdraw(others)
        return rows[may_go]

    def _try_at_once(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> None:
        ladder = self._ladder
        steps = ladder.height[rows].max()  # above them nobody stands
        may_go = ladder.priority[:steps, rows] < self._priority
        columns = snapshot.table.resources
        names = [PODS, *(name for name, _ in info.requests.amounts if name in columns)]
        weights = ladder.weights(names)[np.where(may_go, ladder.kind[:steps, rows], 0)]
        requested = self._supposed(snapshot, rows, names, weights.sum(axis=0).T, info)
        supposed = snapshot.with_requested(dict(zip(names, requested, strict=True)))
        position, code = first_codes(self._plugins, state, info, supposed, rows)
        refused = position != 0
        failure = np.zeros(rows.size, np.intp)
        if refused.any():
            pairs = position << 32 | code
            for pair in distinct(pairs[refused]):
                plugin, alike = self._plugins[(pair >> 32) - 1], pairs == pair
                row = rows[alike].item(0)
                failure[alike] = self._number(explained(plugin, info, pair & 0xFFFFFFFF, supposed, row))
            may_go &= ~refused
        self._failure[rows] = failure
        broken: Mask = self._broken(rows, may_go)
        ask = Ask(self._sums, state, info, supposed, requested)
        victims = np.zeros_like(may_go)
        returning = (may_go & broken, may_go & ~broken) if broken.any() else (may_go,)
        if rows.size <= _FEW:
            for at, row in enumerate(rows.tolist()):
                order = np.concatenate([each[:, at].nonzero()[0] for each in returning])
                victims[stay_away(ask, row, order, weights[order, at]), at] = True
        else:
            for each in returning:
                send_back(ask, rows, each, weights, victims)
        self._note(rows, victims, (victims & broken).sum(axis=0))

    def _supposed(
        self, snapshot: Snapshot, rows: Rows, names: list[str], gone: Amounts, info: PodInfo
    ) -> Amounts:
        """What is requested on the rows without those that may go, and with the pods nominated there.

        int64, (names, capacity), of the resources named.
        """
        table = snapshot.table
        coming = [
            (row, [added(other.requests, name) for name in names])
            for row in (rows.tolist() if self._nominator else ())
            for other in self._nominator.ahead_of(info.pod, table.name(row))
            if not snapshot.is_placed(other.uid, row)
        ]
        requested = self._requested
        if requested.shape != (len(names), table.capacity):
            requested = self._requested = np.zeros((len(names), table.capacity), np.int64)
        requested[:, rows] = [table.resources[name].requested[rows] for name in names]
        requested[:, rows] -= gone
        for row, weight in coming:
            requested[:, row] = np.minimum(requested[:, row] + weight, OVERFULL)
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
        steps = len(victims)
        priority = self._ladder.priority[:steps, rows]
        highest = np.where(victims, priority, _LOWEST).max(axis=0)
        foremost = victims & (priority == highest)
        self._victims[:steps, rows] = victims
        self._victims[steps:, rows] = False
        contest = self.contest
        contest.violations[rows] = violations
        contest.highest[rows] = highest
        contest.total[rows] = np.where(victims, priority + ABOVE_ZERO, 0).sum(axis=0)
        contest.count[rows] = victims.sum(axis=0)
        contest.start[rows] = np.where(foremost, self._ladder.start[:steps, rows], np.inf).min(axis=0)
        contest.enter(rows)

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
        self.contest = Contest(capacity, self._rng)
        self._victims: Mask = np.zeros(shape, np.bool_)
        self._failure: Rows = np.zeros(capacity, np.intp)
        self._stale: Mask = np.ones(capacity, np.bool_)
        self._statuses: list[Status] = [SUCCESS]
        self._number_of: dict[Status, int] = {SUCCESS: 0}


def changed_rows(snapshot: Snapshot) -> Collection[int]:
    """The rows on which a snapshot may have other pods than the live one: what is found there is not kept."""
    base = snapshot.base()
    return base[1] if base is not None else ()
