"""What placed pods are counted by: selectors, and how much a pod counts that they select."""

from collections.abc import Iterable, Mapping

import msgspec

from pallet.api.labels import Labels
from pallet.api.pod import Pod
from pallet.api.selectors import LabelSelector
from pallet.bounded_cache import Measured

_ENTRIES = 8
"""Comparing so many labels, expressions and values takes as long again as comparing none."""

_BYTES_PER_LETTER = 6
"""Of the JSON; 4 to 8 were measured."""


class PodSelector(msgspec.Struct, frozen=True, gc=False, cache_hash=True, omit_defaults=True):
    """Which pods a term speaks of: by label, in namespaces named or selected by label.

    `terminating`: whether pods whose deletion was asked for are counted too.
    """

    labels: LabelSelector | None
    namespaces: frozenset[str]
    namespace_labels: LabelSelector | None = None
    terminating: bool = True

    @property
    def size(self) -> int:
        """How many labels, expressions and values it holds."""
        return selector_size(self.labels) + selector_size(self.namespace_labels)

    @property
    def cost(self) -> int:
        """How long comparing it with a pod takes, in comparisons of some 0.5 µs, at most."""
        return 1 + self.size // _ENTRIES

    def matches(self, namespace: str, namespace_labels: Labels, labels: Mapping[str, str]) -> bool:
        """Whether it selects a pod with these labels in this namespace."""
        if self.labels is None:
            return False
        if namespace not in self.namespaces and not (
            self.namespace_labels is not None and self.namespace_labels.matches(namespace_labels)
        ):
            return False
        return self.labels.matches(labels)

    def selects(self, pod: Pod, namespace_labels: Labels) -> bool:
        """Whether it selects a pod of a namespace with these labels."""
        meta = pod.metadata
        return self.matches(meta.namespace, namespace_labels, meta.labels) and (
            self.terminating or not pod.terminating
        )


def selector_size(selector: LabelSelector | None) -> int:
    """How many labels, expressions and values of expressions a selector holds."""
    if selector is None:
        return 0
    return len(selector.match_labels) + sum(1 + len(each.values) for each in selector.match_expressions)


class PodSelection(Measured, frozen=True, gc=False, cache_hash=True):
    """How much each pod counts: the sum of the weights of those parts whose selectors all select it.

    `cost`: how long that takes to find out, in comparisons of some 0.5 µs, at most.
    """

    parts: tuple[tuple[tuple[PodSelector, ...], int], ...]
    cost: int

    def weight(self, namespace: str, namespace_labels: Labels, labels: Mapping[str, str], gone: bool) -> int:  # noqa: FBT001 - of a hot path
        """How much a pod with these labels in this namespace counts. `gone`: whether it is terminating."""
        total = 0
        for selectors, weight in self.parts:
            for selector in selectors:
                if gone and not selector.terminating:
                    break
                if not selector.matches(namespace, namespace_labels, labels):
                    break
            else:
                total += weight
        return total

    def __sizeof__(self) -> int:
        return _BYTES_PER_LETTER * len(msgspec.json.encode(self.parts))

    @property
    def asks_for_namespaces(self) -> bool:
        """Whether it depends on the labels of namespaces."""
        return any(each.namespace_labels is not None for selectors, _ in self.parts for each in selectors)


def all_of(*selectors: PodSelector) -> PodSelection:
    """Each pod that all of the selectors select counts once."""
    return weighted([(selectors, 1)])


def weighted(parts: Iterable[tuple[tuple[PodSelector, ...], int]]) -> PodSelection:
    """Each pod counts as much as the parts say together that select it."""
    parts = tuple(parts)
    return PodSelection(parts, sum(each.cost for selectors, _ in parts for each in selectors))
