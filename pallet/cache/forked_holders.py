"""The held terms of a fork: those of its parent, and the difference (see `forked_counters`)."""

from collections.abc import Collection, Iterable, Iterator

import numpy as np

from pallet.api.pod import Pod
from pallet.cache.columns import resized
from pallet.cache.forked_counters import ForkedCounters
from pallet.cache.pod_info import AffinityTerm, PodTerms
from pallet.cache.row_counts import ByRow, RowCounts, added
from pallet.cache.tally import Counts, Tally
from pallet.cache.views import BySort, GroupKey, HeldTermsView, Holders, Terms, TermSum, group_key

_Change = tuple[AffinityTerm, int, int]
"""A term, a row, and how much is added to its weight there."""


class ForkedSum:
    """Some held terms together, as they are on the fork: asked as `HeldSum` is."""

    __slots__ = ("_changes", "_followed", "_tallies", "terms")

    def __init__(self, terms: Terms, tallies: dict[str, Tally], changes: list[_Change]) -> None:
        self.terms = terms
        self._tallies = tallies
        self._changes = changes
        self._followed = len(changes)

    @property
    def keys(self) -> Collection[str]:
        """The topology keys of the terms."""
        return self._tallies

    def tally(self, topology_key: str) -> Tally:
        """The weights of the terms with a topology key, up to date until something changes."""
        for term, row, by in self._changes[self._followed :]:
            if term in self.terms:
                self._tallies[term.topology_key].bump(row, by)
        self._followed = len(self._changes)
        return self._tallies[topology_key]


class _Matched:
    """Those of the terms of the difference that select the pods of a group, of so many that were compared."""

    __slots__ = ("compared", "terms")

    def __init__(self) -> None:
        self.terms: Terms = frozenset()
        self.compared = 0


class ForkedTerms:
    """Terms of one sort that the pods of a fork hold, asked as `HeldTerms` are."""

    def __init__(self, parent: HeldTermsView, counters: ForkedCounters, capacity: int) -> None:
        self._parent = parent
        self._counters = counters
        self._capacity = capacity
        self._difference: RowCounts[AffinityTerm] = RowCounts()
        self._changes: list[_Change] = []
        self._terms: list[AffinityTerm] = []
        """All that ever were in the difference, in their order."""
        self._known: set[AffinityTerm] = set()
        """The same."""
        self._matched: dict[GroupKey, _Matched] = {}
        self._sums: dict[tuple[Terms, Terms], ForkedSum] = {}
        """By the terms of the parent's sum, and those of the difference that are among them or added."""

    def change(self, term: AffinityTerm, row: int, by: int) -> None:
        """Add to a term's weight on a row of the fork."""
        self._differ(term, row, by)
        self._changes.append((term, row, by))

    def withstand(self, term: AffinityTerm, row: int, by: int) -> None:
        """Leave the fork as it is while so much is added on its parent."""
        self._differ(term, row, -by)

    def meet(self, pod: Pod) -> TermSum | None:
        """The sum of the held terms that select a pod; None where none does."""
        if self._counters.has_other_namespaces:
            return self._meet_alone(pod)
        base = self._parent.meet(pod)
        if not self._terms:
            return base
        self.match(pod)
        own = self._matched[group_key(pod)].terms
        if not own:
            return base
        base_terms: Terms = base.terms if base is not None else frozenset()
        found = self._sums.get((base_terms, own))
        if found is None:
            found = self._sums[base_terms, own] = self._sum(base, own)
        return found

    def match(self, pod: Pod, most: int | None = None) -> bool:
        """Find out which of the terms that came since select a pod; stop after `most` comparisons.

        One term may cost more than these. True when done.
        """
        if not self._parent.match(pod, most):
            return False
        matched = self._matched.get(group_key(pod))
        if matched is None:
            matched = self._matched[group_key(pod)] = _Matched()
        if matched.compared < len(self._terms):
            new = self._terms[matched.compared :][:most]
            found = frozenset(term for term in new if self._counters.selects(term.pods, pod))
            if found:
                matched.terms |= found
            matched.compared += len(new)
        return matched.compared == len(self._terms)

    def unmatched(self, pod: Pod) -> int:
        """How many comparisons with terms that came since this was last asked about a pod like this one."""
        matched = self._matched.get(group_key(pod))
        compared = matched.compared if matched is not None else 0
        return self._parent.unmatched(pod) + len(self._terms) - compared

    def held(self) -> Iterator[tuple[AffinityTerm, ByRow]]:
        """The terms, each with its weight by row."""
        return added(self._parent.held(), self._difference)

    def _differ(self, term: AffinityTerm, row: int, by: int) -> None:
        self._difference.bump(term, row, by)
        if term not in self._known:
            self._known.add(term)
            self._terms.append(term)

    def _sum(self, base: TermSum | None, own: Terms) -> ForkedSum:
        tallies: dict[str, Tally] = {}
        if base is not None:
            for key in base.keys:
                tallies[key] = Tally(resized(base.tally(key).by_row, self._capacity))
        terms = own if base is None else base.terms | own
        self._add(tallies, ((term, self._difference.get(term)) for term in own))
        return ForkedSum(terms, tallies, self._changes)

    def _meet_alone(self, pod: Pod) -> TermSum | None:
        """The same where the parent goes by other labels of namespaces: all terms are compared again."""
        found = {term: rows for term, rows in self.held() if self._counters.selects(term.pods, pod)}
        if not found:
            return None
        terms = frozenset(found)
        known = self._sums.get((frozenset(), terms))
        if known is None:
            tallies: dict[str, Tally] = {}
            self._add(tallies, found.items())
            known = self._sums[frozenset(), terms] = ForkedSum(terms, tallies, self._changes)
        return known

    def _add(self, tallies: dict[str, Tally], terms: Iterable[tuple[AffinityTerm, ByRow]]) -> None:
        for term, rows in terms:
            tally = tallies.get(term.topology_key)
            if tally is None:
                by_row: Counts = np.zeros(self._capacity, np.int64)
                tally = tallies[term.topology_key] = Tally(by_row)
            for row, weight in rows.items():
                if row < self._capacity:
                    tally.by_row[row] += weight


class ForkedHolders(BySort[ForkedTerms]):
    """The terms of the pods of a fork by their sort, asked as `TermHolders` are."""

    def __init__(self, parent: Holders, counters: ForkedCounters, capacity: int) -> None:
        super().__init__(
            ForkedTerms(parent.anti, counters, capacity),
            ForkedTerms(parent.required, counters, capacity),
            ForkedTerms(parent.preferred, counters, capacity),
        )

    def change(self, terms: PodTerms, row: int, by: int) -> None:
        """Count the terms of a pod that is placed on the fork, or with -1 of one that is removed there."""
        for held, term, weight in self.of(terms):
            held.change(term, row, by * weight)

    def withstand(self, terms: PodTerms, row: int, by: int) -> None:
        """Leave the fork as it is while its parent counts a pod's terms, or with -1 takes them back."""
        for held, term, weight in self.of(terms):
            held.withstand(term, row, by * weight)
