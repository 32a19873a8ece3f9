"""Counters behind pod affinity and spreading: answers over all nodes without walking pods.

A counter is an integer for each row. Topology domains are not stored: summing a counter by the codes of the
domain's label column (`NodeTable.labels`) gives the count by domain, so a node that changes its zone needs no
correction here.
"""

import numpy as np
import numpy.typing as npt

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.pod import Pod
from pallet.cache.columns import grown
from pallet.cache.pod_info import AffinityTerm, PodSelector, PodTerms

Counts = npt.NDArray[np.int64]
GroupKey = tuple[str, Labels, bool]
Selectors = tuple[PodSelector, ...]
"""Pods that all of these select."""

_MAX_SELECTORS = 1024


class PodGroup:
    """The placed pods that no selector can tell apart: how many of them are on which row."""

    __slots__ = ("counted_by", "rows")

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        self.counted_by: list[Selectors] = []


class PodCounters:
    """How many placed pods some selectors all match, on each row.

    Selectors are counted over the distinct groups when they are first asked for, and kept up to date from
    then on. The least recently used are forgotten.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._groups: dict[GroupKey, PodGroup] = {}
        self._counts: dict[Selectors, Counts] = {}
        self._namespaces: dict[str, Labels] = {}

    def add(self, pod: Pod, row: int) -> None:
        """Count a pod on a row."""
        key = group_key(pod)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = PodGroup()
            group.counted_by = [selectors for selectors in self._counts if self._selects(selectors, key)]
        group.rows[row] = group.rows.get(row, 0) + 1
        for selectors in group.counted_by:
            self._counts[selectors][row] += 1

    def remove(self, pod: Pod, row: int) -> None:
        """Take a counted pod back."""
        key = group_key(pod)
        group = self._groups[key]
        group.rows[row] -= 1
        if not group.rows[row]:
            del group.rows[row]
        for selectors in group.counted_by:
            self._counts[selectors][row] -= 1
        if not group.rows:
            del self._groups[key]

    def count(self, selectors: Selectors) -> Counts:
        """Matching pods on each row: int64, (capacity,), not to be changed by the caller."""
        counts = self._counts.pop(selectors, None)
        if counts is None:
            return self._start(selectors)
        self._counts[selectors] = counts  # now the most recently used
        return counts

    def selects(self, selectors: Selectors, pod: Pod) -> bool:
        """Whether all selectors match a pod, placed or not."""
        return self._selects(selectors, group_key(pod))

    def set_namespace(self, name: str, labels: Labels) -> None:
        """Take note of a namespace's labels; selectors of namespaces are counted anew."""
        if self._namespaces.get(name, NO_LABELS) is labels:
            return
        self._namespaces[name] = labels
        for selectors in list(self._counts):
            if any(selector.namespace_labels is not None for selector in selectors):
                self._forget(selectors)

    def resize(self, capacity: int) -> None:
        """Make room for more rows."""
        self._capacity = capacity
        for selectors, counts in self._counts.items():
            self._counts[selectors] = grown(counts, capacity)

    def copy(self) -> "PodCounters":
        """Counters that can be changed without changing these. Selectors are counted anew when asked for."""
        twin = PodCounters(self._capacity)
        twin._namespaces = dict(self._namespaces)
        for key, group in self._groups.items():
            twin._groups[key] = PodGroup()
            twin._groups[key].rows = dict(group.rows)
        return twin

    def _start(self, selectors: Selectors) -> Counts:
        if len(self._counts) >= _MAX_SELECTORS:
            self._forget(next(iter(self._counts)))
        counts = self._counts[selectors] = np.zeros(self._capacity, np.int64)
        for key, group in self._groups.items():
            if self._selects(selectors, key):
                group.counted_by.append(selectors)
                counts[list(group.rows)] += list(group.rows.values())
        return counts

    def _forget(self, selectors: Selectors) -> None:
        del self._counts[selectors]
        for group in self._groups.values():
            if selectors in group.counted_by:
                group.counted_by.remove(selectors)

    def _selects(self, selectors: Selectors, key: GroupKey) -> bool:
        namespace, labels, _ = key
        known = self._namespaces.get(namespace, NO_LABELS)
        return all(selector.matches(namespace, known, labels) for selector in selectors)


class HeldTerms:
    """Terms of one sort that placed pods hold, and how heavily on each row."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._counts: dict[AffinityTerm, Counts] = {}
        self._matching: dict[GroupKey, tuple[AffinityTerm, ...]] = {}

    def bump(self, term: AffinityTerm, row: int, by: int) -> None:
        """Add to, or take from, a term's weight on a row."""
        counts = self._counts.get(term)
        if counts is None:
            counts = self._counts[term] = np.zeros(self._capacity, np.int64)
            self.forget_matches()
        counts[row] += by
        if not counts[row] and not counts.any():
            del self._counts[term]
            self.forget_matches()

    def matching(self, pod: Pod, counters: PodCounters) -> list[tuple[AffinityTerm, Counts]]:
        """The held terms that select a pod, each with its weights: int64, (capacity,)."""
        if not self._counts:
            return []
        key = group_key(pod)
        terms = self._matching.get(key)
        if terms is None:
            if len(self._matching) > _MAX_SELECTORS:
                self._matching.clear()
            terms = tuple(term for term in self._counts if counters.selects((term.pods,), pod))
            self._matching[key] = terms
        return [(term, self._counts[term]) for term in terms]

    def forget_matches(self) -> None:
        """Match anew: terms came or went, or a namespace changed its labels."""
        self._matching.clear()

    def resize(self, capacity: int) -> None:
        """Make room for more rows."""
        self._capacity = capacity
        for term, counts in self._counts.items():
            self._counts[term] = grown(counts, capacity)

    def copy(self) -> "HeldTerms":
        """Terms that can be changed without changing these."""
        twin = HeldTerms(self._capacity)
        twin._counts = {term: counts.copy() for term, counts in self._counts.items()}
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
        """Make room for more rows."""
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
