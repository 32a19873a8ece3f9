"""Finding candidates: the rows where preempting helps, with the victims there.

A dry run of all rows at once tells the victims as far as those filters are concerned that read of placed pods
only the sums of their requests. Where no other filter reads placed pods, this is exact. Otherwise it is a
bound: no victims that satisfy all filters have a most important one that is less important. Then rows are
dry-run one by one on a fork, the best bound first, until no bound can win or there are candidates enough. A
row that sums alone refuse is not tried.

These dry runs take time, so that a cycle makes only some: the best of them is taken, and without a candidate
the next cycle continues where this one ended.
"""

from collections.abc import Collection, Sequence
from random import Random
from typing import NamedTuple

import numpy as np

from pallet.cache.changes import Rows
from pallet.cache.columns import Mask
from pallet.cache.cursor import Cursor
from pallet.cache.snapshot import Snapshot
from pallet.framework.diagnosis import NodesToStatus
from pallet.framework.extender_result import Victims
from pallet.framework.interface import Reads, VectorFilterPlugin
from pallet.framework.status import SUCCESS, Status, error, unresolvable
from pallet.plugins.preemption.budgets import Budgets
from pallet.plugins.preemption.dry_run import Attempt, ForkDryRuns, SupposedSums
from pallet.plugins.preemption.ranking import Ranks, by_rank, pick_one_node, ranks_of
from pallet.plugins.preemption.refusals import first_neighbour_filters, refused_beside, refused_regardless
from pallet.plugins.preemption.victims import PotentialVictims
from pallet.runtime.row_filters import (
    asks_sums_only,
    distinct,
    first_codes,
    reads_loads,
    reads_sums,
    refused_by,
)

MOST_MOVES = 4096
"""How much is tried on forks within one cycle: so many pods removed, or put back, at some 7 us."""

NO_VICTIMS = unresolvable("No preemption victims found for incoming pod")

FITS_BESIDE_ALL = error("expected at least one victim pod")
"""Where the preemptor fits although no pod is preempted, which is not to be expected."""

_STALE, _BOUND, _EXACT = 0, 1, 2
"""What is known of a row: nothing that still holds, what the filters of sums say, or what all say."""

_CANDIDATE = 0
"""The number of the status of a row where preempting helps."""


class Found(NamedTuple):
    """Candidates by row, the best first; without any, why the rows are none.

    `unfinished` is set where there is none among the rows for which there was the time.
    """

    candidates: dict[int, Victims]
    failures: Sequence[NodesToStatus] = ()
    unfinished: bool = False


