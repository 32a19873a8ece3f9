"""Plugins that look at one node at a time, made to look at all of them."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import NodeInfo, Snapshot
from pallet.framework.interface import (
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
from pallet.framework.status import SUCCESS, Code, Status

if TYPE_CHECKING:
    from pallet.framework.hooks import Normalize

_STATUSES = 4096
"""So many statuses are kept, or four for each row."""

_LAST_CODE = 2**32 - 1


class PluginError(Exception):
    """A plugin answered with an error, so the cycle cannot go on."""

    def __init__(self, plugin: str, message: str) -> None:
        super().__init__(f"{plugin}: {message}")
        self.plugin = plugin


class LiftedFilter:
    """A filter over all nodes made of one for a single node. Its verdicts are never remembered."""

    filter_reads = Reads.CLUSTER

    def __init__(self, plugin: FilterPlugin) -> None:
        self.name = plugin.name
        self._plugin = plugin
        self._status_of: dict[int, Status] = {}
        self._code_of: dict[Status, int] = {}
        """The least recently used first."""
        self._last_code = 0

    def filter_signature(self, info: PodInfo) -> Hashable:
        """Always asked: nobody knows what a plain filter looks at."""
        return self.name

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Ask about the rows one by one. Raise PluginError when the plugin answers with an error."""
        self._forget(max(_STATUSES, 4 * snapshot.table.capacity))
        ask, pod = self._plugin.filter, info.pod
        indexes, live, nodes = _asked(rows, snapshot)
        statuses = [ask(state, pod, node) for node in nodes]
        codes = np.zeros(indexes.size, np.uint32)
        codes[live] = [0 if status is SUCCESS else self._code(status) for status in statuses]
        return codes

    def explain(self, info: PodInfo, code: int) -> Status:
        """Give back the status behind a code of this cycle."""
        return self._status_of[code]

    def _code(self, status: Status) -> int:
        if status.ok:
            return 0
        if status.code is Code.ERROR:
            raise PluginError(self.name, status.message)
        code = self._code_of.pop(status, 0) or self._new_code()
        self._code_of[status] = code
        self._status_of[code] = status
        return code

    def _new_code(self) -> int:
        """A code that stands for nothing."""
        self._last_code = self._last_code % _LAST_CODE + 1
        while self._last_code in self._status_of:
            self._last_code = self._last_code % _LAST_CODE + 1
        return self._last_code

    def _forget(self, most: int) -> None:
        """Keep only the half that was used last, when there are too many statuses."""
        if len(self._code_of) > most:
            for status in list(self._code_of)[: most // 2]:
                del self._status_of[self._code_of.pop(status)]


class LiftedScore:
    """A score over all nodes made of one for a single node, with its normalising. It is never remembered."""

    score_reads = Reads.CLUSTER

    def __init__(self, plugin: ScorePlugin) -> None:
        self.name = plugin.name
        self.normalize: Normalize | None = getattr(plugin, "normalize", None)
        self._plugin = plugin

    def score_signature(self, info: PodInfo) -> Hashable:
        """Always asked: nobody knows what a plain score looks at."""
        return self.name

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """Ask about the rows one by one."""
        ask, pod = self._plugin.score, info.pod
        indexes, live, nodes = _asked(rows, snapshot)
        scores = np.zeros(indexes.size, np.int64)
        scores[live] = [ask(state, pod, node) for node in nodes]
        return scores


def vector_filter(plugin: Any) -> VectorFilterPlugin:
    """A filter plugin in its vector form, which it has or is given."""
    return plugin if hasattr(plugin, "filter_rows") else LiftedFilter(plugin)


def vector_score(plugin: Any) -> VectorScorePlugin:
    """A score plugin in its vector form, which it has or is given."""
    return plugin if hasattr(plugin, "score_rows") else LiftedScore(plugin)


def _asked(rows: RowChoice, snapshot: Snapshot) -> tuple[Rows, Rows, list[NodeInfo]]:
    """The rows, the positions among them that hold a node, and these nodes."""
    indexes = np.arange(snapshot.table.capacity)[rows]
    live = snapshot.table.live[indexes].nonzero()[0]
    return indexes, live, snapshot.node_infos(indexes[live])
