"""Plugins with what they said before, by signature."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.interface import Codes, Scores, VectorFilterPlugin, VectorScorePlugin
from pallet.framework.state import CycleState
from pallet.runtime.adapter import check_bounds
from pallet.runtime.checked import Checked, Report, Suspect
from pallet.runtime.equivalence_class import NormalizedColumn, ScoreColumn, VerdictCursor
from pallet.runtime.metrics_recorder import FILTER, SCORE, UNRECORDED, MetricsRecorder
from pallet.runtime.verdicts import Question, Remembered

if TYPE_CHECKING:
    from pallet.framework.hooks import Normalize


class FilterMemory:
    """A filter plugin with the verdicts it gave, by signature.

    Those on a fork begin with what is kept in `base`, those on the snapshot that was forked.
    """

    def __init__(
        self,
        plugin: VectorFilterPlugin,
        recorder: MetricsRecorder = UNRECORDED,
        wrong: Report | None = None,
        base: "FilterMemory | None" = None,
    ) -> None:
        self.plugin = plugin
        self.name = plugin.name
        self.filter_rows = recorder.judged(FILTER, plugin.name, plugin.filter_rows)
        self.question = Question(
            plugin.filter_reads,
            self.filter_rows,
            _timed_if_there(recorder, FILTER, plugin, "filter_row"),
            getattr(plugin, "filter_changes", None),
        )
        self.fleeting = self.question.fleeting
        self._signature = plugin.filter_signature
        self._topic = getattr(plugin, "filter_topic", None)
        suspect = Suspect(plugin, "filter", wrong) if wrong else None
        self._memory: _Memory = _Memory(self.question, suspect, base._memory if base else None)

    def asked(self, state: CycleState, info: PodInfo) -> bool:
        """Whether the plugin has anything to say about the pod."""
        return self.name not in state.skipped_filters and self._signature(info) is not None

    def signature(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> Hashable | None:
        """What the verdict is remembered by; None when the plugin has nothing to say about the pod."""
        if self.name in state.skipped_filters:
            return None
        return self._signature(info) if self._topic is None else self._topic(info, snapshot)

    def follower(
        self, signature: Hashable, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> VerdictCursor:
        """A reader of the verdicts for a signature, which is that of a pod."""
        return VerdictCursor(self._memory.recall(signature, state, info, snapshot))

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
    """A score plugin with the scores it gave, by signature. For `base` see `FilterMemory`."""

    def __init__(
        self,
        plugin: VectorScorePlugin,
        weight: int,
        recorder: MetricsRecorder = UNRECORDED,
        wrong: Report | None = None,
        base: "ScoreMemory | None" = None,
    ) -> None:
        self.plugin = plugin
        self.name = plugin.name
        self.score_rows = recorder.judged(SCORE, plugin.name, plugin.score_rows)
        self.question = Question(
            plugin.score_reads,
            self.score_rows,
            _timed_if_there(recorder, SCORE, plugin, "score_row"),
            getattr(plugin, "score_changes", None),
        )
        self.fleeting = self.question.fleeting
        self.weight = weight
        self.normalize: Normalize | None = getattr(plugin, "normalize", None)
        self._signature = plugin.score_signature
        self._topic = getattr(plugin, "score_topic", None)
        suspect = Suspect(plugin, "score", wrong) if wrong else None
        self._memory: _Memory = _Memory(self.question, suspect, base._memory if base else None)

    def asked(self, state: CycleState, info: PodInfo) -> bool:
        """Whether the plugin has anything to say about the pod."""
        return self.name not in state.skipped_scores and self._signature(info) is not None

    def signature(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> Hashable | None:
        """What the scores are remembered by; None when the plugin has nothing to say about the pod."""
        if self.name in state.skipped_scores:
            return None
        return self._signature(info) if self._topic is None else self._topic(info, snapshot)

    def follower(
        self, signature: Hashable, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> VerdictCursor:
        """A reader of the scores for a signature, which is that of a pod, as the plugin gave them."""
        return VerdictCursor(self._memory.recall(signature, state, info, snapshot))

    def column(
        self, signature: Hashable, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> ScoreColumn:
        """A reader of the scores for a signature, which is that of a pod."""
        remembered = self._memory.recall(signature, state, info, snapshot)
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

    Those of a suspect are compared with fresh ones. A base has those on the snapshot that was forked.
    """

    def __init__(self, question: Question, suspect: Suspect | None, base: "_Memory | None") -> None:
        self._question = question
        self._suspect = suspect
        self._base = base
        self._remembered: WeakValueDictionary[Hashable, Remembered] = WeakValueDictionary()

    def find(self, signature: Hashable) -> Remembered | None:
        """The answer for a signature if it is kept, not necessarily fresh."""
        return self._remembered.get(signature)

    def recall(self, signature: Hashable, state: CycleState, info: PodInfo, snapshot: Snapshot) -> Remembered:
        """The answer for the signature of a pod, not necessarily fresh."""
        found = self._remembered.get(signature)
        if found is None:
            if self._suspect is None:
                found = Remembered(self._question, signature)
            else:
                found = Checked(self._question, signature, self._suspect)
            self._remembered[signature] = found
            known = self._base.find(signature) if self._base is not None else None
            if known is not None:
                found.begin_with(known, state, info, snapshot)
        return found


def _timed_if_there(recorder: MetricsRecorder, point: str, plugin: Any, method: str) -> Any:
    found = getattr(plugin, method, None)
    return None if found is None else recorder.judged(point, plugin.name, found)
