"""Preemption where filters look at more than sums of requests: nodes are tried one by one, the best first.

What has to go for the sums of requests alone is known for all nodes (see `survey`), and bounds what has to go
for all filters: no victim can be less important. A node that cannot even hold the sums is not tried.

A trial takes time, so that a cycle makes only some: the best of them is taken, and without a candidate the
next cycle goes on where this one ended.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from random import Random
from typing import NamedTuple, cast

import numpy as np

from pallet.cache.changes import Rows
from pallet.cache.columns import Mask
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Fork, Snapshot
from pallet.framework.diagnosis import NodesToStatus
from pallet.framework.extender_result import Victims
from pallet.framework.hooks import NeighbourFilterPlugin
from pallet.framework.interface import Filters, Reads, VectorFilterPlugin
from pallet.framework.state import CycleState
from pallet.framework.status import Status
from pallet.plugins.preemption.budgets import Budgets
from pallet.plugins.preemption.elsewhere import lasting_codes
from pallet.plugins.preemption.finding import NO_VICTIMS, Finding, Rank, rank_of
from pallet.plugins.preemption.importance import started
from pallet.plugins.preemption.ladder import Ladder
from pallet.plugins.preemption.survey import Survey, changed_rows
from pallet.runtime.row_filters import reads_loads, refused_by

MOST_MOVES = 4096
"""How much is tried within one cycle: so many pods taken away, or put back, at some 7 us."""

_ASKING = 4
"""Asking whether the preemptor fits takes as long as so many moves."""

_ASKING_FOR_KEY = 0.5
"""So many more for each topology key of the preemptor's required affinity."""


class Trial(NamedTuple):
    """What trying a row came to: who has to go, and how good that is (None where it does not help)."""

    status: Status
    victims: tuple[PodInfo, ...] = ()
    rank: Rank | None = None


class _Ask(NamedTuple):
    """What tells whether the pod fits on a row: all filters, and those that the return of a pod concerns."""

    all: Callable[[int], Status]
    again: Callable[[int], Status]


