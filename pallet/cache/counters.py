"""Counters behind pod affinity and spreading: answers over all nodes without walking pods."""

from collections.abc import Iterable, Mapping
from sys import getsizeof
from typing import Final

import numpy as np

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.pod import Pod
from pallet.bounded_cache import MIB, BoundedCache
from pallet.cache.selection import PodSelection, PodSelector
from pallet.cache.tally import Counts, Tally

GroupKey = tuple[str, Labels, bool]

COSTLY: Final = 256
"""Selections of more comparisons are not compared with a new group when that comes, but when asked about."""

_TALLIES_BYTES = 160 * MIB
"""Of them the selections of one pod, which may be 1.5 MiB of JSON, take no more than the eighth part."""

_LOGS_BYTES = 2048
"""Of the objects and the logs of a tally."""

_WEIGHTS = 4096
"""Of so many groups it is kept how much they count for a costly selection."""

_WEIGHT_BYTES = 150


class PodGroup:
    """The placed pods that no selector can tell apart: how many of them are on which row.

    counted_by: the tallies that count these pods, and how much one of them counts
    """

    __slots__ = ("counted_by", "rows")

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        self.counted_by: list[tuple[Tally, int]] = []


class _Weights(dict[GroupKey, int]):
    """How much some groups, there or gone, count for a costly selection, and its tally."""

    __slots__ = ("tally",)

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self.tally = tally

    def keep(self, key: GroupKey, weight: int) -> None:
        """Keep a weight, and when they are too many, no others."""
        if len(self) >= _WEIGHTS:
            self.clear()
        self[key] = weight


class _Tallies(BoundedCache[PodSelection, Tally]):
    """The tallies of selections that were asked about lately; groups count by no other ones.

    left: the groups that a selection is still to be compared with
    weights: what is known of the weights of groups, for costly selections
    """

    def __init__(self, groups: dict[GroupKey, PodGroup]) -> None:
        super().__init__("selector_counts", _TALLIES_BYTES, _size)
        self.left: dict[PodSelection, dict[GroupKey, PodGroup]] = {}
        self.weights: dict[PodSelection, _Weights] = {}
        self._groups = groups

    def forget(self, forgotten: Iterable[PodSelection]) -> None:
        """Count some selections no more."""
        found = {selection: self.pop(selection) for selection in forgotten}
        self._let_go({selection: tally for selection, tally in found.items() if tally is not None})

    def _let_go(self, gone: Mapping[PodSelection, Tally]) -> None:
        if not gone:
            return
        for selection in gone:
            self.left.pop(selection, None)
            self.weights.pop(selection, None)
        tallies = set(gone.values())
        for group in self._groups.values():
            if any(tally in tallies for tally, _ in group.counted_by):
                group.counted_by = [each for each in group.counted_by if each[0] not in tallies]


def _size(selection: PodSelection, tally: Tally) -> int:
    """With the sums by topology domain, which are not more than the rows, and the logs."""
    weights = _WEIGHTS * _WEIGHT_BYTES if selection.cost > COSTLY else 0
    return getsizeof(selection) + 2 * tally.by_row.nbytes + _LOGS_BYTES + weights


