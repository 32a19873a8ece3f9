"""Counters behind pod affinity and spreading: answers over all nodes without walking pods."""

import numpy as np

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.pod import Pod
from pallet.cache.pod_info import AffinityTerm, PodSelector, PodTerms
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
    then on. The least recently used are forgotten.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._groups: dict[GroupKey, PodGroup] = {}
        self._tallies: dict[Selectors, Tally] = {}
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
            return self._start(selectors)
        self._tallies[selectors] = tally  # now the most recently used
        return tally

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
        for selectors in list(self._tallies):
            if any(selector.namespace_labels is not None for selector in selectors):
                self._forget(selectors)

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
            self._forget(next(iter(self._tallies)))
        tally = self._tallies[selectors] = Tally(np.zeros(self._capacity, np.int64))
        for key, group in self._groups.items():
            if self._selects(selectors, key):
                group.counted_by.append(tally)
                tally.by_row[list(group.rows)] += list(group.rows.values())
        return tally

    def _forget(self, selectors: Selectors) -> None:
        tally = self._tallies.pop(selectors)
        for group in self._groups.values():
            if tally in group.counted_by:
                group.counted_by.remove(tally)

    def _selects(self, selectors: Selectors, key: GroupKey) -> bool:
        namespace, labels, terminating = key
        known = self._namespaces.get(namespace, NO_LABELS)
        return all(
            selector.matches(namespace, known, labels) and (selector.terminating or not terminating)
            for selector in selectors
        )


class HeldTerms:
    """Terms of one sort that placed pods hold, and how heavily on each row."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._tallies: dict[AffinityTerm, Tally] = {}
        self._matching: dict[GroupKey, tuple[AffinityTerm, ...]] = {}

    def bump(self, term: AffinityTerm, row: int, by: int) -> None:
        """Add to, or take from, a term's weight on a row."""
        tally = self._tallies.get(term)
        if tally is None:
            tally = self._tallies[term] = Tally(np.zeros(self._capacity, np.int64))
            self.forget_matches()
        tally.bump(row, by)
        if not tally.by_row.item(row) and not tally.by_row.any():
            del self._tallies[term]
            self.forget_matches()

    def matching(self, pod: Pod, counters: PodCounters) -> tuple[AffinityTerm, ...]:
        """The held terms that select a pod."""
        if not self._tallies:
            return ()
        key = group_key(pod)
        terms = self._matching.get(key)
        if terms is None:
            if len(self._matching) > _MAX_SELECTORS:
                self._matching.clear()
            terms = tuple(term for term in self._tallies if counters.selects((term.pods,), pod))
            self._matching[key] = terms
        return terms

    def tally(self, term: AffinityTerm) -> Tally:
        """The weights of a held term, kept up to date while it is held; not to be changed by the caller."""
        return self._tallies[term]

    def forget_matches(self) -> None:
        """Match anew: terms came or went, or a namespace changed its labels."""
        self._matching.clear()

    def resize(self, capacity: int) -> None:
        """Have room for so many rows."""
        self._capacity = capacity
        for tally in self._tallies.values():
            tally.resize(capacity)

    def copy(self) -> "HeldTerms":
        """Terms that can be changed without changing these."""
        twin = HeldTerms(self._capacity)
        twin._tallies = {term: tally.copy() for term, tally in self._tallies.items()}
        return twin


class TermHolders:
    """Which terms the placed pods hold.

    These are the terms by which placed pods attract or repel a newcomer: required anti-affinity counts
    holders, preferred terms add up signed weights, required affinity counts holders (a newcomer is scored
    by it).
    """

    def __init__(self, capacity: int) -> None:
        self.anti = HeldTerms(capacity)
        self.required = HeldTerms(capacity)
        self.preferred = HeldTerms(capacity)

    def add(self, terms: PodTerms, row: int) -> None:
        """Count a pod's own terms on a row."""
        self._apply(terms, row, 1)

    def remove(self, terms: PodTerms, row: int) -> None:
        """Take a counted pod's terms back."""
        self._apply(terms, row, -1)

    def forget_matches(self) -> None:
        """Match anew: a namespace changed its labels."""
        for held in (self.anti, self.required, self.preferred):
            held.forget_matches()

    def resize(self, capacity: int) -> None:
        """Have room for so many rows."""
        for held in (self.anti, self.required, self.preferred):
            held.resize(capacity)

    def copy(self) -> "TermHolders":
        """Holders that can be changed without changing these."""
        twin = TermHolders(0)
        twin.anti, twin.required = self.anti.copy(), self.required.copy()
        twin.preferred = self.preferred.copy()
        return twin

    def _apply(self, terms: PodTerms, row: int, sign: int) -> None:
        for term in terms.required_anti:
            self.anti.bump(term, row, sign)
        for term in terms.required:
            self.required.bump(term, row, sign)
        for term, weight in terms.preferred:
            self.preferred.bump(term, row, sign * weight)


def group_key(pod: Pod) -> GroupKey:
    """What selectors can tell a pod by: its namespace, its labels, and whether it is terminating."""
    return pod.metadata.namespace, pod.metadata.labels, pod.terminating
