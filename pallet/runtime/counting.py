"""Counting what a decision counts by, before the decision and in slices.

Inter-pod affinity and spreading are answered from counters. A selector that is new has to be compared with
every distinct set of labels among the placed pods first, and a pod with new labels with every term that
placed pods hold: 100 selectors and 30,000 sets of labels are 3 million comparisons.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from pallet.cache.pod_info import PodInfo
from pallet.cache.selection import PodSelection
from pallet.cache.snapshot import Snapshot
from pallet.loop_budget import LoopBudget
from pallet.runtime.profile import Profile

FEW: Final = 4000
"""So many comparisons are done in the scheduling cycle itself: they take some milliseconds."""

_STEP: Final = 256
"""Comparisons between two looks at the budget."""


class Counting:
    """What is to be counted for the pods of one profile on one snapshot."""

    def __init__(self, profile: Profile, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._plugins = [plugin.counted for plugin in profile.plugins.values() if hasattr(plugin, "counted")]

    def counted(self, info: PodInfo) -> Sequence[PodSelection]:
        """What a decision on a pod counts by."""
        return [each for counted in self._plugins for each in counted(info, self._snapshot)]

    def work(self, info: PodInfo, counted: Iterable[PodSelection]) -> int:
        """How many comparisons have to be made before a decision on a pod that counts by these."""
        counters, holders = self._snapshot.counters, self._snapshot.holders
        work = sum(held.unmatched(info.pod) for held in holders.sorts())
        return work + sum(counters.uncounted(each) * each.cost for each in counted)

    def step(self, info: PodInfo, counted: Iterable[PodSelection]) -> bool:
        """Make some of the comparisons. True when none is left."""
        counters = self._snapshot.counters
        for each in counted:
            if counters.uncounted(each):
                counters.count_some(each, max(1, _STEP // each.cost))
                return False
        return all(held.match(info.pod, _STEP) for held in self._snapshot.holders.sorts())

    async def finish(self, info: PodInfo, budget: LoopBudget) -> None:
        """Make all comparisons in slices, where they are many."""
        counted = self.counted(info)
        if self.work(info, counted) > FEW:
            while not self.step(info, counted):
                if budget.exhausted:
                    await budget.pause()
