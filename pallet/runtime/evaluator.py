"""Which node a pod is placed on: pre-filter, filter, score and select, as one pure and synchronous decision.

The scheduler decides with an evaluator on the live snapshot; planners decide with their own on a fork.
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import msgspec
import numpy as np

from pallet.cache.changes import NO_ROWS, Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Fork, Snapshot
from pallet.framework.diagnosis import NodesToStatus, blame, fit_message, rejection_message
from pallet.framework.extender_result import ExtenderResult
from pallet.framework.interface import Scores
from pallet.framework.state import CycleState
from pallet.framework.status import Code, PluginError, Status
from pallet.runtime.checked import Report
from pallet.runtime.equivalence_class import EquivalenceClasses
from pallet.runtime.explainer import Explainer
from pallet.runtime.incremental_totals import INFEASIBLE, IncrementalTotals
from pallet.runtime.memory import FilterMemory, PluginMemory, ScoreMemory
from pallet.runtime.metrics_recorder import FILTER, PRE_SCORE, SCORE, UNRECORDED, MetricsRecorder, timed
from pallet.runtime.nominated_pods import NominatedPods
from pallet.runtime.pre_filter import PreFilters
from pallet.runtime.profile import Profile
from pallet.runtime.row_filters import FiltersWithNominatedPods
from pallet.runtime.sampling import Sampler

NO_NODES = "no nodes available to schedule pods"

NO_TOTALS: Scores = np.zeros(0, np.int64)


class Choice(msgspec.Struct, frozen=True):
    """The decision on one pod: a node, or why there is none.

    `score` is the chosen node's total; 0 where it was the only one feasible among few. `feasible` and
    `evaluated` count nodes. `message` is what kube-scheduler would say, empty when a node was found.
    """

    node: str | None
    score: int = 0
    feasible: int = 0
    evaluated: int = 0
    refusals: tuple[NodesToStatus, ...] = ()
    message: str = ""


class Scored(NamedTuple):
    """A node that can take a pod: its total, and each plugin's share of that, its weight included."""

    node: str
    total: int
    shares: dict[str, int]


