"""What is asked about the placed pods of a snapshot, be it the live one or a fork."""

from collections.abc import Collection, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from pallet.api.labels import Labels
from pallet.api.pod import Pod
from pallet.cache.pod_info import AffinityTerm, PodTerms
from pallet.cache.selection import PodSelection, PodSelector
from pallet.cache.tally import Counts, Tally

GroupKey = tuple[str, Labels, bool]
"""What selectors can tell pods by: namespace, labels, and whether they are terminating."""

Terms = frozenset[AffinityTerm]

H_co = TypeVar("H_co", covariant=True)


def group_key(pod: Pod) -> GroupKey:
    """What selectors can tell a pod by: its namespace, its labels, and whether it is terminating."""
    return pod.metadata.namespace, pod.metadata.labels, pod.terminating


class Counters(Protocol):
    """What is asked about the placed pods of a snapshot."""

    def count(self, selection: PodSelection) -> Counts:
        """What the pods on each row count: int64, (capacity,), not to be changed by the caller."""
        ...

    def tally(self, selection: PodSelection) -> Tally:
        """The counter of selected pods; not to be changed by the caller."""
        ...

    def uncounted(self, selection: PodSelection) -> int:
        """How many groups have to be looked at before the selection is counted."""
        ...

    def count_some(self, selection: PodSelection, most: int) -> bool:
        """Compare the selection with some groups more. True when it is counted."""
        ...

    def weight(self, selection: PodSelection, pod: Pod) -> int:
        """How much a pod counts, placed or not."""
        ...

    def weight_of(self, selection: PodSelection, key: GroupKey) -> int:
        """How much each pod of a group counts, which may have no placed pods."""
        ...

    def selects(self, selector: PodSelector, pod: Pod) -> bool:
        """Whether a selector selects a pod, placed or not."""
        ...

    def namespace_labels(self) -> dict[str, Labels]:
        """The labels of the namespaces that have any; a copy."""
        ...

    def groups(self) -> Iterator[tuple[GroupKey, Mapping[int, int]]]:
        """The groups of placed pods, each with the number of its pods by row."""
        ...


class TermSum(Protocol):
    """Some held terms together. Pods that the same terms select share one, which is compared by identity."""

    @property
    def terms(self) -> Terms:
        """The terms."""
        ...

    @property
    def keys(self) -> Collection[str]:
        """The topology keys of the terms."""
        ...

    def tally(self, topology_key: str) -> Tally:
        """The weights of the terms with a topology key; not to be changed by the caller."""
        ...


class HeldTermsView(Protocol):
    """What is asked about the terms of one sort that the placed pods of a snapshot hold."""

    def meet(self, pod: Pod) -> TermSum | None:
        """The sum of the held terms that select a pod; None where none does."""
        ...

    def match(self, pod: Pod, most: int | None = None) -> bool:
        """Find out which of the terms that came since select a pod; stop after `most` comparisons.

        One term may cost more than these. True when done.
        """
        ...

    def unmatched(self, pod: Pod) -> int:
        """How many comparisons with terms that came since this was last asked about a pod like this one."""
        ...

    def held(self) -> Iterator[tuple[AffinityTerm, Mapping[int, int]]]:
        """The terms, each with its weight by row."""
        ...


class BySort(Generic[H_co]):
    """Something for each sort of the terms that placed pods hold.

    anti: required anti-affinity, how many pods hold a term
    required: required affinity, how many pods hold a term, by which a newcomer is scored
    preferred: preferred terms, the sum of their signed weights
    """

    def __init__(self, anti: H_co, required: H_co, preferred: H_co) -> None:
        self.anti = anti
        self.required = required
        self.preferred = preferred

    def sorts(self) -> tuple[H_co, ...]:
        """That of each sort."""
        return self.anti, self.required, self.preferred

    def of(self, terms: PodTerms) -> Iterator[tuple[H_co, AffinityTerm, int]]:
        """The terms of a pod, each with that of its sort and its weight there."""
        for term in terms.required_anti:
            yield self.anti, term, 1
        for term in terms.required:
            yield self.required, term, 1
        for term, weight in terms.preferred:
            yield self.preferred, term, weight


Holders = BySort[HeldTermsView]
"""The terms of the placed pods of a snapshot."""
