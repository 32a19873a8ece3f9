"""Counters behind pod affinity and spreading: answers over all nodes without walking pods."""

import numpy as np

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.pod import Pod
from pallet.cache.pod_info import PodSelector
from pallet.cache.tally import Counts, Tally

GroupKey = tuple[str, Labels, bool]
Selectors = tuple[PodSelector, ...]
"""Pods that all of these select."""

_MAX_SELECTORS = 1024


class PodGroup:
    """The placed pods that no selector can tell apart: how many of them are on which row."""

    __slots__ = ("counted_by", "rows")

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        self.counted_by: list[Tally] = []


class PodCounters:
    """How many placed pods some selectors all match, on each row.

    Selectors are counted over the distinct groups when they are first asked for, and kept up to date from
    then on. The least recently used are forgotten. Where there are many groups, `count_some` does it bit by
    bit before that: pods may come and go meanwhile.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._groups: dict[GroupKey, PodGroup] = {}
        self._tallies: dict[Selectors, Tally] = {}
        self._left: dict[Selectors, list[tuple[GroupKey, PodGroup]]] = {}
        """The groups that were there when counting began, and are still to be looked at."""
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
        tally = self._tallies.pop(selectors, None)
        if tally is None:
            tally = self._start(selectors)
        self._tallies[selectors] = tally  # now the most recently used
        if selectors in self._left:
            self._count(selectors, len(self._left[selectors]))
        return tally

    def uncounted(self, selectors: Selectors) -> int:
        """How many groups have to be looked at before the selectors are counted."""
        if selectors in self._tallies:
            return len(self._left.get(selectors, ()))
        return len(self._groups)

    def count_some(self, selectors: Selectors, most: int) -> bool:
        """Count the selectors over some groups more. True when they are counted."""
        if selectors not in self._tallies:
            self._tallies[selectors] = self._start(selectors)
        self._count(selectors, most)
        return selectors not in self._left

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
        self._forget(
            [
                selectors
                for selectors in self._tallies
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
        if len(self._tallies) >= _MAX_SELECTORS:
            self._forget([next(iter(self._tallies))])
        self._left[selectors] = list(self._groups.items())
        return Tally(np.zeros(self._capacity, np.int64))

    def _count(self, selectors: Selectors, most: int) -> None:
        """Look at some groups more. Those that came since counting began are counted already.

        The tally has no readers yet, so that its changes need not be logged.
        """
        tally, left = self._tallies[selectors], self._left.get(selectors, [])
        for key, group in left[-most:]:
            if group.rows and self._selects(selectors, key):
                group.counted_by.append(tally)
                tally.by_row[list(group.rows)] += list(group.rows.values())
        del left[-most:]
        if not left:
            self._left.pop(selectors, None)

    def _forget(self, forgotten: list[Selectors]) -> None:
        if not forgotten:
            return
        tallies = {self._tallies.pop(selectors) for selectors in forgotten}
        for selectors in forgotten:
            self._left.pop(selectors, None)
        for group in self._groups.values():
            if not tallies.isdisjoint(group.counted_by):
                group.counted_by = [tally for tally in group.counted_by if tally not in tallies]

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
