"""Plugins with what they said before, by signature."""

from collections.abc import Callable, Hashable
from typing import Any

from cachetools import LRUCache

from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.interface import (
    MAX_SCORE,
    MIN_SCORE,
    Codes,
    Normalize,
    Reads,
    Scores,
    VectorFilterPlugin,
    VectorScorePlugin,
)
from pallet.framework.lift import PluginError
from pallet.framework.state import CycleState
from pallet.framework.stopwatch import FILTER, SCORE, Timed, untimed
from pallet.framework.verdicts import Remembered

_MAX_REMEMBERED = 256
"""Verdicts kept for each plugin; one takes up to eight bytes a node."""


class FilterMemory:
    """A filter plugin with the verdicts it gave, by signature."""

    def __init__(self, plugin: VectorFilterPlugin, timed: Timed = untimed) -> None:
        self.plugin = plugin
        self.filter_rows = timed(FILTER, plugin.name, plugin.filter_rows)
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
        return _recall(self._remembered, signature, self.plugin.reads, self.filter_rows)

    def codes(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> Codes:
        """Fresh codes for some rows, from memory where there is one."""
        if self.fleeting or rows.size < 2:
            return self.filter_rows(state, info, snapshot, rows)
        remembered = self.remembered(self.plugin.filter_signature(info))
        remembered.refresh(state, info, snapshot)
        codes: Codes = remembered.values[rows]
        return codes


class ScoreMemory:
    """A score plugin with the scores it gave, by signature."""

    def __init__(self, plugin: VectorScorePlugin, weight: int, timed: Timed = untimed) -> None:
        self.plugin = plugin
        self.score_rows = timed(SCORE, plugin.name, plugin.score_rows)
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

    def scores(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> Scores:
        """Fresh scores for the feasible rows, normalised over them."""
        scores = self.score_rows(state, info, snapshot, rows)
        if self.normalize is not None:
            scores = self.normalize(scores, int(scores.min()), int(scores.max()))
        low, high = int(scores.min()), int(scores.max())
        if low < MIN_SCORE or high > MAX_SCORE:
            wrong = low if low < MIN_SCORE else high
            raise PluginError(self.plugin.name, f"score {wrong} is not in {MIN_SCORE}..{MAX_SCORE}")
        return scores

    def remembered(self, signature: Hashable) -> Remembered:
        """The scores for a signature, not necessarily fresh."""
        return _recall(self._remembered, signature, self.plugin.reads, self.score_rows)


def _recall(
    memory: LRUCache[Hashable, Remembered], signature: Hashable, reads: Reads, compute: Callable[..., Any]
) -> Remembered:
    found = memory.get(signature)
    if found is None:
        found = memory[signature] = Remembered(reads, compute)
    return found
