"""Where a pod goes: pre-filter, filter, score and select, as one pure and synchronous decision.

The scheduler decides with an evaluator on the live snapshot; planners decide with their own on a copy.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from cachetools import LRUCache

from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.diagnosis import Refused, fit_message, rejection_message
from pallet.framework.interface import Codes, Reads, Scores, VectorFilterPlugin, VectorScorePlugin
from pallet.framework.profile import Profile
from pallet.framework.state import CycleState
from pallet.framework.status import Code, Status, unresolvable
from pallet.framework.verdicts import INFEASIBLE, Normalize, PodKind, Remembered, ScoreColumn

_MAX_KINDS = 256
_MAX_REMEMBERED = 256
"""Verdicts kept for each plugin; one takes up to eight bytes a node."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The decision on one pod: a node, or why there is none.

    `score` is the chosen node's total; 0 where it was the only one feasible among few. `feasible` and
    `evaluated` count nodes. `message` is what kube-scheduler would say, empty when a node was found.
    """

    node: str | None
    score: int = 0
    feasible: int = 0
    evaluated: int = 0
    refusals: tuple[Refused, ...] = ()
    message: str = ""


class Evaluator:
    """Decides for the pods of one profile on one snapshot, and remembers what helps with the next pod."""

    def __init__(self, profile: Profile, snapshot: Snapshot, rng: Random) -> None:
        self.profile = profile
        self._snapshot = snapshot
        self._rng = rng
        self._filters = [_FilterMemory(plugin) for plugin in profile.filter]
        self._scores = [_ScoreMemory(plugin, weight) for plugin, weight in profile.score]
        self._kinds: LRUCache[Hashable, PodKind] = LRUCache(_MAX_KINDS)

    def choose(self, state: CycleState, info: PodInfo, only: frozenset[str] | None = None) -> Choice:
        """Pick a node with the highest total among the feasible ones, at random where several have it.

        `only` names the nodes to consider, for callers that know them. Nothing is changed but memories.
        Raises PluginError when a plugin answers with an error.
        """
        names, narrowed_by, refusal = self._pre_filter(state, info)
        if refusal is not None:
            return self._refuse(refusal)
        if only is not None:
            names = only if names is None else names & only
        if names is None:
            rows, totals = None, self._totals_over_all(state, info)
        else:
            rows, totals = self._totals_over(state, info, self._rows(names))
        best = int(totals.max(initial=INFEASIBLE))
        if best == INFEASIBLE:
            return self._explain(state, info, names, narrowed_by)
        ties = np.flatnonzero(totals == best)
        pick = int(ties[self._rng.randrange(ties.size)]) if ties.size > 1 else int(ties[0])
        row = pick if rows is None else int(rows[pick])
        return Choice(
            node=self._snapshot.table.name(row),
            score=best,
            feasible=int(np.count_nonzero(totals != INFEASIBLE)),
            evaluated=self._snapshot.table.node_count if names is None else len(names),
        )

    def _pre_filter(
        self, state: CycleState, info: PodInfo
    ) -> tuple[frozenset[str] | None, tuple[str, ...], Status | None]:
        """The only nodes to look at (None for all), who said so, and the refusal if there is one."""
        nodes: frozenset[str] | None = None
        narrowed_by: tuple[str, ...] = ()
        for plugin in self.profile.pre_filter:
            names, status = plugin.pre_filter(state, info, self._snapshot)
            if status.code is Code.SKIP:
                state.skipped_filters.add(plugin.name)
            elif not status.ok:
                return None, (), status.by(plugin.name)
            if names is not None:
                narrowed_by = (*narrowed_by, plugin.name)
                nodes = names if nodes is None else nodes & names
        return nodes, narrowed_by, None

    def _rows(self, names: frozenset[str]) -> Rows:
        """The rows of those of the named nodes that exist, in the table's order."""
        table = self._snapshot.table
        rows = sorted(table.row_of[name] for name in names if name in table.row_of)
        return np.array([row for row in rows if table.live[row]], np.intp)

    def _totals_over_all(self, state: CycleState, info: PodInfo) -> Scores:
        """A total for every row, INFEASIBLE where the pod cannot go; mostly from memory."""
        kind = self._kind(state, info)
        kind.refresh(state, info, self._snapshot)
        totals = kind.totals
        fleeting = [each for each in self._filters if each.fleeting and each.asked(state, info)]
        if fleeting:
            rows = self._sift(state, info, kind.feasible.nonzero()[0], fleeting)
            feasible = np.zeros_like(kind.feasible)
            feasible[rows] = True
            totals = np.where(feasible, kind.totals_over(feasible), INFEASIBLE)
        scorers = [each for each in self._scores if each.fleeting and each.asked(state, info)]
        if scorers:
            rows = np.flatnonzero(totals != INFEASIBLE)
            totals = totals.copy()
            totals[rows] += self._weigh(state, info, rows, scorers)
        return totals

    def _totals_over(self, state: CycleState, info: PodInfo, rows: Rows) -> tuple[Rows, Scores]:
        """The feasible ones of a few rows, each with its total, all asked for afresh."""
        feasible = self._sift(state, info, rows, [each for each in self._filters if each.asked(state, info)])
        if feasible.size < 2:
            return feasible, np.zeros(feasible.size, np.int64)
        scorers = [each for each in self._scores if each.asked(state, info)]
        return feasible, self._weigh(state, info, feasible, scorers)

    def _sift(self, state: CycleState, info: PodInfo, rows: Rows, filters: "list[_FilterMemory]") -> Rows:
        for each in filters:
            rows = rows[each.plugin.filter_rows(state, info, self._snapshot, rows) == 0]
        return rows

    def _weigh(self, state: CycleState, info: PodInfo, rows: Rows, scorers: "list[_ScoreMemory]") -> Scores:
        """The sum of the scorers' weighted shares, each normalised over the rows, which are all feasible."""
        total = np.zeros(rows.size, np.int64)
        if rows.size < 2:
            return total
        for plugin in self.profile.pre_score:
            if plugin.pre_score(state, info, self._snapshot, rows).code is Code.SKIP:
                state.skipped_scores.add(plugin.name)
        for each in scorers:
            if each.plugin.name not in state.skipped_scores:
                scores = each.plugin.score_rows(state, info, self._snapshot, rows)
                if each.normalize is not None:
                    scores = each.normalize(scores, int(scores.min()), int(scores.max()))
                total += each.weight * scores
        return total

    def _kind(self, state: CycleState, info: PodInfo) -> PodKind:
        filters = [None if each.fleeting else each.signature(state, info) for each in self._filters]
        scores = [None if each.fleeting else each.signature(state, info) for each in self._scores]
        key = (*filters, *scores)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = PodKind(
                tuple(
                    each.remembered(signature)
                    for each, signature in zip(self._filters, filters, strict=True)
                    if signature is not None
                ),
                tuple(
                    ScoreColumn(each.remembered(signature), each.weight, each.normalize)
                    for each, signature in zip(self._scores, scores, strict=True)
                    if signature is not None
                ),
            )
        return kind

    def _refuse(self, refusal: Status) -> Choice:
        """The answer when a pre-filter plugin refused the pod, whatever the node."""
        table = self._snapshot.table
        return Choice(
            node=None,
            evaluated=table.node_count,
            refusals=(Refused(refusal, table.live.nonzero()[0]),),
            message=rejection_message(table.node_count, refusal),
        )

    def _explain(
        self, state: CycleState, info: PodInfo, names: frozenset[str] | None, narrowed_by: tuple[str, ...]
    ) -> Choice:
        """Say for each node which plugin, in the configured order, was the first to refuse it."""
        table = self._snapshot.table
        left = table.live.nonzero()[0]
        refusals: list[Refused] = []
        if names is not None:
            considered = self._rows(names)
            if narrowed_by:
                plugins = " ".join(sorted(narrowed_by))
                reason = unresolvable(f"node(s) didn't satisfy plugin(s) [{plugins}]")
                refusals += [
                    Refused(reason.by(plugin), np.setdiff1d(left, considered)) for plugin in narrowed_by[:1]
                ]
            left = considered
        for each in self._filters:
            if each.asked(state, info):
                codes = each.codes(state, info, self._snapshot, left)
                for code in np.unique(codes[codes != 0]).tolist():
                    status = each.plugin.explain(info, code).by(each.plugin.name)
                    refusals.append(Refused(status, left[codes == code]))
                left = left[codes == 0]
        return Choice(
            node=None,
            evaluated=table.node_count if names is None else len(names),
            refusals=tuple(refusals),
            message=fit_message(table.node_count, refusals),
        )