class Evaluator:
    """Decides for the pods of one profile on one snapshot, and keeps what helps with the next pod.

    With `wrong`, kept results of plugins are compared with fresh ones, and differences are reported. With a
    base, which decides on the snapshot that was forked, it begins with what that has kept.
    """

    def __init__(
        self,
        profile: Profile,
        snapshot: Snapshot,
        rng: Random,
        recorder: MetricsRecorder = UNRECORDED,
        wrong: Report | None = None,
        base: "Evaluator | None" = None,
    ) -> None:
        self.profile = profile
        self.snapshot = snapshot
        self._rng = rng
        self._recorder = recorder
        self._wrong = wrong
        self._pre_filters = PreFilters(profile, recorder)
        self._pre_scores = timed(PRE_SCORE, ((p.name, p.pre_score) for p in profile.pre_score), recorder)
        self._filters: list[FilterMemory] = [
            PluginMemory(plugin, FILTER, recorder, wrong, base._filters[number] if base else None)
            for number, plugin in enumerate(profile.filter)
        ]
        self._scores: list[ScoreMemory] = [
            PluginMemory(plugin, SCORE, recorder, wrong, base._scores[number] if base else None, weight)
            for number, (plugin, weight) in enumerate(profile.score)
        ]
        self._classes = EquivalenceClasses(self._filters, self._scores, snapshot)
        self._uncacheable_filters = [each for each in self._filters if not each.cacheable]
        self._uncacheable_scores = [each for each in self._scores if not each.cacheable]
        self.row_filters = FiltersWithNominatedPods(self._filters, snapshot)
        self._nominated_pods = NominatedPods(self.row_filters, snapshot)
        self._explainer = Explainer(self._filters, self._nominated_pods, snapshot)
        percentage = profile.percentage_of_nodes_to_score
        self._sampler = None if percentage is None else Sampler(percentage)

    def on(self, fork: Fork) -> "Evaluator":
        """What decides as this one does, on a fork of its snapshot."""
        return Evaluator(self.profile, fork, self._rng, self._recorder, self._wrong, base=self)

    def choose(
        self,
        state: CycleState,
        info: PodInfo,
        only: frozenset[str] | None = None,
        extender_result: ExtenderResult | None = None,
    ) -> Choice:
        """Pick a node with the highest total among the feasible ones, at random where several have it.

        `only` names the nodes to consider, for callers that know them; `extender_result` does so too, and
        adds scores and reasons. Nothing is changed but what is kept. Raises PluginError when a plugin answers
        with an error.
        """
        if extender_result is not None:
            only = extender_result.names
        if not self.snapshot.table.node_count:
            return Choice(node=None, message=NO_NODES)
        names, narrowed_by, refusal = self._pre_filters.run(state, info, self.snapshot)
        if refusal is not None:
            return self._rejected(refusal, narrowed_by)
        nominated = info.pod.status.nominated_node_name
        if (
            nominated
            and (only is None or nominated in only)
            and self._fits(state, info, nominated, self.snapshot)
        ):
            return Choice(node=nominated, feasible=1, evaluated=1)
        allowed = names
        if only is not None:
            names = only if names is None else names & only
        if names is None:
            return self._choose_among_all(state, info)
        rows, totals = self._totals_over(state, info, self._rows(names))
        if extender_result is not None:
            totals = totals + self._extender_scores(rows, extender_result)
        found = self._best_of(rows, totals)
        if found is None:
            if extender_result is not None:
                names = allowed
            table = self.snapshot.table
            rows = table.live.nonzero()[0] if names is None else self._rows(names)
            refusals = self._explainer.among(state, info, rows, narrowed_by, extender_result)
            return self._unschedulable(table.node_count if names is None else len(names), refusals)
        row, best, feasible = found
        name = self.snapshot.table.name(row)
        return Choice(node=name, score=best, feasible=feasible, evaluated=len(names))

    def fits(self, state: CycleState, info: PodInfo, name: str, fork: Fork | None = None) -> bool:
        """Whether a pod can go to one node, by name, as it is or as a fork supposes. Raises PluginError."""
        snapshot = fork or self.snapshot
        names, _, refusal = self._pre_filters.run(state, info, snapshot)
        return (
            refusal is None and (names is None or name in names) and self._fits(state, info, name, snapshot)
        )

    def feasible(self, state: CycleState, info: PodInfo) -> list[str]:
        """The names of all nodes that can take a pod. Raises PluginError."""
        table = self.snapshot.table
        return [table.name(row) for row in (self.totals(state, info) != INFEASIBLE).nonzero()[0].tolist()]

    def totals(self, state: CycleState, info: PodInfo) -> Scores:
        """The total of every row, INFEASIBLE where the pod cannot go; not to be changed by the caller.

        Raises PluginError when a plugin answers with an error.
        """
        names, _, refusal = self._pre_filters.run(state, info, self.snapshot)
        rows, found = NO_ROWS, NO_TOTALS
        if refusal is None and names is None:
            known = self._classes.of(state, info).totals
            some = self._totals_of_some(state, info, known)
            if some is None:
                return known.totals()
            rows, found = some
        elif refusal is None and names is not None:
            rows, found = self._totals_over(state, info, self._rows(names))
        totals = np.full(self.snapshot.table.capacity, INFEASIBLE, np.int64)
        totals[rows] = found
        return totals

    def scored(self, info: PodInfo) -> Iterator["Scored"]:
        """Every node that can take a pod, with what each plugin gives it; every plugin is asked.

        Raises PluginError.
        """
        state, table = CycleState(), self.snapshot.table
        names, _, refusal = self._pre_filters.run(state, info, self.snapshot)
        if refusal is not None:
            return
        rows = table.live.nonzero()[0] if names is None else self._rows(names)
        rows, totals = self._totals_over(state, info, rows)
        scorers = [each for each in self._scores if each.asked(state, info)] if rows.size > 1 else []
        shares = {plugin: share.tolist() for plugin, share in self._shares(state, info, rows, scorers)}
        for place, (row, total) in enumerate(zip(rows.tolist(), totals.tolist(), strict=True)):
            yield Scored(table.name(row), total, {plugin: share[place] for plugin, share in shares.items()})

    def _fits(self, state: CycleState, info: PodInfo, name: str, snapshot: Snapshot) -> bool:
        """Whether all filters pass a pod on a node, such as the one that was nominated for it."""
        row = snapshot.table.row_of.get(name)
        return row is not None and FiltersWithNominatedPods(self._filters, snapshot).fits(state, info, row)

    def _rows(self, names: frozenset[str]) -> Rows:
        """The rows of those of the named nodes that exist, in the table's order."""
        table = self.snapshot.table
        rows = sorted(table.row_of[name] for name in names if name in table.row_of)
        return np.array([row for row in rows if table.live[row]], np.intp)

    def _choose_among_all(self, state: CycleState, info: PodInfo) -> Choice:
        """The decision on a pod that may go anywhere."""
        known = self._classes.of(state, info)
        found = self._best_of_all(state, info, known.totals)
        table = self.snapshot.table
        if found is None:
            refusals = self._explainer.everywhere(state, info, known.diagnosis)
            return self._unschedulable(table.node_count, refusals)
        row, best, feasible = found
        return Choice(node=table.name(row), score=best, feasible=feasible, evaluated=table.node_count)

    def _best_of_all(
        self, state: CycleState, info: PodInfo, known: IncrementalTotals
    ) -> tuple[int, int, int] | None:
        """The row of choice among all, its total and how many are feasible."""
        some = self._totals_of_some(state, info, known)
        if some is None and self._sampler is None:
            return (known.pick(self._rng), known.best, known.feasible_count) if known.feasible_count else None
        rows, totals = some or (known.feasible_rows(), known.totals_over(known.feasible_rows()))
        if self._sampler is not None:
            sampled = self._sampler.sample(rows, self.snapshot.table.node_count)
            rows, totals = rows[sampled], totals[sampled]
        return self._best_of(rows, totals)

    def _best_of(self, rows: Rows, totals: Scores) -> tuple[int, int, int] | None:
        """The row of choice among feasible ones, its total, and how many they are."""
        if not rows.size:
            return None
        best = int(totals.max())
        ties = (totals == best).nonzero()[0]
        pick = int(ties[self._rng.randrange(ties.size) if ties.size > 1 else 0])
        return int(rows[pick]), best, rows.size

    def _totals_of_some(
        self, state: CycleState, info: PodInfo, known: IncrementalTotals
    ) -> tuple[Rows, Scores] | None:
        """The rows that are feasible to plugins without kept results and to nominated pods too, with totals.

        None where they have nothing to say.
        """
        filters = [each for each in self._uncacheable_filters if each.asked(state, info)]
        scorers = [each for each in self._uncacheable_scores if each.asked(state, info)]
        if not filters and not scorers and not self.snapshot.nominator:
            return None
        feasible = known.feasible_rows()
        rows = self._nominated_pods.filter(state, info, self._filter(state, info, feasible, filters))
        added = self._score(state, info, rows, scorers) if scorers else None
        if rows.size == feasible.size and added is None:
            return None
        totals = known.totals_over(rows)
        return rows, totals if added is None else totals + added

    def _totals_over(self, state: CycleState, info: PodInfo, rows: Rows) -> tuple[Rows, Scores]:
        """The feasible ones of a few rows, each with its total; every plugin is asked."""
        filters = [each for each in self._filters if each.asked(state, info)]
        feasible = self._nominated_pods.filter(state, info, self._filter(state, info, rows, filters))
        scorers = [each for each in self._scores if each.asked(state, info)]
        totals = self._score(state, info, feasible, scorers)
        return feasible, np.zeros(feasible.size, np.int64) if totals is None else totals

    def _filter(self, state: CycleState, info: PodInfo, rows: Rows, filters: list[FilterMemory]) -> Rows:
        for each in filters:
            codes = each.methods.rows(state, info, self.snapshot, rows)
            if codes.any():
                rows = rows.compress(codes == 0)
        return rows

    def _score(
        self, state: CycleState, info: PodInfo, rows: Rows, scorers: list[ScoreMemory]
    ) -> Scores | None:
        """The sum of the scorers' weighted shares over the rows, which are all feasible.

        None where nothing is scored: one node needs no ranking, and pre-score plugins may leave scorers out.
        """
        if rows.size < 2:
            return None
        self._recorder.begin()
        for plugin, pre_score, evaluations in self._pre_scores[state.sampled]:
            status = pre_score(state, info, self.snapshot, rows)
            if status.code is Code.SKIP:
                state.skipped["score"].add(plugin)
                continue
            evaluations.inc()
            if not status.ok:
                raise PluginError(plugin, status.message)
        self._recorder.pre_scored()
        total: Scores | None = None
        for _, share in self._shares(state, info, rows, scorers):
            total = share if total is None else total + share
        return total

    def _shares(
        self, state: CycleState, info: PodInfo, rows: Rows, scorers: list[ScoreMemory]
    ) -> Iterator[tuple[str, Scores]]:
        """The weighted scores of each plugin over the rows, once the pre-score plugins have been asked."""
        for each in scorers:
            if each.plugin.name not in state.skipped["score"]:
                yield each.plugin.name, each.weight * each.scores(state, info, self.snapshot, rows)

    def _rejected(self, refusal: Status, plugins: tuple[str, ...]) -> Choice:
        """The answer when pre-filter plugins refused the pod, whatever the node."""
        table = self.snapshot.table
        return Choice(
            node=None,
            evaluated=table.node_count,
            refusals=blame(refusal, plugins, table.live.nonzero()[0]),
            message=rejection_message(table.node_count, refusal),
        )

    def _unschedulable(self, evaluated: int, refusals: tuple[NodesToStatus, ...]) -> Choice:
        """The answer when no node is feasible, of so many that were evaluated."""
        return Choice(
            node=None,
            evaluated=evaluated,
            refusals=refusals,
            message=fit_message(self.snapshot.table.node_count, refusals),
        )

    def _extender_scores(self, rows: Rows, extender_result: ExtenderResult) -> Scores:
        name = self.snapshot.table.name
        return np.array([extender_result.scores.get(name(row), 0) for row in rows.tolist()], np.int64)
