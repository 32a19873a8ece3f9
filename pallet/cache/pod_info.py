"""A pod with everything that placement derives from it, derived once."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from pallet.api.pod import Affinity, Container, Pod, PodAffinityTerm
from pallet.api.requests import Requests, requests_of
from pallet.cache.selection import PodSelection, PodSelector, all_of, weighted
from pallet.cache.volumes_in_use import PodVolumes, volumes_of
from pallet.shared_values import SharedValues

ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104  # the address of the API, nothing is bound
"""Stands for all addresses of a node."""


class HostPort(msgspec.Struct, frozen=True, gc=False):
    """A port that a pod takes on its node."""

    protocol: str
    port: int
    ip: str


class AffinityTerm(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """Pods to be near to, or away from, within one topology domain."""

    pods: PodSelector
    topology_key: str


class PreferredTerm(NamedTuple):
    """The preferred terms of one topology key: what they count, and how much that counts."""

    topology_key: str
    pods: PodSelection
    weight: int


class PodTerms(msgspec.Struct, frozen=True, gc=False):
    """A pod's inter-pod affinity. Weights of preferred anti-affinity are negative.

    The terms are what others meet when the pod is placed. For its own decision they are put together by
    topology key, for a pod may have thousands of them:

    near_keys: the topology keys of the required affinity
    near: the pods that its terms all select, or None without any
    away: by topology key, the pods that any term of the required anti-affinity selects
    preferred_by_key: the preferred terms
    """

    required: tuple[AffinityTerm, ...] = ()
    required_anti: tuple[AffinityTerm, ...] = ()
    preferred: tuple[tuple[AffinityTerm, int], ...] = ()
    near_keys: tuple[str, ...] = ()
    near: PodSelection | None = None
    away: tuple[tuple[str, PodSelection], ...] = ()
    preferred_by_key: tuple[PreferredTerm, ...] = ()


class PodInfo:
    """A pod and what is derived from its spec. The pod may be replaced by a newer one of equal meaning."""

    __slots__ = ("pod", "ports", "requests", "terms", "volumes")

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.requests: Requests = requests_of(pod)
        self.ports: tuple[HostPort, ...] = host_ports(pod)
        self.volumes: PodVolumes = volumes_of(pod)
        self.terms: PodTerms = terms_of(pod)

    @property
    def uid(self) -> str:
        """The pod's UID."""
        return self.pod.metadata.uid

    def same_footprint(self, other: "PodInfo") -> bool:
        """Whether it weighs on a node and on other pods just as the other does."""
        mine, theirs = self.pod.metadata, other.pod.metadata
        return (
            self.requests == other.requests
            and mine.labels is theirs.labels
            and self.pod.terminating == other.pod.terminating
            and self.ports == other.ports
            and self.terms == other.terms
            and self.volumes == other.volumes
        )

    def __repr__(self) -> str:
        return f"PodInfo({self.pod.key})"


def host_ports(pod: Pod) -> tuple[HostPort, ...]:
    """The host ports of a pod's containers and sidecars, as kube-scheduler counts them."""
    spec = pod.spec
    sidecars = (container for container in spec.init_containers if container.restart_policy == "Always")
    return tuple(_ports((*spec.containers, *sidecars)))


def _ports(containers: Iterable[Container]) -> Iterable[HostPort]:
    for container in containers:
        for port in container.ports:
            if port.host_port > 0:
                yield HostPort(port.protocol or "TCP", port.host_port, port.host_ip or ANY_ADDRESS)


NO_TERMS = PodTerms()


def _resolve(key: tuple[Affinity, str]) -> PodTerms:
    affinity, namespace = key
    near, away = affinity.pod_affinity, affinity.pod_anti_affinity
    wished = [(each, 1) for each in (near.preferred if near else ())]
    wished += [(each, -1) for each in (away.preferred if away else ())]
    own = frozenset((namespace,))
    required = tuple(_term(term, own) for term in (near.required if near else ()))
    required_anti = tuple(_term(term, own) for term in (away.required if away else ()))
    preferred = tuple(
        (_term(each.pod_affinity_term, own), sign * each.weight) for each, sign in wished if each.weight
    )
    return PodTerms(
        required,
        required_anti,
        preferred,
        tuple(dict.fromkeys(term.topology_key for term in required)),
        all_of(*dict.fromkeys(term.pods for term in required)) if required else None,
        tuple(_away(required_anti)),
        tuple(_preferred_by_key(preferred)),
    )


def _away(terms: Iterable[AffinityTerm]) -> Iterable[tuple[str, PodSelection]]:
    """Any number of pods that any of the terms selects is too many, so that all weights are 1."""
    by_key: dict[str, dict[PodSelector, None]] = {}
    for term in terms:
        if term.pods.labels is not None:
            by_key.setdefault(term.topology_key, {})[term.pods] = None
    for key, selectors in by_key.items():
        yield key, weighted(((selector,), 1) for selector in selectors)


def _preferred_by_key(terms: Iterable[tuple[AffinityTerm, int]]) -> Iterable[PreferredTerm]:
    by_key: dict[str, dict[PodSelector, int]] = {}
    for term, weight in terms:
        if term.pods.labels is not None:
            weights = by_key.setdefault(term.topology_key, {})
            weights[term.pods] = weights.get(term.pods, 0) + weight
    for key, weights in by_key.items():
        parts = [((selector,), weight) for selector, weight in weights.items() if weight]
        if len(parts) == 1:  # so that it is counted together with what others have of it
            yield PreferredTerm(key, all_of(*parts[0][0]), parts[0][1])
        elif parts:
            yield PreferredTerm(key, weighted(parts), 1)


_terms = SharedValues("pod_terms", _resolve)


def terms_of(pod: Pod) -> PodTerms:
    """A pod's inter-pod affinity."""
    return _terms[pod.spec.affinity, pod.metadata.namespace] if pod.spec.affinity else NO_TERMS


def _term(term: PodAffinityTerm, own: frozenset[str]) -> AffinityTerm:
    """Resolve a term. Without namespaces and namespace selector it speaks of the pod's own namespace."""
    namespaces = frozenset(term.namespaces)
    if not namespaces and term.namespace_selector is None:
        namespaces = own
    return AffinityTerm(
        PodSelector(term.label_selector, namespaces, term.namespace_selector), term.topology_key
    )
