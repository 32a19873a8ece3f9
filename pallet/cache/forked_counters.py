"""The counters of a fork: what its parent counts, and the difference.

The difference is what was placed and removed on the fork, and the opposite of what was placed and removed on
the parent since. So a tally that is asked for is the parent's one with the difference added; from then on it
follows the changes of the fork alone.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.pod import Pod
from pallet.cache.columns import resized
from pallet.cache.row_counts import ByRow, RowCounts, added
from pallet.cache.selection import PodSelection, PodSelector
from pallet.cache.tally import Counts, Tally
from pallet.cache.views import Counters, GroupKey, group_key

_Change = tuple[GroupKey, int, int]
"""A group, a row, and how many of its pods more."""


class ForkedCounters:
    """Counts over the pods of a fork, asked as `PodCounters` are."""

    def __init__(self, parent: Counters, capacity: int) -> None:
        self._parent = parent
        self._capacity = capacity
        self._changes: list[_Change] = []
        """Those of the fork, in their order."""
        self._withstood: list[_Change] = []
        """The opposite of those of the parent."""
        self._tallies: dict[PodSelection, _Forked] = {}
        self._weights: dict[tuple[PodSelection, GroupKey], int] = {}
        self._namespaces: dict[str, Labels] | None = None
        """The labels of namespaces as they were before the parent's changed."""

    def change(self, pod: Pod, row: int, by: int) -> None:
        """Count a pod that is placed on the fork, or with -1 one that is removed there."""
        self._changes.append((group_key(pod), row, by))

    def withstand(self, pod: Pod, row: int, by: int) -> None:
        """Leave the fork as it is while its parent counts a pod, or with -1 takes one back."""
        self._withstood.append((group_key(pod), row, -by))

    def withstand_namespaces(self) -> None:
        """Keep the labels of namespaces, before the parent's change."""
        if self._namespaces is None:
            self._namespaces = self._parent.namespace_labels()

    @property
    def has_other_namespaces(self) -> bool:
        """Whether the labels of namespaces are not those of the parent."""
        return self._namespaces is not None

    def count(self, selection: PodSelection) -> Counts:
        """What the pods on each row count: int64, (capacity,), not to be changed by the caller."""
        return self.tally(selection).by_row

    def tally(self, selection: PodSelection) -> Tally:
        """The counter of selected pods, up to date until something changes."""
        forked = self._tallies.get(selection) or self._begin(selection)
        self._follow(selection, forked, len(self._changes))
        return forked.tally

    def uncounted(self, selection: PodSelection) -> int:
        """How many groups have to be looked at before the selection is counted."""
        forked = self._tallies.get(selection)
        if forked is not None:
            return len(self._changes) - forked.followed
        return self._parent.uncounted(selection)

    def count_some(self, selection: PodSelection, most: int) -> bool:
        """Compare the selection with some groups more. True when it is counted."""
        forked = self._tallies.get(selection)
        if forked is None:
            if not self._counts_alone(selection) and not self._parent.count_some(selection, most):
                return False
            forked = self._begin(selection)
        self._follow(selection, forked, forked.followed + most)
        return forked.followed == len(self._changes)

    def weight(self, selection: PodSelection, pod: Pod) -> int:
        """How much a pod counts, placed or not."""
        return self.weight_of(selection, group_key(pod))

    def weight_of(self, selection: PodSelection, key: GroupKey) -> int:
        """How much each pod of a group counts, which may have no placed pods."""
        weight = self._weights.get((selection, key))
        if weight is None:
            if self._namespaces is not None and selection.asks_for_namespaces:
                namespace, labels, terminating = key
                of_namespace = self._namespaces.get(namespace, NO_LABELS)
                weight = selection.weight(namespace, of_namespace, labels, terminating)
            else:
                weight = self._parent.weight_of(selection, key)
            self._weights[selection, key] = weight
        return weight

    def selects(self, selector: PodSelector, pod: Pod) -> bool:
        """Whether a selector selects a pod, placed or not."""
        if self._namespaces is None:
            return self._parent.selects(selector, pod)
        return selector.selects(pod, self._namespaces.get(pod.metadata.namespace, NO_LABELS))

    def namespace_labels(self) -> dict[str, Labels]:
        """The labels of the namespaces that have any; a copy."""
        return self._parent.namespace_labels() if self._namespaces is None else dict(self._namespaces)

    def groups(self) -> Iterator[tuple[GroupKey, ByRow]]:
        """The groups of placed pods, each with the number of its pods by row."""
        difference: RowCounts[GroupKey] = RowCounts()
        for key, row, by in (*self._changes, *self._withstood):
            difference.bump(key, row, by)
        return added(self._parent.groups(), difference)

    def _begin(self, selection: PodSelection) -> "_Forked":
        """A tally of the pods that are on the fork now."""
        by_row: Counts
        changes: Iterable[_Change]
        if self._counts_alone(selection):
            by_row = np.zeros(self._capacity, np.int64)
            changes = ((key, row, count) for key, rows in self.groups() for row, count in rows.items())
        else:
            by_row = resized(self._parent.count(selection), self._capacity)
            changes = (*self._changes, *self._withstood)
        for key, row, by in changes:
            weight = self.weight_of(selection, key)
            if weight and row < self._capacity:
                by_row[row] += by * weight
        forked = self._tallies[selection] = _Forked(Tally(by_row), len(self._changes))
        return forked

    def _follow(self, selection: PodSelection, forked: "_Forked", end: int) -> None:
        """Add what was changed up to a point."""
        for key, row, by in self._changes[forked.followed : end]:
            weight = self.weight_of(selection, key)
            if weight:
                forked.tally.bump(row, by * weight)
        forked.followed = min(end, len(self._changes))

    def _counts_alone(self, selection: PodSelection) -> bool:
        """Whether the parent counts by other labels of namespaces."""
        return self._namespaces is not None and selection.asks_for_namespaces


class _Forked:
    """A tally, and how many of the fork's changes it has followed."""

    __slots__ = ("followed", "tally")

    def __init__(self, tally: Tally, followed: int) -> None:
        self.tally = tally
        self.followed = followed
