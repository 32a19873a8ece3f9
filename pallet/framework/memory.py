"""Plugins with what they said before, by signature."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.checked import Checked, Report, Suspect
from pallet.framework.interface import Codes, Scores, VectorFilterPlugin, VectorScorePlugin
from pallet.framework.kinds import Follower, NormalizedColumn, ScoreColumn
from pallet.framework.lift import check_bounds
from pallet.framework.state import CycleState
from pallet.framework.stopwatch import FILTER, SCORE, UNWATCHED, Watch
from pallet.framework.verdicts import Question, Remembered

if TYPE_CHECKING:
    from pallet.framework.hooks import Normalize


class FilterMemory:
    """A filter plugin with the verdicts it gave, by signature."""

    def __init__(
        self, plugin: VectorFilterPlugin, watch: Watch = UNWATCHED, wrong: Report | None = None
    ) -> None:
        self.plugin = plugin
        self.name = plugin.name
        self.filter_rows = watch.judged(FILTER, plugin.name, plugin.filter_rows)
        self.question = Question(
            plugin.filter_reads,
            self.filter_rows,
            _timed_if_there(watch, FILTER, plugin, "filter_row"),
            getattr(plugin, "filter_changes", None),
        )
        self.fleeting = self.question.fleeting
        self._signature = plugin.filter_signature
        self._topic = getattr(plugin, "filter_topic", None)
        self._memory = _Memory(self.question, wrong and Suspect(plugin, "filter", wrong))

    def asked(self, state: CycleState, info: PodInfo) -> bool:
        """Whether the plugin has anything to say about the pod."""
        return self.name not in state.skipped_filters and self._signature(info) is not None

    def signature(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> Hashable | None:
        """What the verdict is remembered by; None when the plugin has nothing to say about the pod."""
        if self.name in state.skipped_filters:
            return None
        return self._signature(info) if self._topic is None else self._topic(info, snapshot)

    def follower(self, signature: Hashable) -> Follower:
        """A reader of the verdicts for a signature."""
        return Follower(self._memory.recall(signature))

    def codes(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> Codes:
        """Fresh codes for some rows, from memory where some kind of pod has a verdict kept there."""
        few = self.fleeting or rows.size < 2
        remembered = None if few else self._memory.find(self.signature(state, info, snapshot))
        if remembered is None:
            return self.filter_rows(state, info, snapshot, rows)
        remembered.refresh(state, info, snapshot)
        codes: Codes = remembered.values[rows]
        return codes


class ScoreMemory:
    """A score plugin with the scores it gave, by signature."""

    def __init__(
        self,
        plugin: VectorScorePlugin,
        weight: int,
        watch: Watch = UNWATCHED,
        wrong: Report | None = None,
    ) -> None:
        self.plugin = plugin
        self.name = plugin.name
        self.score_rows = watch.judged(SCORE, plugin.name, plugin.score_rows)
        self.question = Question(
            plugin.score_reads,
            self.score_rows,
            _timed_if_there(watch, SCORE, plugin, "score_row"),
            getattr(plugin, "score_changes", None),
        )
        self.fleeting = self.question.fleeting
        self.weight = weight
        self.normalize: Normalize | None = getattr(plugin, "normalize", None)
        self._signature = plugin.score_signature
        self._topic = getattr(plugin, "score_topic", None)
        self._memory = _Memory(self.question, wrong and Suspect(plugin, "score", wrong))

    def asked(self, state: CycleState, info: PodInfo) -> bool:
        """Whether the plugin has anything to say about the pod."""
        return self.name not in state.skipped_scores and self._signature(info) is not None

    def signature(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> Hashable | None:
        """What the scores are remembered by; None when the plugin has nothing to say about the pod."""
        if self.name in state.skipped_scores:
            return None
        return self._signature(info) if self._topic is None else self._topic(info, snapshot)

    def follower(self, signature: Hashable) -> Follower:
        """A reader of the scores for a signature, as the plugin gave them."""
        return Follower(self._memory.recall(signature))

    def column(self, signature: Hashable) -> ScoreColumn:
        """A reader of the scores for a signature."""
        remembered = self._memory.recall(signature)
        if self.normalize is None:
            return ScoreColumn(remembered, self.weight)
        return NormalizedColumn(remembered, self.weight, self.normalize)

    def scores(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> Scores:
        """Fresh scores for the feasible rows, normalised over them."""
        scores = self.score_rows(state, info, snapshot, rows)
        if self.normalize is not None:
            scores = self.normalize(scores, int(scores.min()), int(scores.max()))
        check_bounds(self.name, scores)
        return scores


class _Memory:
    """One plugin's answers by signature, each for as long as some kind of pod follows it.

    Those of a suspect are compared with fresh ones.
    """

    def __init__(self, question: Question, suspect: Suspect | None) -> None:
        self._question = question
        self._suspect = suspect
        self._remembered: WeakValueDictionary[Hashable, Remembered] = WeakValueDictionary()

    def find(self, signature: Hashable) -> Remembered | None:
        """The answer for a signature if it is kept, not necessarily fresh."""
        return self._remembered.get(signature)

    def recall(self, signature: Hashable) -> Remembered:
        """The answer for a signature, not necessarily fresh."""
        found = self._remembered.get(signature)
        if found is None:
            if self._suspect is None:
                found = Remembered(self._question, signature)
            else:
                found = Checked(self._question, signature, self._suspect)
            self._remembered[signature] = found
        return found


def _timed_if_there(watch: Watch, point: str, plugin: Any, method: str) -> Any:
    found = getattr(plugin, method, None)
    return None if found is None else watch.judged(point, plugin.name, found)
