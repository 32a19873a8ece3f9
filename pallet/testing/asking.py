"""Asking one plugin about one pod, on a cluster of a few nodes and pods.

A vector plugin is asked in every way in which the runtime may ask it; its answers have to agree. What a
plugin declares that it depends on is put to the test: parts of the pod and of the cluster are changed, and
what would be remembered then is compared with a fresh answer.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from msgspec.structs import replace

from pallet.api.labels import Labels
from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.api.pod_metadata import keep
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.config.errors import FieldPath
from pallet.framework.events import ClusterEvent, Hint
from pallet.framework.interface import ALL_ROWS
from pallet.framework.state import CycleState
from pallet.framework.status import Code, Status
from pallet.runtime.adapter import vector_filter, vector_score
from pallet.runtime.checked import WrongDeclaration
from pallet.runtime.contract import pod_metadata_of, problems
from pallet.runtime.memory import PluginMemory
from pallet.runtime.metrics_recorder import FILTER, SCORE
from pallet.runtime.registry import PluginFactory
from pallet.runtime.row_filters import explained
from pallet.testing.disturbing import disturb, others_like
from pallet.testing.handle import Objects, make_handle

if TYPE_CHECKING:
    from pallet.runtime.results import PluginResult


class Asked:
    """A plugin made with arguments as a file has them; the nodes it is asked about, and pods on them."""

    def __init__(
        self,
        kind: type[Any],
        nodes: Iterable[Node] = (),
        pods: Iterable[Pod] = (),
        *,
        namespaces: Mapping[str, Mapping[str, str]] | None = None,
        args: Mapping[str, Any] | None = None,
        objects: Objects | None = None,
    ) -> None:
        factory = PluginFactory.of(kind)
        assert not problems(kind), "; ".join(problems(kind))
        self._declared = pod_metadata_of(kind)
        self._keep = keep(self._declared)
        self._tested: set[Hashable] = set()
        self.cache = Cache()
        for node in nodes:
            self.cache.put_node(node)
        for pod in pods:
            self.cache.put_pod(self._seen(pod))
        for name, labels in (namespaces or {}).items():
            self.cache.set_namespace(name, Labels(labels))
        handle = make_handle(self.cache, objects)
        self.plugin = factory.build(dict(args or {}), FieldPath(), handle)

    def statuses(self, pod: Pod) -> dict[str, Status | None]:
        """What the filter says about each node; None where the pod passes."""
        state, info, snapshot = CycleState(), PodInfo(self._seen(pod)), self.cache.snapshot
        if hasattr(self.plugin, "pre_filter"):
            _, status = self.plugin.pre_filter(state, info, snapshot)
            if status.code is Code.SKIP:
                return dict.fromkeys(self._names())
        judge = vector_filter(self.plugin)
        if judge.filter_signature(info) is None:
            return dict.fromkeys(self._names())
        self._test(PluginMemory(judge, FILTER, wrong=_refuse), "filter", info)
        codes = self._answers(judge, "filter", state, info)
        row_of = snapshot.table.row_of
        return {
            name: explained(judge, info, code, snapshot, row_of[name]) if code else None
            for name, code in codes.items()
        }

    def messages(self, pod: Pod) -> dict[str, str]:
        """The same in words, empty where the pod passes; `!` marks what taking pods away cannot help."""
        return {name: _words(status) for name, status in self.statuses(pod).items()}

    def scores(self, pod: Pod, among: Iterable[str] | None = None) -> dict[str, int]:
        """The scores of the nodes `among` which the pod can choose (None for all), on the common scale.

        None if the plugin has no opinion. Only plugins that pre-score are told of a choice.
        """
        state, info, snapshot = CycleState(), PodInfo(self._seen(pod)), self.cache.snapshot
        if hasattr(self.plugin, "pre_filter"):
            self.plugin.pre_filter(state, info, snapshot)
        judge = vector_score(self.plugin)
        if self.plugin.name in state.skipped["score"] or judge.score_signature(info) is None:
            return {}
        self._test(PluginMemory(judge, SCORE, wrong=_refuse), "score", info)
        if hasattr(self.plugin, "pre_score"):
            chosen = self._names() if among is None else among
            rows = np.array(sorted(snapshot.table.row_of[name] for name in chosen), np.intp)
            if self.plugin.pre_score(state, info, snapshot, rows).code is Code.SKIP:
                return {}
        scores = self._answers(judge, "score", state, info)
        if among is not None:
            scores = {name: scores[name] for name in among}
        if not hasattr(self.plugin, "normalize"):
            return scores
        raw = np.array(list(scores.values()), np.int64)
        scaled = self.plugin.normalize(raw, int(raw.min()), int(raw.max()))
        return dict(zip(scores, scaled.tolist(), strict=True))

    def hint(self, event: ClusterEvent, pod: Pod, old: object, new: object) -> Hint:
        """Whether an event may help a pod that the plugin refused."""
        interests = [each for each in self.plugin.events_to_register() if each.event.matches(event)]
        waiting = PodInfo(self._seen(pod))
        old, new = (self._seen(each) if isinstance(each, Pod) else each for each in (old, new))
        helpful = any(each.hint is None or each.hint(waiting, old, new) is Hint.QUEUE for each in interests)
        return Hint.QUEUE if helpful else Hint.SKIP

    def _test(self, memory: PluginMemory[Any], point: str, info: PodInfo) -> None:
        """Change the pod and the cluster, and see that what is remembered is still right.

        Once for each signature. Raises AssertionError.
        """
        results: dict[Hashable, PluginResult] = {}

        def compare(pod: Pod) -> None:
            state, info = CycleState(), PodInfo(pod)
            if hasattr(self.plugin, "pre_filter"):
                self.plugin.pre_filter(state, info, self.cache.snapshot)
            signature = memory.signature(state, info, self.cache.snapshot)
            if signature is not None:
                result = memory.recall(signature, state, info, self.cache.snapshot)
                results[signature] = result
                result.refresh(state, info, self.cache.snapshot)

        key = point, memory.signature(CycleState(), info, self.cache.snapshot)
        if not memory.cacheable or key in self._tested:
            return
        self._tested.add(key)
        compare(info.pod)
        for other in others_like(info.pod, self._declared):
            compare(other)
        for _ in disturb(self.cache, info.pod):
            compare(info.pod)

    def _seen(self, pod: Pod) -> Pod:
        """The pod as the plugin would get it: without what it does not declare."""
        return self._keep(replace(pod, metadata=replace(pod.metadata)))

    def _names(self) -> list[str]:
        return [self.cache.snapshot.table.name(row) for row in self.cache.snapshot.rows()]

    def _answers(self, judge: object, point: str, state: CycleState, info: PodInfo) -> dict[str, int]:
        """The answer for each node, which must be the same however the rows are asked for."""
        snapshot, ask = self.cache.snapshot, getattr(judge, f"{point}_rows")
        ask_one = getattr(judge, f"{point}_row", None)
        rows = np.array(list(snapshot.rows()), np.intp)
        answers = ask(state, info, snapshot, rows).tolist()
        assert len(ask(state, info, snapshot, ALL_ROWS)) == snapshot.table.capacity
        assert ask(state, info, snapshot, ALL_ROWS)[rows].tolist() == answers
        for row, answer in zip(rows.tolist(), answers, strict=True):
            assert ask(state, info, snapshot, slice(row, row + 1)).tolist() == [answer]
        assert ask(state, info, snapshot, rows[:0]).tolist() == []
        if ask_one is not None:
            assert [ask_one(state, info, snapshot, row) for row in rows.tolist()] == answers
        return dict(zip(self._names(), answers, strict=True))


def _refuse(wrong: WrongDeclaration) -> NoReturn:
    raise AssertionError(str(wrong))


def _words(status: Status | None) -> str:
    if status is None:
        return ""
    assert status.rejected
    return ("!" if status.code is Code.UNSCHEDULABLE_AND_UNRESOLVABLE else "") + status.message
