"""A pod with everything that placement derives from it, derived once."""

from collections.abc import Iterable, Mapping

import msgspec

from pallet.api.labels import Labels
from pallet.api.pod import Affinity, Container, Pod, PodAffinityTerm
from pallet.api.requests import Requests, requests_of
from pallet.api.selectors import LabelSelector
from pallet.cache.volumes_in_use import PodVolumes, volumes_of
from pallet.shared_values import SharedValues


class HostPort(msgspec.Struct, frozen=True, gc=False):
    """A port that a pod takes on its node. The address 0.0.0.0 stands for all addresses."""

    protocol: str
    port: int
    ip: str


class PodSelector(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """Which pods a term speaks of: by label, in namespaces named or selected by label.

    `terminating`: whether pods whose deletion was asked for are counted too.
    """

    labels: LabelSelector | None
    namespaces: tuple[str, ...]
    namespace_labels: LabelSelector | None = None
    terminating: bool = True

    @property
    def size(self) -> int:
        """How many labels, expressions, values and namespaces it holds."""
        return selector_size(self.labels) + selector_size(self.namespace_labels) + len(self.namespaces)

    def matches(self, namespace: str, namespace_labels: Labels, labels: Mapping[str, str]) -> bool:
        """Whether it selects a pod with these labels in this namespace."""
        if self.labels is None:
            return False
        if namespace not in self.namespaces and not (
            self.namespace_labels is not None and self.namespace_labels.matches(namespace_labels)
        ):
            return False
        return self.labels.matches(labels)


class AffinityTerm(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """Pods to be near to, or away from, within one topology domain."""

    pods: PodSelector
    topology_key: str


class PodTerms(msgspec.Struct, frozen=True, gc=False):
    """A pod's inter-pod affinity. Weights of preferred anti-affinity are negative.

    `selected` counts what all its selectors hold: labels, expressions and their values, namespaces.
    """

    required: tuple[AffinityTerm, ...] = ()
    required_anti: tuple[AffinityTerm, ...] = ()
    preferred: tuple[tuple[AffinityTerm, int], ...] = ()
    selected: int = 0


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


def selector_size(selector: LabelSelector | None) -> int:
    """How many labels, expressions and values of expressions a selector holds."""
    if selector is None:
        return 0
    return len(selector.match_labels) + sum(1 + len(each.values) for each in selector.match_expressions)


def host_ports(pod: Pod) -> tuple[HostPort, ...]:
    """The host ports of a pod's containers and sidecars, as kube-scheduler counts them."""
    spec = pod.spec
    sidecars = (container for container in spec.init_containers if container.restart_policy == "Always")
    return tuple(_ports((*spec.containers, *sidecars)))


def _ports(containers: Iterable[Container]) -> Iterable[HostPort]:
    for container in containers:
        for port in container.ports:
            if port.host_port > 0:
                yield HostPort(port.protocol or "TCP", port.host_port, port.host_ip or "0.0.0.0")  # noqa: S104  # the address of the API, nothing is bound


NO_TERMS = PodTerms()


def _resolve(key: tuple[Affinity, str]) -> PodTerms:
    affinity, namespace = key
    near, away = affinity.pod_affinity, affinity.pod_anti_affinity
    preferred = [(weighted, 1) for weighted in (near.preferred if near else ())]
    preferred += [(weighted, -1) for weighted in (away.preferred if away else ())]
    required = tuple(_term(term, namespace) for term in (near.required if near else ()))
    required_anti = tuple(_term(term, namespace) for term in (away.required if away else ()))
    wishes = tuple(
        (_term(weighted.pod_affinity_term, namespace), sign * weighted.weight)
        for weighted, sign in preferred
        if weighted.weight
    )
    all_terms = (*required, *required_anti, *(term for term, _ in wishes))
    return PodTerms(required, required_anti, wishes, sum(term.pods.size for term in all_terms))


_terms = SharedValues("pod_terms", _resolve)


def terms_of(pod: Pod) -> PodTerms:
    """A pod's inter-pod affinity."""
    return _terms[pod.spec.affinity, pod.metadata.namespace] if pod.spec.affinity else NO_TERMS


def _term(term: PodAffinityTerm, own_namespace: str) -> AffinityTerm:
    """Resolve a term. Without namespaces and namespace selector it speaks of the pod's own namespace."""
    namespaces = tuple(sorted(term.namespaces))
    if not namespaces and term.namespace_selector is None:
        namespaces = (own_namespace,)
    return AffinityTerm(
        PodSelector(term.label_selector, namespaces, term.namespace_selector), term.topology_key
    )
