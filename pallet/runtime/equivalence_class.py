"""Equivalence classes: pods for which all plugins with kept results give the same ones.

Two layers of memory meet here. Each plugin has its results by signature (`pallet.runtime.memory`), and each
class has what is derived from the results of all plugins: totals over nodes, and a diagnosis.
"""

from collections.abc import Hashable, Iterable
from typing import NamedTuple

from pallet.bounded_cache import MIB, BoundedCache, footprint
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.state import CycleState
from pallet.runtime.incremental_totals import IncrementalTotals
from pallet.runtime.memory import FilterMemory, ScoreMemory
from pallet.runtime.remembered_diagnosis import RememberedDiagnosis

_CLASSES_BYTES = 128 * MIB
"""Of a class and the results that it reads: 100 to 200 bytes a node, and 150 KiB."""

_KEY_BYTES = MIB // 2
"""The signatures of a pod may take so much. To measure a longer one would take as long as the decision."""


class EquivalenceClass(NamedTuple):
    """What is kept for the pods of one class."""

    totals: IncrementalTotals
    diagnosis: RememberedDiagnosis


class EquivalenceClasses:
    """The classes of one profile's pods on one snapshot, those that were asked about lately."""

    def __init__(
        self, filters: Iterable[FilterMemory], scores: Iterable[ScoreMemory], snapshot: Snapshot
    ) -> None:
        self._filters = [each for each in filters if each.cacheable]
        self._scores = [each for each in scores if each.cacheable]
        self._snapshot = snapshot
        self._classes: BoundedCache[Hashable, EquivalenceClass] = BoundedCache(
            "pod_kinds",
            _CLASSES_BYTES,
            lambda key, each: _key_bytes(key) + each.totals.bytes_for(snapshot.table.capacity),
        )

    def of(self, state: CycleState, info: PodInfo) -> EquivalenceClass:
        """The class of a pod, its totals brought up to date. Raises PluginError."""
        snapshot = self._snapshot
        filters = [each.signature(state, info, snapshot) for each in self._filters]
        scores = [each.signature(state, info, snapshot) for each in self._scores]
        key = (*filters, *scores)
        found = self._classes.get(key)
        if found is None:
            found = self._classes[key] = self._new(filters, scores, state, info)
        found.totals.refresh(state, info, snapshot)
        return found

    def _new(
        self,
        filters: list[Hashable | None],
        scores: list[Hashable | None],
        state: CycleState,
        info: PodInfo,
    ) -> EquivalenceClass:
        """The class of a pod with these signatures, None of plugins that have nothing to say about it."""
        codes = [
            (each.plugin, each.recall(signature, state, info, self._snapshot))
            for each, signature in zip(self._filters, filters, strict=True)
            if signature is not None
        ]
        shares = [
            (each.recall(signature, state, info, self._snapshot), each.weight, each.normalize)
            for each, signature in zip(self._scores, scores, strict=True)
            if signature is not None
        ]
        totals = IncrementalTotals([result for _, result in codes], shares)
        return EquivalenceClass(totals, RememberedDiagnosis(codes))


def _key_bytes(key: Hashable) -> int:
    """The bytes of a pod's signatures, or more than are kept."""
    found = footprint(key, _KEY_BYTES)
    return found if found <= _KEY_BYTES else _CLASSES_BYTES