class _FilterMemory:
    """A filter plugin with the verdicts it gave, by signature."""

    def __init__(self, plugin: VectorFilterPlugin) -> None:
        self.plugin = plugin
        self.fleeting = plugin.reads is Reads.CLUSTER
        self._remembered: LRUCache[Hashable, Remembered] = LRUCache(_MAX_REMEMBERED)

    def signature(self, state: CycleState, info: PodInfo) -> Hashable | None:
        """The pod's signature; None when the plugin has nothing to say about it."""
        return None if self.plugin.name in state.skipped_filters else self.plugin.filter_signature(info)

    def asked(self, state: CycleState, info: PodInfo) -> bool:
        """Whether the plugin has anything to say about the pod."""
        return self.signature(state, info) is not None

    def remembered(self, signature: Hashable) -> Remembered:
        """The verdicts for a signature, not necessarily fresh."""
        return _recall(self._remembered, signature, self.plugin.reads, self.plugin.filter_rows)

    def codes(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> Codes:
        """Fresh codes for some rows, from memory where there is one."""
        if self.fleeting or rows.size < 2:
            return self.plugin.filter_rows(state, info, snapshot, rows)
        remembered = self.remembered(self.plugin.filter_signature(info))
        remembered.refresh(state, info, snapshot)
        codes: Codes = remembered.values[rows]
        return codes


class _ScoreMemory:
    """A score plugin with the scores it gave, by signature."""

    def __init__(self, plugin: VectorScorePlugin, weight: int) -> None:
        self.plugin = plugin
        self.weight = weight
        self.normalize: Normalize | None = getattr(plugin, "normalize", None)
        self.fleeting = plugin.reads is Reads.CLUSTER
        self._remembered: LRUCache[Hashable, Remembered] = LRUCache(_MAX_REMEMBERED)

    def signature(self, state: CycleState, info: PodInfo) -> Hashable | None:
        """The pod's signature; None when the plugin has nothing to say about it."""
        return None if self.plugin.name in state.skipped_scores else self.plugin.score_signature(info)

    def asked(self, state: CycleState, info: PodInfo) -> bool:
        """Whether the plugin has anything to say about the pod."""
        return self.signature(state, info) is not None

    def remembered(self, signature: Hashable) -> Remembered:
        """The scores for a signature, not necessarily fresh."""
        return _recall(self._remembered, signature, self.plugin.reads, self.plugin.score_rows)


def _recall(
    memory: LRUCache[Hashable, Remembered], signature: Hashable, reads: Reads, compute: Callable[..., Any]
) -> Remembered:
    found = memory.get(signature)
    if found is None:
        found = memory[signature] = Remembered(reads, compute)
    return found