class Candidates:
    """What is known of preempting for preemptors that the filters cannot tell apart, of one priority."""

    def __init__(
        self,
        plugins: Sequence[VectorFilterPlugin],
        priority: int,
        potential: PotentialVictims,
        budgets: Budgets,
        rng: Random,
    ) -> None:
        self._plugins = plugins
        self._sums = [plugin for plugin in plugins if reads_sums(plugin)]
        self._neighbours = first_neighbour_filters(plugins)
        self._exact = asks_sums_only(plugins)
        reading = [plugin for plugin in plugins if reads_loads(plugin)][len(self._neighbours) :]
        self._sums_come_first = not reading or reads_sums(reading[0])
        self._lasting = all(plugin.filter_reads is not Reads.CLUSTER for plugin in plugins)
        self._priority = priority
        self._potential = potential
        self._budgets = budgets
        self._rng = rng
        self._cursor = Cursor()
        self._unfinished = False
        self._reset()

    def find(self, attempt: Attempt, rows: Mask, few: int, enough: int, *, all_: bool) -> Found:
        """The best candidate among some rows, and with `all_` others up to `enough`, drawn by chance.

        Where rows are dry-run one by one, `enough` candidates are looked for, but only a `few` when the best
        of them is as good as the bounds of the others, and no more when these must be worse. What a cycle
        without a candidate found is used by the next one, even if other pods may have changed it.
        """
        fleeting = self._catch_up(attempt)
        stale = (rows & (self._known == _STALE)).nonzero()[0]
        if stale.size:
            self._dry_run_rows(attempt, stale)
        promising = (rows & (self._status == _CANDIDATE)).nonzero()[0]
        elsewhere: list[NodesToStatus] = []
        if not self._exact:
            elsewhere = refused_regardless(self._plugins, attempt, promising)
            for refused in elsewhere:
                promising = promising[~np.isin(promising, refused.rows)]
            order = by_rank(self._bounds, promising).tolist()
        else:
            order = [pick_one_node(self._ranks, promising, self._rng)] if promising.size else []
        with ForkDryRuns(attempt) as dry_runs:
            best = self._best(dry_runs, attempt, order, few, enough)
            candidates = {} if best is None else {best: self._victims_on(best)}
            others = [row for row in promising.tolist() if row != best] if all_ and candidates else []
            for row in self._rng.sample(others, len(others)):
                if len(candidates) < enough and self._is_candidate(dry_runs, attempt, row):
                    candidates[row] = self._victims_on(row)
            if not candidates and not self._unfinished and not self._sums_come_first:
                fleeting += self._explain_refused_by_sums(dry_runs, attempt, rows)
        self._known[fleeting] = _STALE
        if candidates or self._unfinished:
            return Found(candidates, unfinished=not candidates)
        return Found({}, [*elsewhere, *self._failures(rows)])

    def _best(
        self, dry_runs: ForkDryRuns, attempt: Attempt, order: Sequence[int], few: int, enough: int
    ) -> int | None:
        """The best candidate of rows in the order of their bounds."""
        best: tuple[list[float], float, int] | None = None
        count = 0
        self._unfinished = False
        for row in order:
            if best is not None and not best[0][0]:
                worse = best[0][1] < self._bounds.item(1, row)
                as_good = count >= few and best[0] <= self._bounds[:, row].tolist()
                if worse or as_good or count >= enough:
                    break
            if self._is_candidate(dry_runs, attempt, row):
                count += 1
                entry = self._ranks[:, row].tolist(), self._rng.random(), row
                best = entry if best is None else min(best, entry)
            elif self._known[row] != _EXACT:
                self._unfinished = best is None
                break
        return None if best is None else best[-1]

    def _is_candidate(self, dry_runs: ForkDryRuns, attempt: Attempt, row: int) -> bool:
        """Whether preempting on a row is known to help, after a dry run if there is still time for one."""
        if self._known[row] != _EXACT and dry_runs.moves < MOST_MOVES:
            self._dry_run_row(dry_runs, attempt, row)
        return bool(self._known[row] == _EXACT and self._status[row] == _CANDIDATE)

    def _victims_on(self, row: int) -> Victims:
        pods = self._potential.pods(row)
        victims = tuple([pods[step] for step in self._victims[:, row].nonzero()[0].tolist()])
        return Victims(victims, int(self._ranks.item(0, row)))

    def _dry_run_rows(self, attempt: Attempt, rows: Rows) -> None:
        """Dry-run rows at once: exact, or the bound, for which budgets do not count."""
        potential, plugins = self._potential, self._plugins if self._exact else self._sums
        steps = potential.height[rows].max()
        may_go = self._may_go(attempt.snapshot, rows, potential.priority[:steps, rows] < self._priority)
        has_victims = may_go.any(axis=0)
        self._fail(NO_VICTIMS, rows[~has_victims])
        rows, may_go = rows[has_victims], may_go[:, has_victims]
        if not rows.size:
            return
        sums = SupposedSums(attempt, rows)
        weights = potential.amounts(sums.names)[np.where(may_go, potential.requests[:steps, rows], 0)]
        sums.remove(weights)
        position, code = first_codes(plugins, attempt.state, attempt.info, sums.snapshot, rows)
        for refused in refused_by(plugins, attempt.info, sums.snapshot, position, code, rows):
            self._fail(refused.status, refused.rows)
            for row in refused.rows.tolist() if self._neighbours else ():
                beside = self._refused_beside(attempt, row)
                if beside is not None:  # by another filter, which may come first
                    self._fail(beside, np.array([row]))
        fits = position == 0
        rows, may_go, weights = rows[fits], may_go[:, fits], weights[:, fits]
        violating = self._violating(rows, may_go) if self._exact else np.zeros_like(may_go)
        if violating.any():
            victims = sums.reprieve(self._sums, rows, weights * violating[..., None])
            victims |= sums.reprieve(self._sums, rows, weights * ~violating[..., None])
        else:
            victims = sums.reprieve(self._sums, rows, weights)
        ranks = self._ranks_of(rows, victims, np.count_nonzero(victims & violating, axis=0))
        if self._exact:
            self._note(rows, victims, ranks)
        else:
            self._bounds[:, rows], self._status[rows], self._known[rows] = ranks, _CANDIDATE, _BOUND

    def _dry_run_row(self, dry_runs: ForkDryRuns, attempt: Attempt, row: int) -> None:
        """Dry-run one row on a fork."""
        at, pods = np.array([row]), self._potential.pods(row)
        beside = self._refused_beside(attempt, row) if self._neighbours else None
        if beside is not None:
            self._fail(beside, at, _EXACT)
            return
        may_go = self._potential.priority[: len(pods), at] < self._priority
        steps = self._may_go(attempt.snapshot, at, may_go)[:, 0].nonzero()[0]
        potential = [pods[step] for step in steps.tolist()]
        violating = self._budgets.violated_by(info.pod for info in potential)
        status, indexes = dry_runs.run(row, potential, violating)
        if not status.ok:
            self._fail(status, at, _EXACT)
            return
        victims = np.zeros((len(pods), 1), np.bool_)
        victims[steps[indexes]] = True
        violations = np.array([sum(violating[index] for index in indexes)])
        self._note(at, victims, self._ranks_of(at, victims, violations))

    def _may_go(self, snapshot: Snapshot, rows: Rows, may_go: Mask) -> Mask:
        """Those of the pods on some rows that may be preempted and are also on the given snapshot."""
        changed = changed_rows(snapshot)
        for at in np.isin(rows, list(changed)).nonzero()[0].tolist() if changed else ():
            row = rows.item(at)
            for step in may_go[:, at].nonzero()[0].tolist():
                may_go[step, at] = snapshot.is_placed(self._potential.pods(row)[step].uid, row)
        return may_go

    def _violating(self, rows: Rows, may_go: Mask) -> Mask:
        """Whose preemption violates a budget: bool, (steps, rows)."""
        violating = np.zeros_like(may_go)
        for at in self._potential.guarded[rows].nonzero()[0].tolist():
            pods = self._potential.pods(rows.item(at))
            steps = may_go[:, at].nonzero()[0]
            violating[steps, at] = self._budgets.violated_by(pods[step].pod for step in steps.tolist())
        return violating

    def _explain_refused_by_sums(self, dry_runs: ForkDryRuns, attempt: Attempt, rows: Mask) -> list[int]:
        """Dry-run rows that sums refuse where another filter comes first, while there is time: give these."""
        final = _CANDIDATE, self._numbers.get(NO_VICTIMS, _CANDIDATE)
        refused = rows & (self._known == _BOUND) & ~np.isin(self._status, final)
        tried: list[int] = []
        for row in refused.nonzero()[0].tolist():
            if dry_runs.moves < MOST_MOVES:
                self._dry_run_row(dry_runs, attempt, row)
                tried.append(row)
        return tried

    def _refused_beside(self, attempt: Attempt, row: int) -> Status | None:
        pods = self._potential.pods(row)
        staying = [info for info in pods if info.pod.spec.priority >= self._priority]
        return refused_beside(self._neighbours, attempt, row, staying)

    def _ranks_of(self, rows: Rows, victims: Mask, violations: Rows) -> Ranks:
        steps, potential = len(victims), self._potential
        return ranks_of(potential.priority[:steps, rows], potential.start[:steps, rows], victims, violations)

    def _note(self, rows: Rows, victims: Mask, ranks: Ranks) -> None:
        """Keep which pods have to be preempted on some rows."""
        self._victims[: len(victims), rows] = victims
        self._victims[len(victims) :, rows] = False
        self._ranks[:, rows], self._status[rows], self._known[rows] = ranks, _CANDIDATE, _EXACT
        self._fail(FITS_BESIDE_ALL, rows[~victims.any(axis=0)], _EXACT)

    def _fail(self, status: Status, rows: Rows, known: int = _BOUND) -> None:
        if rows.size:
            self._status[rows] = self._numbers.setdefault(status, len(self._numbers))
            self._known[rows] = known

    def _failures(self, rows: Mask) -> list[NodesToStatus]:
        numbers = np.where(rows, self._status, _CANDIDATE)
        statuses = list(self._numbers)
        return [
            NodesToStatus(statuses[number], (numbers == number).nonzero()[0])
            for number in distinct(numbers[numbers != _CANDIDATE])
        ]

    def _catch_up(self, attempt: Attempt) -> list[int]:
        """Forget what is known of rows that changed. Give the rows of which nothing is to be kept.

        These are the rows that are others on a fork, and the row to which the preemptor itself is nominated:
        there it does not yield to itself.
        """
        changed = self._cursor.read(self._potential.changes)
        if changed is None or self._victims.shape != self._potential.priority.shape:
            self._reset()
        else:
            self._known[list(changed)] = _STALE
            if not self._lasting and not self._unfinished:
                tried = self._known == _EXACT
                self._known[tried], self._status[tried] = _BOUND, _CANDIDATE
        snapshot = attempt.snapshot
        own = snapshot.table.row_of.get(snapshot.nominator.node_of(attempt.info.uid))
        fleeting = [*changed_rows(snapshot), *(() if own is None else (own,))]
        self._known[fleeting] = _STALE
        return fleeting

    def _reset(self) -> None:
        shape = self._potential.priority.shape
        self._victims: Mask = np.zeros(shape, np.bool_)
        self._ranks: Ranks = np.zeros((5, shape[1]))
        self._bounds: Ranks = self._ranks if self._exact else np.zeros((5, shape[1]))
        self._known = np.full(shape[1], _STALE, np.int8)
        self._status: Rows = np.zeros(shape[1], np.intp)
        self._numbers: dict[Status, int] = {SUCCESS: _CANDIDATE}


def changed_rows(snapshot: Snapshot) -> Collection[int]:
    """The rows on which a snapshot may have other pods than the live one: what is found there is not kept."""
    base = snapshot.base()
    return base[1] if base is not None else ()
