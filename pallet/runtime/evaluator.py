"""Where a pod goes: pre-filter, filter, score and select, as one pure and synchronous decision.

The scheduler decides with an evaluator on the live snapshot; planners decide with their own on a fork.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from random import Random
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np

from pallet.bounded_cache import MIB, BoundedCache, footprint
from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Fork, Snapshot
from pallet.framework.diagnosis import NodesToStatus, blame, fit_message, nothing_left, rejection_message
from pallet.framework.extender_result import ExtenderResult
from pallet.framework.instruments import Counter
from pallet.framework.interface import Scores
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Code, PluginError, Status
from pallet.runtime.checked import Report
from pallet.runtime.equivalence_class import EquivalenceClass
from pallet.runtime.explainer import Explainer
from pallet.runtime.memory import FilterMemory, ScoreMemory
from pallet.runtime.metrics_recorder import PRE_FILTER, PRE_SCORE, UNRECORDED, MetricsRecorder
from pallet.runtime.nominees import Nominees
from pallet.runtime.pod_limits import NAME as LIMITS
from pallet.runtime.pod_limits import check_limits
from pallet.runtime.profile import Profile
from pallet.runtime.remembered_diagnosis import RememberedDiagnosis
from pallet.runtime.row_filters import FiltersWithNominatedPods
from pallet.runtime.sampling import Sampler
from pallet.runtime.verdicts import INFEASIBLE, NO_ROWS

NO_NODES = "no nodes available to schedule pods"

NO_TOTALS: Scores = np.zeros(0, np.int64)

T = TypeVar("T")

_KINDS_BYTES = 128 * MIB
"""Of a kind and the verdicts that it follows: 100 to 200 bytes a node, and 150 KiB."""

_KEY_BYTES = MIB // 2
"""What plugins know a pod by may take so much. To measure a longer one would take as long as the decision."""


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


class _Known(NamedTuple):
    """What is kept for pods that the remembering plugins cannot tell apart."""

    kind: EquivalenceClass
    refusals: RememberedDiagnosis


class Evaluator:
    """Decides for the pods of one profile on one snapshot, and remembers what helps with the next pod.

    With `wrong`, what is remembered of plugins is compared with fresh answers, and differences are reported.
    With a base, which decides on the snapshot that was forked, it begins with what that remembers.
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
        self._pre_filters = _asked(PRE_FILTER, ((p.name, p.pre_filter) for p in profile.pre_filter), recorder)
        self._pre_scores = _asked(PRE_SCORE, ((p.name, p.pre_score) for p in profile.pre_score), recorder)
        self._filters: list[FilterMemory] = [
            FilterMemory(plugin, recorder, wrong, base._filters[number] if base else None)
            for number, plugin in enumerate(profile.filter)
        ]
        self._scores: list[ScoreMemory] = [
            ScoreMemory(plugin, weight, recorder, wrong, base._scores[number] if base else None)
            for number, (plugin, weight) in enumerate(profile.score)
        ]
        self._kept_filters = [each for each in self._filters if not each.fleeting]
        self._kept_scores = [each for each in self._scores if not each.fleeting]
        self._fleeting_filters = [each for each in self._filters if each.fleeting]
        self._fleeting_scores = [each for each in self._scores if each.fleeting]
        self._nominees = Nominees(self._filters, snapshot)
        self._explainer = Explainer(self._filters, self._nominees, snapshot)
        self.row_filters = FiltersWithNominatedPods(self._filters, snapshot)
        self._kinds: BoundedCache[Hashable, _Known] = BoundedCache(
            "pod_kinds",
            _KINDS_BYTES,
            lambda key, known: _key_bytes(key) + known.kind.bytes_for(snapshot.table.capacity),
        )
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
        advice: ExtenderResult | None = None,
    ) -> Choice:
        """Pick a node with the highest total among the feasible ones, at random where several have it.

        `only` names the nodes to consider, for callers that know them; `advice` does so too, and adds scores
        and reasons. Nothing is changed but memories. Raises PluginError when a plugin answers with an error.
        """
        if advice is not None:
            only = advice.names
        if not self.snapshot.table.node_count:
            return Choice(node=None, message=NO_NODES)
        names, narrowed_by, refusal = self._pre_filter(state, info)
        if refusal is not None:
            return self._refuse(refusal, narrowed_by)
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
        if advice is not None:
            totals = totals + self._scores_of(rows, advice)
        found = self._best_of(rows, totals)
        if found is None:
            if advice is not None:
                names = allowed
            table = self.snapshot.table
            rows = table.live.nonzero()[0] if names is None else self._rows(names)
            refusals = self._explainer.among(state, info, rows, narrowed_by, advice)
            return self._nowhere(table.node_count if names is None else len(names), refusals)
        row, best, feasible = found
        name = self.snapshot.table.name(row)
        return Choice(node=name, score=best, feasible=feasible, evaluated=len(names))

    def fits(self, state: CycleState, info: PodInfo, name: str, fork: Fork | None = None) -> bool:
        """Whether a pod can go to one node, by name, as it is or as a fork supposes. Raises PluginError."""
        snapshot = fork or self.snapshot
        names, _, refusal = self._pre_filter(state, info, snapshot)
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
        names, _, refusal = self._pre_filter(state, info)
        rows, found = NO_ROWS, NO_TOTALS
        if refusal is None and names is None:
            kind = self._fresh(state, info).kind
            some = self._totals_of_some(state, info, kind)
            if some is None:
                return kind.totals()
            rows, found = some
        elif refusal is None and names is not None:
            rows, found = self._totals_over(state, info, self._rows(names))
        totals = np.full(self.snapshot.table.capacity, INFEASIBLE, np.int64)
        totals[rows] = found
        return totals

    def scored(self, info: PodInfo) -> Iterator["Scored"]:
        """Every node that can take a pod, with what each plugin gives it; all is asked for afresh.

        Raises PluginError.
        """
        state, table = CycleState(), self.snapshot.table
        names, _, refusal = self._pre_filter(state, info)
        if refusal is not None:
            return
        rows = table.live.nonzero()[0] if names is None else self._rows(names)
        rows, totals = self._totals_over(state, info, rows)
        scorers = [each for each in self._scores if each.asked(state, info)] if rows.size > 1 else []
        shares = {plugin: share.tolist() for plugin, share in self._shares(state, info, rows, scorers)}
        for place, (row, total) in enumerate(zip(rows.tolist(), totals.tolist(), strict=True)):
            yield Scored(table.name(row), total, {plugin: share[place] for plugin, share in shares.items()})

    def _pre_filter(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot | None = None
    ) -> tuple[frozenset[str] | None, tuple[str, ...], Status | None]:
        """The only nodes to look at (None for all), or else a refusal; and between them, who said so."""
        self._recorder.begin()
        within = check_limits(info)
        if within.rejected:
            return None, (LIMITS,), within
        found = self._ask_pre_filters(state, info, snapshot or self.snapshot)
        self._recorder.pre_filtered(found[2] or SUCCESS)
        return found

    def _ask_pre_filters(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> tuple[frozenset[str] | None, tuple[str, ...], Status | None]:
        nodes: frozenset[str] | None = None
        narrowed_by: tuple[str, ...] = ()
        refused: tuple[str, Status] | None = None
        for plugin, pre_filter, evaluations in self._pre_filters[state.sampled]:
            names, status = pre_filter(state, info, snapshot)
            if status.code is Code.SKIP:
                state.skipped_filters.add(plugin)
                continue
            evaluations.inc()
            if status.code is Code.UNSCHEDULABLE:
                refused = plugin, status  # preemption may help, and needs what the others prepare
                continue
            if status.rejected:
                return None, (plugin,), status
            if not status.ok:
                raise PluginError(plugin, status.message)
            if names is not None:
                narrowed_by = (*narrowed_by, plugin)
                nodes = names if nodes is None else nodes & names
                if not nodes:
                    return nodes, narrowed_by, nothing_left(narrowed_by)
        if refused is not None:
            return None, (refused[0], *narrowed_by), refused[1]
        return nodes, narrowed_by, None

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
        known = self._fresh(state, info)
        found = self._best_of_all(state, info, known.kind)
        table = self.snapshot.table
        if found is None:
            return self._nowhere(table.node_count, self._explainer.everywhere(state, info, known.refusals))
        row, best, feasible = found
        return Choice(node=table.name(row), score=best, feasible=feasible, evaluated=table.node_count)

    def _best_of_all(
        self, state: CycleState, info: PodInfo, kind: EquivalenceClass
    ) -> tuple[int, int, int] | None:
        """The row of choice among all, its total and how many are feasible; mostly from memory."""
        some = self._totals_of_some(state, info, kind)
        if some is None and self._sampler is None:
            return (kind.pick(self._rng), kind.best, kind.feasible_count) if kind.feasible_count else None
        rows, totals = some or (kind.feasible_rows(), kind.totals_over(kind.feasible_rows()))
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
        self, state: CycleState, info: PodInfo, kind: EquivalenceClass
    ) -> tuple[Rows, Scores] | None:
        """What is left of the kind's feasible rows after all that is not remembered, each with its total.

        None where nothing of that kind has anything to say.
        """
        filters = [each for each in self._fleeting_filters if each.asked(state, info)]
        scorers = [each for each in self._fleeting_scores if each.asked(state, info)]
        if not filters and not scorers and not self.snapshot.nominator:
            return None
        feasible = kind.feasible_rows()
        rows = self._nominees.sift(state, info, self._sift(state, info, feasible, filters))
        added = self._weigh(state, info, rows, scorers) if scorers else None
        if rows.size == feasible.size and added is None:
            return None
        totals = kind.totals_over(rows)
        return rows, totals if added is None else totals + added

    def _totals_over(self, state: CycleState, info: PodInfo, rows: Rows) -> tuple[Rows, Scores]:
        """The feasible ones of a few rows, each with its total, all asked for afresh."""
        feasible = self._sift(state, info, rows, [each for each in self._filters if each.asked(state, info)])
        feasible = self._nominees.sift(state, info, feasible)
        scorers = [each for each in self._scores if each.asked(state, info)]
        totals = self._weigh(state, info, feasible, scorers)
        return feasible, np.zeros(feasible.size, np.int64) if totals is None else totals

    def _sift(self, state: CycleState, info: PodInfo, rows: Rows, filters: list[FilterMemory]) -> Rows:
        for each in filters:
            codes = each.filter_rows(state, info, self.snapshot, rows)
            if codes.any():
                rows = rows.compress(codes == 0)
        return rows

    def _weigh(
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
                state.skipped_scores.add(plugin)
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
            if each.plugin.name not in state.skipped_scores:
                yield each.plugin.name, each.weight * each.scores(state, info, self.snapshot, rows)

    def _fresh(self, state: CycleState, info: PodInfo) -> _Known:
        """What is known of pods like this one, brought up to date."""
        snapshot = self.snapshot
        filters = [each.signature(state, info, snapshot) for each in self._kept_filters]
        scores = [each.signature(state, info, snapshot) for each in self._kept_scores]
        key = (*filters, *scores)
        known = self._kinds.get(key)
        if known is None:
            asked = [pair for pair in zip(self._kept_filters, filters, strict=True) if pair[1] is not None]
            followers = tuple(each.follower(signature, state, info, snapshot) for each, signature in asked)
            columns = tuple(
                each.column(signature, state, info, snapshot)
                for each, signature in zip(self._kept_scores, scores, strict=True)
                if signature is not None
            )
            refusals = RememberedDiagnosis(
                [each.plugin for each, _ in asked], [each.verdict for each in followers]
            )
            known = self._kinds[key] = _Known(EquivalenceClass(followers, columns), refusals)
        known.kind.refresh(state, info, snapshot)
        return known

    def _refuse(self, refusal: Status, plugins: tuple[str, ...]) -> Choice:
        """The answer when pre-filter plugins refused the pod, whatever the node."""
        table = self.snapshot.table
        return Choice(
            node=None,
            evaluated=table.node_count,
            refusals=blame(refusal, plugins, table.live.nonzero()[0]),
            message=rejection_message(table.node_count, refusal),
        )

    def _nowhere(self, evaluated: int, refusals: tuple[NodesToStatus, ...]) -> Choice:
        """The answer when no node will do, of so many that were looked at."""
        return Choice(
            node=None,
            evaluated=evaluated,
            refusals=refusals,
            message=fit_message(self.snapshot.table.node_count, refusals),
        )

    def _scores_of(self, rows: Rows, advice: ExtenderResult) -> Scores:
        name = self.snapshot.table.name
        return np.array([advice.scores.get(name(row), 0) for row in rows.tolist()], np.int64)


def _key_bytes(key: Hashable) -> int:
    """The bytes of what plugins know a pod by, or more than are kept."""
    found = footprint(key, _KEY_BYTES)
    return found if found <= _KEY_BYTES else _KINDS_BYTES


_Asked = tuple[str, Callable[..., T], Counter]
"""A plugin's name, its method, and what counts its evaluations."""


def _asked(
    point: str, methods: Iterable[tuple[str, Callable[..., T]]], recorder: MetricsRecorder
) -> Mapping[bool, list[_Asked[T]]]:
    """Whom to ask at a point, by whether the cycle is sampled."""
    asked = [(name, method, recorder.evaluations(point, name)) for name, method in methods]
    timed = [(name, recorder.executed(point, name, method), counter) for name, method, counter in asked]
    return {False: asked, True: timed}
