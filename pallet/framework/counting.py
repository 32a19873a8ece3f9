"""Counting what a decision counts by, before the decision and in slices.

Inter-pod affinity and spreading are answered from counters. A selector that is new has to be compared with
every distinct set of labels among the placed pods first, and a pod with new labels with every term that
placed pods hold: 100 selectors and 30,000 sets of labels are 3 million comparisons.
"""

from collections.abc import Sequence
from typing import Final

from pallet.api.pod import Pod
from pallet.cache.counters import Selectors
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.pod_limits import check_limits
from pallet.framework.profile import Profile
from pallet.loop_budget import LoopBudget

FEW: Final = 4000
"""So many comparisons are done in the scheduling cycle itself: they take some milliseconds."""

_STEP: Final = 256
"""Comparisons between two looks at the budget."""

_ENTRIES: Final = 8
"""Comparing so many labels, expressions and values takes as long again as comparing none."""


class Counting:
    """What is to be counted for the pods of one profile on one snapshot."""

    def __init__(self, profile: Profile, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._plugins = [plugin.counted for plugin in profile.plugins.values() if hasattr(plugin, "counted")]

    def work(self, pod: Pod) -> int:
        """How many comparisons have to be made before a decision on a pod."""
        counters, holders = self._snapshot.counters, self._snapshot.holders
        work = sum(held.unmatched(pod) for held in holders.sorts())
        for selectors in self._selectors(pod):
            left = counters.uncounted(selectors)
            if left:
                work += left * (1 + _size(selectors) // _ENTRIES)
        return work

    def step(self, pod: Pod) -> bool:
        """Make some of the comparisons. True when none is left."""
        counters = self._snapshot.counters
        for selectors in self._selectors(pod):
            if counters.uncounted(selectors):
                counters.count_some(selectors, max(1, _STEP // (1 + _size(selectors) // _ENTRIES)))
                return False
        return all(held.match(pod, counters, _STEP) for held in self._snapshot.holders.sorts())

    async def finish(self, pod: Pod, budget: LoopBudget) -> None:
        """Make all comparisons in slices, where they are many."""
        if self.work(pod) > FEW:
            while not self.step(pod):
                if budget.exhausted:
                    await budget.pause()

    def _selectors(self, pod: Pod) -> Sequence[Selectors]:
        """What a decision on the pod counts by; nothing where the pod is refused anyway."""
        spec = pod.spec
        if (spec.affinity or spec.topology_spread_constraints) and not check_limits(PodInfo(pod)).ok:
            return ()
        return [selectors for counted in self._plugins for selectors in counted(pod)]


def _size(selectors: Selectors) -> int:
    return sum(each.size for each in selectors)
