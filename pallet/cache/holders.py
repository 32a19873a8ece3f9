"""Which terms the placed pods hold: by these they attract or repel a newcomer.

A pod may hold thousands of terms, and thousands of pods the same one. So a term's weights are kept for the
rows that have any, and what a newcomer meets is the sum of all terms that select it: one tally for each
topology key, however many terms there are.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np

from pallet.api.pod import Pod
from pallet.bounded_cache import MIB, BoundedCache, footprint
from pallet.cache.counters import PodCounters
from pallet.cache.pod_info import AffinityTerm, PodTerms
from pallet.cache.tally import Tally
from pallet.cache.views import BySort, GroupKey, Terms, group_key

_NEWCOMERS_BYTES = 16 * MIB
"""Of the sorts of newcomers whose terms are remembered, for each sort of terms."""

_SUMS_BYTES = 64 * MIB
"""Of the sums that are kept up to date, for each sort of terms."""

_TERM_BYTES = 100
"""What a term takes in the sets and mappings of a sum."""

_MOST_KEYS = 32
"""Of so many topology keys there may be tallies: others are keys that no node has."""

_LOG_SLACK = 1024

_EVERYWHERE = ""
"""Stands for all namespaces: a term that selects namespaces by label may be about any of them."""

_MOST_LOGS = 8
"""A term that names more namespaces is compared with pods of all."""

RowWeights = dict[int, int]


class HeldSum:
    """Some held terms together: their weights on each row, summed by topology key.

    kept: whether it is kept up to date
    """

    __slots__ = ("_capacity", "_held", "_of_key", "_tallies", "kept", "terms")

    def __init__(self, terms: Terms, held: Mapping[AffinityTerm, RowWeights], capacity: int) -> None:
        self.terms = terms
        self.kept = True
        self._held = held
        self._capacity = capacity
        self._tallies: dict[str, Tally] = {}
        self._of_key: dict[str, list[AffinityTerm]] = {}
        for term in terms:
            self._of_key.setdefault(term.topology_key, []).append(term)

    @property
    def keys(self) -> Collection[str]:
        """The topology keys of the terms."""
        return self._of_key

    @property
    def bytes(self) -> int:
        """What it takes when its tallies are asked for, each with its sums by domain."""
        return _TERM_BYTES * len(self.terms) + 16 * self._capacity * min(len(self._of_key), _MOST_KEYS)

    def tally(self, topology_key: str) -> Tally:
        """The weights of the terms with a topology key; not to be changed by the caller."""
        tally = self._tallies.get(topology_key)
        if tally is None:
            tally = self._tallies[topology_key] = Tally(np.zeros(self._capacity, np.int64))
            for term in self._of_key[topology_key]:
                for row, weight in self._held.get(term, {}).items():
                    tally.by_row[row] += weight
        return tally

    def bump(self, term: AffinityTerm, row: int, by: int) -> None:
        """Add to one of the terms on a row."""
        tally = self._tallies.get(term.topology_key)
        if tally is not None:
            tally.bump(row, by)

    def resize(self, capacity: int) -> None:
        """Make room for more rows."""
        self._capacity = capacity
        for tally in self._tallies.values():
            tally.resize(capacity)


class _Newcomers:
    """Pods that no selector can tell apart, and the held terms that select them.

    terms: a set while they are being found, with some that may have gone meanwhile
    looked_at: how far each log was read; version: the version of the held terms when all were compared
    """

    __slots__ = ("looked_at", "met", "terms", "version", "went")

    def __init__(self) -> None:
        self.terms: Terms | set[AffinityTerm] = frozenset()
        self.went = 0
        self.met: HeldSum | None = None
        self.looked_at: dict[str, int] = {}
        self.version = -1

    def add(self, found: Iterable[AffinityTerm]) -> None:
        """Add terms that select them."""
        if isinstance(self.terms, frozenset):
            self.terms = set(self.terms)
        self.terms.update(found)


class _Sums(BoundedCache[Terms, HeldSum]):
    """The sums that were asked about lately; terms that come or go are added to no other ones."""

    def __init__(self, summed: dict[AffinityTerm, list[HeldSum]]) -> None:
        super().__init__("held_term_sums", _SUMS_BYTES, lambda _, each: each.bytes)
        self._summed = summed

    def _let_go(self, gone: Mapping[Terms, HeldSum]) -> None:
        for terms, forgotten in gone.items():
            forgotten.kept = False
            for term in terms:
                sums = self._summed.get(term, [])
                if forgotten in sums:
                    sums.remove(forgotten)
                if not sums:
                    self._summed.pop(term, None)


class _Log:
    """Terms in the order in which they came, and what comparing all up to each of them costs."""

    __slots__ = ("_costs", "terms")

    def __init__(self) -> None:
        self.terms: list[AffinityTerm] = []
        self._costs = [0]

    def append(self, term: AffinityTerm) -> None:
        """Add a term at the end."""
        self.terms.append(term)
        self._costs.append(self._costs[-1] + term.pods.cost)

    def cost(self, start: int) -> int:
        """What comparing all terms from a place on costs."""
        return self._costs[-1] - self._costs[start]

    def up_to(self, start: int, cost: int) -> int:
        """How far one comes from a place on with some cost: by one term, or more."""
        return min(len(self.terms), max(start + 1, bisect_right(self._costs, self._costs[start] + cost) - 1))


_EMPTY = _Log()


class HeldTerms:
    """Terms of one sort that placed pods hold, and how heavily on each row."""

    def __init__(self, counters: PodCounters, capacity: int) -> None:
        self._counters = counters
        self._capacity = capacity
        self._rows: dict[AffinityTerm, RowWeights] = {}
        self._logs: dict[str, _Log] = {}
        """The terms that came, by the namespaces that they are about."""
        self._logged = self._live = 0
        """How many terms stand in the logs, and how many of them are still held; each in every log."""
        self._version = 0
        """Grows whenever a term is added or removed."""
        self._went = 0
        """How many terms have gone."""
        self._newcomers: BoundedCache[GroupKey, _Newcomers] = BoundedCache(
            "newcomers", _NEWCOMERS_BYTES, _newcomers_bytes
        )
        self._summed: dict[AffinityTerm, list[HeldSum]] = {}
        self._sums = _Sums(self._summed)

    def bump(self, term: AffinityTerm, row: int, by: int) -> None:
        """Add to, or take from, a term's weight on a row."""
        rows = self._rows.get(term)
        if rows is None:
            rows = self._rows[term] = {}
            self._version += 1
            self._log(term)
        weight = rows.get(row, 0) + by
        if weight:
            rows[row] = weight
        else:
            rows.pop(row, None)
        for each in self._summed.get(term, ()):
            each.bump(term, row, by)
        if not rows:
            del self._rows[term]
            self._version += 1
            self._went += 1
            self._live -= len(_namespaces(term))

    def meet(self, pod: Pod) -> HeldSum | None:
        """The sum of the held terms that select a pod; None where none does."""
        if not self._rows:
            return None
        newcomers = self._newcomers.get(group_key(pod))
        if newcomers is None or newcomers.version != self._version:
            newcomers = self._match(pod, None)
        met = newcomers.met
        if met is None or met.kept:
            return met
        newcomers.met = met = self._sum(met.terms)
        newcomers.terms = met.terms
        return met

    def match(self, pod: Pod, most: int | None = None) -> bool:
        """Find out which of the terms that came since select a pod; stop after `most` comparisons.

        One term may cost more than these. True when done.
        """
        return not self._rows or self._match(pod, most).version == self._version

    def _match(self, pod: Pod, most: int | None) -> _Newcomers:
        key = group_key(pod)
        newcomers = self._newcomers.get(key)
        if newcomers is None:
            newcomers = _Newcomers()
        elif newcomers.version == self._version:
            return newcomers
        done = True
        for namespace in (key[0], _EVERYWHERE):
            log, start = self._logs.get(namespace, _EMPTY), newcomers.looked_at.get(namespace, 0)
            end = len(log.terms) if most is None else log.up_to(start, most)
            new = (term for term in log.terms[start:end] if term in self._rows)
            if found := [term for term in new if self._counters.selects(term.pods, pod)]:
                newcomers.add(found)
            newcomers.looked_at[namespace] = end
            done &= end == len(log.terms)
        if done:
            self._settle(newcomers)
        self._newcomers[key] = newcomers  # with what it takes now
        return newcomers

    def _settle(self, newcomers: _Newcomers) -> None:
        """All terms are compared: sum up those that select the newcomers, if they are others than before."""
        if newcomers.went != self._went:
            left = {term for term in newcomers.terms if term in self._rows}
            if len(left) < len(newcomers.terms):
                newcomers.terms = left
            newcomers.went = self._went
        if isinstance(newcomers.terms, set):
            met = self._sum(frozenset(newcomers.terms)) if newcomers.terms else None
            newcomers.met, newcomers.terms = met, met.terms if met else frozenset()  # kept once for all
        newcomers.version = self._version

    def unmatched(self, pod: Pod) -> int:
        """How many comparisons with terms that came since this was last asked about a pod like this one."""
        if not self._rows:
            return 0
        newcomers = self._newcomers.get(group_key(pod))
        looked_at = newcomers.looked_at if newcomers is not None else {}
        return sum(
            self._logs.get(namespace, _EMPTY).cost(looked_at.get(namespace, 0))
            for namespace in (pod.metadata.namespace, _EVERYWHERE)
        )

    def forget_matches(self) -> None:
        """Match again: a namespace changed its labels."""
        self._newcomers.clear()
        self._logs.clear()
        self._logged = self._live = 0
        for term in self._rows:
            self._log(term)

    def resize(self, capacity: int) -> None:
        """Make room for more rows."""
        self._capacity = capacity
        for each in self._sums.values():
            each.resize(capacity)

    def held(self) -> Iterator[tuple[AffinityTerm, Mapping[int, int]]]:
        """The terms, each with its weight by row."""
        return iter(self._rows.items())

    def _log(self, term: AffinityTerm) -> None:
        namespaces = _namespaces(term)
        for namespace in namespaces:
            self._logs.setdefault(namespace, _Log()).append(term)
        self._logged += len(namespaces)
        self._live += len(namespaces)
        if self._logged > 2 * self._live + _LOG_SLACK:  # most of them have gone again
            self.forget_matches()

    def _sum(self, terms: Terms) -> HeldSum:
        """The sum of some terms."""
        found = self._sums.get(terms)
        if found is None:
            found = self._sums[terms] = HeldSum(terms, self._rows, self._capacity)
            for term in terms if found.kept else ():
                self._summed.setdefault(term, []).append(found)
        return found


class TermHolders(BySort[HeldTerms]):
    """The terms of placed pods by their sort."""

    def __init__(self, counters: PodCounters, capacity: int) -> None:
        super().__init__(
            HeldTerms(counters, capacity), HeldTerms(counters, capacity), HeldTerms(counters, capacity)
        )

    def count(self, terms: PodTerms, row: int, by: int) -> None:
        """Count a pod's own terms on a row, or with -1 take them back."""
        for held, term, weight in self.of(terms):
            held.bump(term, row, by * weight)

    def forget_matches(self) -> None:
        """Match again: a namespace changed its labels."""
        for held in self.sorts():
            held.forget_matches()

    def resize(self, capacity: int) -> None:
        """Make room for more rows."""
        for held in self.sorts():
            held.resize(capacity)


def _newcomers_bytes(key: GroupKey, newcomers: _Newcomers) -> int:
    """The terms belong to a sum, but for those of the few that are being compared."""
    return footprint(key, _NEWCOMERS_BYTES)


def _namespaces(term: AffinityTerm) -> Collection[str]:
    """Under which namespaces a term is found, of which it may name thousands."""
    named = term.pods.namespaces
    return named if term.pods.namespace_labels is None and len(named) <= _MOST_LOGS else (_EVERYWHERE,)