class Trials:
    """The trials for preemptors that the filters cannot tell apart; a row is tried again when it changes."""

    def __init__(
        self,
        plugins: Sequence[VectorFilterPlugin],
        priority: int,
        bounds: Survey,
        ladder: Ladder,
        budgets: Budgets,
        rng: Random,
    ) -> None:
        self._plugins = plugins
        self._foremost = _foremost(plugins)
        self._lasting = all(plugin.filter_reads is not Reads.CLUSTER for plugin in plugins)
        self._priority = priority
        self._bounds = bounds
        self._ladder = ladder
        self._budgets = budgets
        self._rng = rng
        self._stamp = ladder.changes.stamp
        self._kept: dict[int, Trial] = {}
        self._hopeful: list[int] = []
        self._unfinished = False
        self._moves = 0
        self._asking = _ASKING

    def find(
        self,
        state: CycleState,
        info: PodInfo,
        snapshot: Snapshot,
        rows: Mask,
        filters: Filters,
        few: int,
        enough: int,
    ) -> Finding:
        """The best of some candidates that break no budget if that can be.

        `enough` candidates are tried for, but only a `few` when the best of them is as good as what the sums
        alone promise of the others, and no more when these must be worse. What a cycle without a candidate
        found stands for the next one, however fleeting it may be.
        """
        own = self._learn(info)
        self._forget(changed_rows(snapshot))
        bounds = self._bounds
        bounds.refresh(state, info, snapshot, rows)
        hopeful, hopeless = bounds.sorted(rows)
        self._hopeful, refused = self._refused_regardless(state, info, snapshot, np.array(hopeful, np.intp))
        tried: dict[int, Trial] = {}
        best: tuple[Rank, float, int] | None = None
        candidates = self._moves = 0
        self._asking = _ASKING + int(_ASKING_FOR_KEY * (len(info.terms.near_keys) + len(info.terms.away)))
        self._unfinished = False
        with snapshot.fork() as fork:
            ask = _ask(state, info, fork, filters)
            for row in self._hopeful:
                if best is not None and not best[0][0]:
                    highest = best[0][1]
                    if highest < bounds.contest.highest[row] or candidates >= enough:
                        break
                    if candidates >= few and best[0] <= bounds.contest.rank(row):
                        break
                if self._moves >= MOST_MOVES and row not in self._kept:
                    self._unfinished = best is None
                    break
                trial = tried[row] = self._trial(info, fork, row, ask, own)
                if trial.rank is not None:
                    candidates += 1
                    entry = (trial.rank, self._rng.random(), row)
                    best = entry if best is None else min(best, entry)
        self._forget(changed_rows(snapshot))
        if best is not None:
            return Finding(best[2], tried[best[2]].victims, best[0][0])
        if self._unfinished:
            return Finding(unfinished=True)
        failures = [*self._hopeless(info, hopeless), *refused, *_failures(tried)]
        return Finding(failures=failures, idle=_idle(tried))

    def others(
        self,
        state: CycleState,
        info: PodInfo,
        snapshot: Snapshot,
        rows: Mask,
        filters: Filters,
        best: int,
        enough: int,
    ) -> dict[int, Victims]:
        """Candidates beside the best, which `find` has just found: `enough`, if time allows so many.

        Chance decides which rows are tried.
        """
        own = self._ladder.nominated_node(info)
        rest = [row for row in self._hopeful if row != best]
        found: dict[int, Victims] = {}
        with snapshot.fork() as fork:
            ask = _ask(state, info, fork, filters)
            for row in self._rng.sample(rest, len(rest)):
                if len(found) >= enough:
                    break
                if self._moves < MOST_MOVES or row in self._kept:
                    trial = self._trial(info, fork, row, ask, own)
                    if trial.rank is not None:
                        found[row] = Victims(trial.victims, trial.rank[0])
        self._forget(changed_rows(snapshot))
        return found

    def _trial(self, info: PodInfo, fork: Fork, row: int, ask: _Ask, own: str) -> Trial:
        trial = self._kept.get(row)
        is_own = bool(own) and fork.table.name(row) == own  # where it does not yield to itself
        if trial is None or is_own:
            trial = self._try(info, fork, row, ask)
            if not is_own:
                self._kept[row] = trial
        return trial

    def _try(self, info: PodInfo, fork: Fork, row: int, ask: _Ask) -> Trial:
        """Take all away that may go, and let them come back one by one while the pod still fits.

        Those come first whose going breaks a budget, then the most important. The fork is rolled back.
        """
        pods = [each for each in self._ladder.pods(row) if each.pod.spec.priority < self._priority]
        if not pods:
            return Trial(NO_VICTIMS)
        refusal = self._refusal_by_staying(info, row)
        if refusal is not None:
            return Trial(refusal)
        self._moves += 2 * len(pods) + self._asking
        violated = self._budgets.violated_by(each.pod for each in pods)
        name = fork.table.name(row)
        going: list[int] = []
        before = fork.checkpoint()
        for pod in pods:
            fork.remove(pod, row)
        status = ask.all(row)
        for index in sorted(range(len(pods)), key=lambda index: not violated[index]) if status.ok else ():
            without = fork.checkpoint()
            fork.place(pods[index], name)
            self._moves += self._asking
            if not ask.again(row).ok:
                fork.rollback(without)
                going.append(index)
        fork.rollback(before)
        going.sort()
        if not going:
            return Trial(status)
        victims = tuple(pods[index] for index in going)
        ranked = ((victim.pod.spec.priority, started(victim.pod)) for victim in victims)
        return Trial(status, victims, rank_of(ranked, sum(violated[index] for index in going)))

    def _refused_regardless(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows
    ) -> tuple[list[int], list[NodesToStatus]]:
        """Those of the rows that are to be tried, and why others are refused whoever goes."""
        position, code = lasting_codes(self._plugins, state, info, snapshot, rows)
        # Where others are nominated, what is said with them there comes first.
        position[np.isin(rows, self._ladder.nominated_rows())] = 0
        return rows[position == 0].tolist(), refused_by(self._plugins, info, snapshot, position, code, rows)

    def _refusal_by_staying(self, info: PodInfo, row: int) -> Status | None:
        """What the first filters say of pods on a row that stay or will come, whoever else goes."""
        if not self._foremost:
            return None
        staying = [each for each in self._ladder.pods(row) if each.pod.spec.priority >= self._priority]
        staying += self._ladder.ahead_of(info, row)
        for plugin in self._foremost:
            code = plugin.filter_beside(info, staying)
            if code:
                return plugin.explain(info, code).by(plugin.name)
        return None

    def _hopeless(self, info: PodInfo, rows: Rows) -> list[NodesToStatus]:
        """Why preempting does not help where the sums alone forbid it: another filter may come first."""
        failures = self._bounds.failures(rows)
        if not self._foremost:
            return failures
        by_status: dict[Status, list[int]] = {}
        for refused in failures:
            for row in refused.rows.tolist():
                first = None if refused.status is NO_VICTIMS else self._refusal_by_staying(info, row)
                by_status.setdefault(first or refused.status, []).append(row)
        return _refused(by_status)

    def _learn(self, info: PodInfo) -> str:
        """Forget trials of rows that changed. Give the node to which the preemptor itself is nominated."""
        changes = self._ladder.changes
        changed = changes.rows_since(self._stamp)
        if changed is None or not (self._lasting or self._unfinished):
            self._kept.clear()
        else:
            self._forget(changed)
        self._stamp = changes.stamp
        return self._ladder.nominated_node(info)

    def _forget(self, rows: Iterable[int]) -> None:
        for row in rows:
            self._kept.pop(row, None)


def _ask(state: CycleState, info: PodInfo, fork: Fork, filters: Filters) -> _Ask:
    """Settle who is asked, before the pods that a filter is about are taken away."""
    return _Ask(filters.asker(state, info, fork), filters.asker(state, info, fork, loads_only=True))


def _foremost(plugins: Sequence[VectorFilterPlugin]) -> list[NeighbourFilterPlugin]:
    """The filters that can tell of single pods, up to the first one that looks at pods and cannot."""
    looking = (plugin for plugin in plugins if reads_loads(plugin))
    return [
        cast("NeighbourFilterPlugin", plugin)
        for plugin in takewhile(lambda plugin: hasattr(plugin, "filter_beside"), looking)
    ]


def _failures(tried: dict[int, Trial]) -> list[NodesToStatus]:
    by_status: dict[Status, list[int]] = {}
    for row, trial in tried.items():
        if not trial.status.ok:
            by_status.setdefault(trial.status, []).append(row)
    return _refused(by_status)


def _refused(by_status: dict[Status, list[int]]) -> list[NodesToStatus]:
    return [NodesToStatus(status, np.array(rows, np.intp)) for status, rows in by_status.items()]


def _idle(tried: dict[int, Trial]) -> tuple[int, ...]:
    return tuple(row for row, trial in tried.items() if trial.status.ok)
