"""Counters behind pod affinity and spreading: answers over all nodes without walking pods."""

from collections.abc import Iterable, Mapping

import numpy as np

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.pod import Pod
from pallet.bounded_cache import MIB, BoundedCache, footprint
from pallet.cache.pod_info import PodSelector
from pallet.cache.tally import Counts, Tally

GroupKey = tuple[str, Labels, bool]
Selectors = tuple[PodSelector, ...]
"""Pods that all of these select."""

_TALLIES_BYTES = 64 * MIB
_LOGS_BYTES = 2048
"""Of the objects and the logs of a tally."""


class PodGroup:
    """The placed pods that no selector can tell apart: how many of them are on which row."""

    __slots__ = ("counted_by", "rows")

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        self.counted_by: list[Tally] = []


class _Tallies(BoundedCache[Selectors, Tally]):
    """The tallies of selectors that were asked about lately; groups count by no other ones."""

    def __init__(self, groups: dict[GroupKey, PodGroup]) -> None:
        super().__init__("selector_counts", _TALLIES_BYTES, _size)
        self.left: dict[Selectors, list[tuple[GroupKey, PodGroup]]] = {}
        """The groups that were there when counting began, and are still to be looked at."""
        self._groups = groups

    def forget(self, forgotten: Iterable[Selectors]) -> None:
        """Count some selectors no more."""
        found = {selectors: self.pop(selectors) for selectors in forgotten}
        self._let_go({selectors: tally for selectors, tally in found.items() if tally is not None})

    def _let_go(self, gone: Mapping[Selectors, Tally]) -> None:
        if not gone:
            return
        for selectors in gone:
            self.left.pop(selectors, None)
        tallies = set(gone.values())
        for group in self._groups.values():
            if not tallies.isdisjoint(group.counted_by):
                group.counted_by = [tally for tally in group.counted_by if tally not in tallies]


def _size(selectors: Selectors, tally: Tally) -> int:
    """With the sums by topology domain, which are not more than the rows, and the logs."""
    return footprint(selectors, _TALLIES_BYTES) + 2 * tally.by_row.nbytes + _LOGS_BYTES


class PodCounters:
    """How many placed pods some selectors all match, on each row.

    Selectors are counted over the distinct groups when they are first asked for, and kept up to date from
    then on. Those that were not asked about for some time are forgotten. Where there are many groups,
    `count_some` does it bit by bit before that: pods may come and go meanwhile.
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
            group.counted_by = [
                tally for selectors, tally in self._tallies.items() if self._selects(selectors, key)
            ]
        group.rows[row] = group.rows.get(row, 0) + 1
        for tally in group.counted_by:
            tally.bump(row, 1)

    def remove(self, pod: Pod, row: int) -> None:
        """Take a counted pod back."""
        key = group_key(pod)
        group = self._groups[key]
        group.rows[row] -= 1
        if not group.rows[row]:
            del group.rows[row]
        for tally in group.counted_by:
            tally.bump(row, -1)
        if not group.rows:
            del self._groups[key]

    def count(self, selectors: Selectors) -> Counts:
        """Matching pods on each row: int64, (capacity,), not to be changed by the caller."""
        return self.tally(selectors).by_row

    def tally(self, selectors: Selectors) -> Tally:
        """The counter of matching pods, which is kept up to date; not to be changed by the caller."""
        tally = self._tallies.get(selectors)
        if tally is None:
            tally = self._start(selectors)
        if selectors in self._tallies.left:
            self._count(selectors, tally, len(self._tallies.left[selectors]))
        return tally

    def uncounted(self, selectors: Selectors) -> int:
        """How many groups have to be looked at before the selectors are counted."""
        if selectors in self._tallies:
            return len(self._tallies.left.get(selectors, ()))
        return len(self._groups)

    def count_some(self, selectors: Selectors, most: int) -> bool:
        """Count the selectors over some groups more. True when they are counted."""
        tally = self._tallies.get(selectors)
        if tally is None:
            tally = self._start(selectors)
        self._count(selectors, tally, most)
        return selectors not in self._tallies.left

    def selects(self, selectors: Selectors, pod: Pod) -> bool:
        """Whether all selectors match a pod, placed or not."""
        return self._selects(selectors, group_key(pod))

    def set_namespace(self, name: str, labels: Labels) -> None:
        """Take note of the labels of a namespace (none when it is gone); counts by them are made anew."""
        if self._namespaces.get(name, NO_LABELS) is labels:
            return
        if labels:
            self._namespaces[name] = labels
        else:
            del self._namespaces[name]
        self._tallies.forget(
            [
                selectors
                for selectors, _ in self._tallies.items()
                if any(selector.namespace_labels is not None for selector in selectors)
            ]
        )

    def resize(self, capacity: int) -> None:
        """Have room for so many rows."""
        self._capacity = capacity
        for tally in self._tallies.values():
            tally.resize(capacity)

    def copy(self) -> "PodCounters":
        """Counters that can be changed without changing these. Selectors are counted anew when asked for."""
        twin = PodCounters(self._capacity)
        twin._namespaces = dict(self._namespaces)
        for key, group in self._groups.items():
            twin._groups[key] = PodGroup()
            twin._groups[key].rows = dict(group.rows)
        return twin

    def _start(self, selectors: Selectors) -> Tally:
        tally = self._tallies[selectors] = Tally(np.zeros(self._capacity, np.int64))
        self._tallies.left[selectors] = list(self._groups.items())
        return tally

    def _count(self, selectors: Selectors, tally: Tally, most: int) -> None:
        """Look at some groups more. Those that came since counting began are counted already.

        The tally has no readers yet, so that its changes need not be logged.
        """
        left = self._tallies.left.get(selectors, [])
        for key, group in left[-most:]:
            if group.rows and self._selects(selectors, key):
                group.counted_by.append(tally)
                tally.by_row[list(group.rows)] += list(group.rows.values())
        del left[-most:]
        if not left:
            self._tallies.left.pop(selectors, None)

    def _selects(self, selectors: Selectors, key: GroupKey) -> bool:
        namespace, labels, terminating = key
        known = self._namespaces.get(namespace, NO_LABELS)
        return all(
            selector.matches(namespace, known, labels) and (selector.terminating or not terminating)
            for selector in selectors
        )


def group_key(pod: Pod) -> GroupKey:
    """What selectors can tell a pod by: its namespace, its labels, and whether it is terminating."""
    return pod.metadata.namespace, pod.metadata.labels, pod.terminating