class PodCounters:
    """How much the placed pods on each row count for a selection.

    A selection is compared with the distinct groups of pods when it is first asked for, and its tally is kept
    up to date from then on. Those that were not asked about for some time are forgotten. Where there is much
    to compare, `count_some` does it bit by bit before that: pods may come and go meanwhile. With a costly
    selection, groups that come later are compared in the same way, so that no pod takes long to be added.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._groups: dict[GroupKey, PodGroup] = {}
        self._tallies = _Tallies(self._groups)
        self._namespaces: dict[str, Labels] = {}

    def add(self, pod: Pod, row: int) -> None:
        """Count a pod on a row."""
        key = group_key(pod)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = PodGroup()
            for selection, tally in self._tallies.items():
                self._meet(selection, tally, key, group)
        group.rows[row] = group.rows.get(row, 0) + 1
        for tally, weight in group.counted_by:
            tally.bump(row, weight)

    def remove(self, pod: Pod, row: int) -> None:
        """Take a counted pod back."""
        key = group_key(pod)
        group = self._groups[key]
        group.rows[row] -= 1
        if not group.rows[row]:
            del group.rows[row]
        for tally, weight in group.counted_by:
            tally.bump(row, -weight)
        if not group.rows:
            del self._groups[key]
            self._forget(key, group)

    def count(self, selection: PodSelection) -> Counts:
        """What the pods on each row count: int64, (capacity,), not to be changed by the caller."""
        return self.tally(selection).by_row

    def tally(self, selection: PodSelection) -> Tally:
        """The counter of selected pods, which is kept up to date; not to be changed by the caller."""
        tally = self._tallies.get(selection)
        if tally is None:
            tally = self._start(selection)
        if selection in self._tallies.left:
            self._count(selection, tally, len(self._tallies.left[selection]))
        return tally

    def uncounted(self, selection: PodSelection) -> int:
        """How many groups have to be looked at before the selection is counted."""
        if selection in self._tallies:
            return len(self._tallies.left.get(selection, ()))
        return len(self._groups)

    def count_some(self, selection: PodSelection, most: int) -> bool:
        """Compare the selection with some groups more. True when it is counted."""
        tally = self._tallies.get(selection)
        if tally is None:
            tally = self._start(selection)
        self._count(selection, tally, most)
        return selection not in self._tallies.left

    def weight(self, selection: PodSelection, pod: Pod) -> int:
        """How much a pod counts, placed or not."""
        key, known = group_key(pod), self._tallies.weights.get(selection)
        if known is None:
            return self._weight(selection, key)
        weight = known.get(key)
        if weight is None:
            weight = self._weight(selection, key)
            known.keep(key, weight)
        return weight

    def selects(self, selector: PodSelector, pod: Pod) -> bool:
        """Whether a selector selects a pod, placed or not."""
        meta = pod.metadata
        known = self._namespaces.get(meta.namespace, NO_LABELS)
        return selector.matches(meta.namespace, known, meta.labels) and (
            selector.terminating or not pod.terminating
        )

    def set_namespace(self, name: str, labels: Labels) -> None:
        """Take note of the labels of a namespace (none when it is gone); counts by them are made anew."""
        if self._namespaces.get(name, NO_LABELS) is labels:
            return
        if labels:
            self._namespaces[name] = labels
        else:
            del self._namespaces[name]
        self._tallies.forget(
            [selection for selection, _ in self._tallies.items() if selection.asks_for_namespaces]
        )

    def resize(self, capacity: int) -> None:
        """Have room for so many rows."""
        self._capacity = capacity
        for tally in self._tallies.values():
            tally.resize(capacity)

    def copy(self) -> "PodCounters":
        """Counters that can be changed without changing these. Selections are counted anew when asked for."""
        twin = PodCounters(self._capacity)
        twin._namespaces = dict(self._namespaces)
        for key, group in self._groups.items():
            twin._groups[key] = PodGroup()
            twin._groups[key].rows = dict(group.rows)
        return twin

    def _start(self, selection: PodSelection) -> Tally:
        tally = self._tallies[selection] = Tally(np.zeros(self._capacity, np.int64))
        self._tallies.left[selection] = dict(self._groups)
        if selection.cost > COSTLY and selection in self._tallies:
            self._tallies.weights[selection] = _Weights(tally)
        return tally

    def _meet(self, selection: PodSelection, tally: Tally, key: GroupKey, group: PodGroup) -> None:
        """Have a new group, with no pods yet, counted by a tally, or compared later."""
        if selection.cost <= COSTLY:
            weight: int | None = self._weight(selection, key)
        else:
            weight = self._tallies.weights[selection].get(key)
            if weight is None:
                self._tallies.left.setdefault(selection, {})[key] = group
        if weight:
            group.counted_by.append((tally, weight))

    def _forget(self, key: GroupKey, group: PodGroup) -> None:
        """Let go of a group. It may soon be back, as in a trial: what took long to tell is kept."""
        uncounted = [
            selection for selection, left in self._tallies.left.items() if left.pop(key, None) is not None
        ]
        for selection, known in self._tallies.weights.items():
            if selection not in uncounted:
                known.keep(key, sum(weight for tally, weight in group.counted_by if tally is known.tally))

    def _count(self, selection: PodSelection, tally: Tally, most: int) -> None:
        """Compare with some groups more. Others that came since counting began are counted already."""
        left, found = self._tallies.left.get(selection, {}), False
        for _ in range(min(most, len(left))):
            key, group = left.popitem()
            if weight := self._weight(selection, key):
                group.counted_by.append((tally, weight))
                tally.by_row[list(group.rows)] += weight * np.array(list(group.rows.values()))
                found = True
        if found:
            tally.reset()
        if not left:
            self._tallies.left.pop(selection, None)

    def _weight(self, selection: PodSelection, key: GroupKey) -> int:
        namespace, labels, terminating = key
        labels_of_namespace = self._namespaces.get(namespace, NO_LABELS)
        return selection.weight(namespace, labels_of_namespace, labels, terminating)


def group_key(pod: Pod) -> GroupKey:
    """What selectors can tell a pod by: its namespace, its labels, and whether it is terminating."""
    return pod.metadata.namespace, pod.metadata.labels, pod.terminating
