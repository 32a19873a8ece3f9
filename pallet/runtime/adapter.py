"""Plugins that look at one node at a time, made to look at all of them."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import NodeInfo, Snapshot
from pallet.framework.interface import (
    MAX_SCORE,
    MIN_SCORE,
    Codes,
    FilterPlugin,
    Reads,
    RowChoice,
    ScorePlugin,
    Scores,
    VectorFilterPlugin,
    VectorScorePlugin,
)
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Code, PluginError, Status

if TYPE_CHECKING:
    from pallet.framework.hooks import Normalize

_STATUSES = 4096
_STATUSES_A_ROW = 4
"""So many statuses are kept before their codes are given up, the larger of both."""

_LAST_CODE = 2**32 - 1


class FilterAdapter:
    """A filter over all nodes made of one for a single node.

    Its results are kept if it declares what they depend on (see `FilterDependence`).
    """

    def __init__(self, plugin: FilterPlugin) -> None:
        self.name = plugin.name
        self.filter_reads: Reads = getattr(plugin, "filter_reads", Reads.CLUSTER)
        self._signature = getattr(plugin, "filter_signature", None)
        self.plain = plugin
        self._statuses = _Statuses()

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """The plugin's, with the generation of the codes; always asked where it declares none."""
        signature = self.name if self._signature is None else self._signature(info)
        return None if signature is None else (self._statuses.generation(), signature)

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Ask about the rows one by one. Raise PluginError when the plugin answers with an error."""
        self._statuses.most = max(_STATUSES, _STATUSES_A_ROW * snapshot.table.capacity)
        ask = self.plain.filter
        indexes, live, nodes = _asked(rows, snapshot)
        statuses = [ask(state, info, node) for node in nodes]
        codes = np.zeros(indexes.size, np.uint32)
        codes[live] = [0 if status is SUCCESS else self._code(status) for status in statuses]
        return codes

    def filter_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """The same about a single row."""
        if not snapshot.table.live.item(row):
            return 0
        return self._code(self.plain.filter(state, info, snapshot.node(row)))

    def explain(self, info: PodInfo, code: int) -> Status:
        """Give back the status behind a code of this cycle."""
        return self._statuses.behind(code)

    def _code(self, status: Status) -> int:
        if status.ok:
            return 0
        if status.code is Code.ERROR:
            raise PluginError(self.name, status.message)
        return self._statuses.code(status)


class _Statuses:
    """The codes that stand for statuses.

    Reasons may be new each time, so codes are given up when there are too many: then another generation
    begins, and what is remembered in codes of an earlier one is asked again, for its signature is another.
    The generation before is kept for the cycle in which that happens.
    """

    def __init__(self) -> None:
        self.most = _STATUSES
        self._code_of: dict[Status, int] = {}
        self._status_of: dict[int, Status] = {}
        self._before: dict[int, Status] = {}
        self._generation = 0
        self._last_code = 0

    def generation(self) -> int:
        """The number of the generation, a new one where there are too many statuses."""
        if len(self._status_of) > self.most:
            self._before, self._status_of, self._code_of = self._status_of, {}, {}
            self._generation += 1
        return self._generation

    def code(self, status: Status) -> int:
        """The code of a status, between 1 and the largest."""
        code = self._code_of.get(status)
        if code is None:
            self._last_code = code = self._last_code % _LAST_CODE + 1
            self._code_of[status], self._status_of[code] = code, status
        return code

    def behind(self, code: int) -> Status:
        """The status for which a code of this generation or the one before stands."""
        return self._status_of.get(code) or self._before[code]


class ScoreAdapter:
    """A score over all nodes made of one for a single node, with its normalising.

    It is remembered if the plugin declares what it depends on (see `ScoreDependence`).
    """

    def __init__(self, plugin: ScorePlugin) -> None:
        self.name = plugin.name
        self.score_reads: Reads = getattr(plugin, "score_reads", Reads.CLUSTER)
        self.normalize: Normalize | None = getattr(plugin, "normalize", None)
        self._signature = getattr(plugin, "score_signature", None)
        self.plain = plugin

    def score_signature(self, info: PodInfo) -> Hashable | None:
        """The plugin's; always asked where it declares none."""
        return self.name if self._signature is None else self._signature(info)

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """Ask about the rows one by one. Raise PluginError for a score that is out of bounds."""
        ask = self.plain.score
        indexes, live, nodes = _asked(rows, snapshot)
        scores = np.zeros(indexes.size, np.int64)
        scores[live] = [ask(state, info, node) for node in nodes]
        if self.normalize is None:
            check_bounds(self.name, scores)
        return scores

    def score_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """The same about a single row."""
        return int(self.score_rows(state, info, snapshot, slice(row, row + 1))[0])


def check_bounds(plugin: str, scores: Scores) -> None:
    """Raise PluginError where a score, normalised if it is to be, is not in MIN_SCORE..MAX_SCORE."""
    for score in (int(scores.min()), int(scores.max())) if scores.size else ():
        if not MIN_SCORE <= score <= MAX_SCORE:
            raise PluginError(plugin, f"score {score} is not in {MIN_SCORE}..{MAX_SCORE}")


def vector_filter(plugin: Any) -> VectorFilterPlugin:
    """A filter plugin in its vector form, which it has or is given."""
    return plugin if hasattr(plugin, "filter_rows") else FilterAdapter(plugin)


def vector_score(plugin: Any) -> VectorScorePlugin:
    """A score plugin in its vector form, which it has or is given."""
    return plugin if hasattr(plugin, "score_rows") else ScoreAdapter(plugin)


def _asked(rows: RowChoice, snapshot: Snapshot) -> tuple[Rows, Rows, list[NodeInfo]]:
    """The rows, the positions among them that hold a node, and these nodes."""
    indexes = np.arange(snapshot.table.capacity)[rows]
    live = snapshot.table.live[indexes].nonzero()[0]
    return indexes, live, snapshot.node_infos(indexes[live])
