"""Plugins at Filter and Score with what they answered before, by signature."""

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakValueDictionary

from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.interface import Codes, Scores, VectorFilterPlugin, VectorScorePlugin
from pallet.framework.state import CycleState
from pallet.runtime.adapter import check_bounds
from pallet.runtime.checked import CheckedPlugin, CheckedResult, Report
from pallet.runtime.metrics_recorder import UNRECORDED, MetricsRecorder
from pallet.runtime.results import PluginMethods, PluginResult

if TYPE_CHECKING:
    from pallet.framework.hooks import Normalize

Vector = TypeVar("Vector", bound=VectorFilterPlugin | VectorScorePlugin)


class PluginMemory(Generic[Vector]):
    """A plugin at Filter or Score with its results, each kept for as long as it is held elsewhere.

    With `wrong`, results are compared with fresh ones, and differences are reported. Those on a fork begin
    with what is kept in `base`, those on the snapshot that was forked.

    This is one class for both points, and not two with a common base: the interpreter calls a method faster
    on objects that are all of one class, which is worth a microsecond a pod.
    """

    def __init__(
        self,
        plugin: Vector,
        point: str,
        recorder: MetricsRecorder = UNRECORDED,
        wrong: Report | None = None,
        base: "PluginMemory[Vector] | None" = None,
        weight: int = 1,
    ) -> None:
        hook = point.lower()
        one_row = getattr(plugin, f"{hook}_row", None)
        self.plugin = plugin
        self.name = plugin.name
        self.weight = weight
        self.normalize: Normalize | None = getattr(plugin, "normalize", None)
        self.methods = PluginMethods(
            getattr(plugin, f"{hook}_reads"),
            recorder.judged(point, plugin.name, getattr(plugin, f"{hook}_rows")),
            None if one_row is None else recorder.judged(point, plugin.name, one_row),
            getattr(plugin, f"{hook}_changes", None),
        )
        self.cacheable = self.methods.cacheable
        self._hook = hook
        self._signature: Callable[[PodInfo], Hashable | None] = getattr(plugin, f"{hook}_signature")
        self._topic: Callable[[PodInfo, Snapshot], Hashable | None] | None
        self._topic = getattr(plugin, f"{hook}_topic", None)
        self._checked = CheckedPlugin(plugin, hook, wrong) if wrong else None
        self._base = base
        self._results: WeakValueDictionary[Hashable, PluginResult] = WeakValueDictionary()

    def asked(self, state: CycleState, info: PodInfo) -> bool:
        """Whether the plugin has anything to say about the pod."""
        return self.name not in state.skipped[self._hook] and self._signature(info) is not None

    def signature(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> Hashable | None:
        """What a result is kept by; None when the plugin has nothing to say about the pod."""
        if self.name in state.skipped[self._hook]:
            return None
        return self._signature(info) if self._topic is None else self._topic(info, snapshot)

    def find(self, signature: Hashable) -> PluginResult | None:
        """The result for a signature if it is kept, not necessarily up to date."""
        return self._results.get(signature)

    def recall(
        self, signature: Hashable, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> PluginResult:
        """The result for the signature of a pod, not necessarily up to date."""
        found = self._results.get(signature)
        if found is None:
            if self._checked is None:
                found = PluginResult(self.methods, signature)
            else:
                found = CheckedResult(self.methods, signature, self._checked)
            self._results[signature] = found
            known = self._base.find(signature) if self._base is not None else None
            if known is not None:
                found.begin_with(known, state, info, snapshot)
        return found

    def codes(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> Codes:
        """A filter's codes for some rows: from a kept result, brought up to date; else it is asked."""
        asked = rows.size < 2 or not self.cacheable
        result = None if asked else self.find(self.signature(state, info, snapshot))
        if result is None:
            return self.methods.rows(state, info, snapshot, rows)
        result.refresh(state, info, snapshot)
        codes: Codes = result.values[rows]
        return codes

    def scores(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> Scores:
        """A score plugin's scores for the feasible rows, normalised over them; it is asked."""
        scores = self.methods.rows(state, info, snapshot, rows)
        if self.normalize is not None:
            scores = self.normalize(scores, int(scores.min()), int(scores.max()))
        check_bounds(self.name, scores)
        return scores


FilterMemory = PluginMemory[VectorFilterPlugin]
ScoreMemory = PluginMemory[VectorScorePlugin]
