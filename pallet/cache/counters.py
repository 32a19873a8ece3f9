"""Counters behind pod affinity and spreading: answers over all nodes without walking pods."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from sys import getsizeof
from typing import Final

import numpy as np

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.pod import Pod
from pallet.bounded_cache import MIB, BoundedCache
from pallet.cache.selection import PodSelection, PodSelector
from pallet.cache.tally import Counts, Tally
from pallet.cache.views import GroupKey, group_key

COSTLY: Final = 16
"""Selections of more comparisons are not compared with a new group when that comes, but when asked about."""

_TALLIES_BYTES = 160 * MIB
"""Of them the selections of one pod, which may be 1.5 MiB of JSON, take no more than the eighth part."""

_LOGS_BYTES = 2048
"""Of the objects and the logs of a tally."""

_WEIGHTS = 512
"""Of so many groups it is kept how much they count for a costly selection."""

_WEIGHT_BYTES = 150

_LOG_SLACK = 1024

_FEW = 64
"""With more rows at once, a tally is summed up by domain from the start."""


class LabelGroup:
    """The placed pods that no selector can tell apart: how many of them are on which row.

    number: the later a group came, the higher
    counted_by: the tallies that count these pods, and how much one of them counts
    """

    __slots__ = ("counted_by", "number", "rows")

    def __init__(self, number: int) -> None:
        self.number = number
        self.rows: dict[int, int] = {}
        self.counted_by: list[tuple[Tally, int]] = []


_Log = list[tuple[int, GroupKey, LabelGroup]]


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

    seen: selections that are not compared with all groups, and the number of the first that is left; a costly
        one is always among them
    weights: what is known of the weights of groups, for costly selections
    """

    def __init__(self, groups: dict[GroupKey, LabelGroup]) -> None:
        super().__init__("selector_counts", _TALLIES_BYTES, _size)
        self.seen: dict[PodSelection, int] = {}
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
            self.seen.pop(selection, None)
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
        self._groups: dict[GroupKey, LabelGroup] = {}
        self._log: _Log = []
        """The groups by their numbers; also some that are gone."""
        self._next = 0
        self._tallies = _Tallies(self._groups)
        self._namespaces: dict[str, Labels] = {}

    def add(self, pod: Pod, row: int) -> None:
        """Count a pod on a row."""
        key = group_key(pod)
        group = self._groups.get(key)
        if group is None:
            group = self._begin(key)
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
            self._end(key, group)

    def count(self, selection: PodSelection) -> Counts:
        """What the pods on each row count: int64, (capacity,), not to be changed by the caller."""
        return self.tally(selection).by_row

    def tally(self, selection: PodSelection) -> Tally:
        """The counter of selected pods, which is kept up to date; not to be changed by the caller."""
        tally = self._tallies.get(selection)
        if tally is None:
            tally = self._start(selection)
        if selection in self._tallies.seen:
            self._count(selection, tally, len(self._log))
        return tally

    def uncounted(self, selection: PodSelection) -> int:
        """How many groups have to be looked at before the selection is counted."""
        if selection not in self._tallies:
            return len(self._groups)
        seen = self._tallies.seen.get(selection)
        return 0 if seen is None else len(self._log) - bisect_left(self._log, (seen,))

    def count_some(self, selection: PodSelection, most: int) -> bool:
        """Compare the selection with some groups more. True when it is counted."""
        tally = self._tallies.get(selection)
        if tally is None:
            tally = self._start(selection)
        if selection not in self._tallies.seen:
            return True
        self._count(selection, tally, most)
        return not self.uncounted(selection)

    def weight(self, selection: PodSelection, pod: Pod) -> int:
        """How much a pod counts, placed or not."""
        return self.weight_of(selection, group_key(pod))

    def weight_of(self, selection: PodSelection, key: GroupKey) -> int:
        """How much each pod of a group counts, which may have no placed pods."""
        weight = self._weight(selection, key)
        if selection in self._tallies.weights:
            self._tallies.weights[selection].keep(key, weight)
        return weight

    def selects(self, selector: PodSelector, pod: Pod) -> bool:
        """Whether a selector selects a pod, placed or not."""
        return selector.selects(pod, self._namespaces.get(pod.metadata.namespace, NO_LABELS))

    def set_namespace(self, name: str, labels: Labels) -> None:
        """Record the labels of a namespace (none when it is gone), and count by them again."""
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

    def namespace_labels(self) -> dict[str, Labels]:
        """The labels of the namespaces that have any; a copy."""
        return dict(self._namespaces)

    def groups(self) -> Iterator[tuple[GroupKey, Mapping[int, int]]]:
        """The groups of placed pods, each with the number of its pods by row."""
        return ((key, group.rows) for key, group in self._groups.items())

    def _start(self, selection: PodSelection) -> Tally:
        tally = Tally(np.zeros(self._capacity, np.int64))
        self._tallies.seen[selection] = 0
        if selection.cost > COSTLY:
            self._tallies.weights[selection] = _Weights(tally)
        self._tallies[selection] = tally
        if selection not in self._tallies:  # it is too large to be kept
            self._look(selection, tally, self._log)
        return tally

    def _begin(self, key: GroupKey) -> LabelGroup:
        """Have a new group, with no pods yet, counted by the tallies, or looked at later."""
        group = self._groups[key] = LabelGroup(self._next)
        self._next += 1
        for selection, tally in self._tallies.items():
            if selection not in self._tallies.seen and (weight := self._weight(selection, key)):
                group.counted_by.append((tally, weight))
        if len(self._log) > 2 * len(self._groups) + _LOG_SLACK:  # most of them have gone again
            self._log = [each for each in self._log if each[2].rows]
        self._log.append((group.number, key, group))
        return group

    def _end(self, key: GroupKey, group: LabelGroup) -> None:
        """Keep what took long to compute of a group that is gone: it returns with the next assumed pod."""
        for selection, known in self._tallies.weights.items():
            if group.number < self._tallies.seen[selection]:
                known.keep(key, sum(weight for tally, weight in group.counted_by if tally is known.tally))

    def _look(self, selection: PodSelection, tally: Tally, log: _Log) -> list[tuple[LabelGroup, int]]:
        """Add to a tally what some groups count, and give those that count anything."""
        weighed = [(group, self._weight(selection, key)) for _, key, group in log if group.rows]
        found = [(group, weight) for group, weight in weighed if weight]
        if sum(len(group.rows) for group, _ in found) <= _FEW:
            for group, weight in found:
                for row, count in group.rows.items():
                    tally.bump(row, weight * count)
            return found
        for group, weight in found:
            tally.by_row[list(group.rows)] += weight * np.array(list(group.rows.values()))
        tally.reset()
        return found

    def _count(self, selection: PodSelection, tally: Tally, most: int) -> None:
        """Look at some groups more."""
        start = bisect_left(self._log, (self._tallies.seen[selection],))
        end = start + most
        for group, weight in self._look(selection, tally, self._log[start:end]):
            group.counted_by.append((tally, weight))
        if end < len(self._log):
            self._tallies.seen[selection] = self._log[end][0]
        elif selection.cost > COSTLY:
            self._tallies.seen[selection] = self._next
        else:
            del self._tallies.seen[selection]

    def _weight(self, selection: PodSelection, key: GroupKey) -> int:
        known = self._tallies.weights.get(selection) if selection.cost > COSTLY else None
        if known is not None and (weight := known.get(key)) is not None:
            return weight
        namespace, labels, terminating = key
        labels_of_namespace = self._namespaces.get(namespace, NO_LABELS)
        return selection.weight(namespace, labels_of_namespace, labels, terminating)
