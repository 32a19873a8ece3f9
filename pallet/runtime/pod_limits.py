"""How long the parts of a pod may be that a decision goes through one by one.

An object of the API may be 1.5 MiB: thousands of affinity terms, each to be compared with every kind of pod
in the cluster, or of tolerations, each with every taint. kube-scheduler works for seconds on such a pod
alone. Here a pod with parts longer than workloads have is a large one: large pods are scheduled one at a
time, beside other work (see `pallet.scheduler.large_pods`). Only where a decision on as much as an object can
hold would take more than some 65 ms, a pod with more is not scheduled, and its event says why.

What only adds up (containers, ports, labels, annotations) has no limit but the API server's: 1.5 MiB of these
take milliseconds.
"""

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

from pallet.api.pod import Affinity, Pod
from pallet.api.selectors import NodeSelectorRequirement, NodeSelectorTerm
from pallet.cache.pod_info import PodInfo
from pallet.framework.status import SUCCESS, Status, unresolvable

NAME: Final = "PodLimits"
"""Stands where the name of a plugin stands that refused a pod."""


class Limit(NamedTuple):
    """How long a part may be in an ordinary pod, and in any pod that is scheduled."""

    ordinary: int
    most: float = math.inf


RESOURCES: Final = Limit(500)
TERMS: Final = Limit(250)
CONSTRAINTS: Final = Limit(32)
NODE_EXPRESSIONS: Final = Limit(250)
NODE_VALUES: Final = Limit(20_000)
TOLERATIONS: Final = Limit(500)
CLAIMS: Final = Limit(50, 500)
DISKS: Final = Limit(500)

MOST_TIMES: Final = 10
"""A decision takes at most so many times as long as one on a pod that is just within the ordinary lengths."""

_FEW_CONTAINERS, _FEW_REQUESTS = 20, 20
"""Together less than the resources of an ordinary pod."""

_POD_AFFINITY = "spec.affinity.podAffinity and spec.affinity.podAntiAffinity"
_SPREAD = "spec.topologySpreadConstraints"


class Part(NamedTuple):
    """A part of a pod: how long it is, how long it may be, and what it is."""

    length: int
    limit: Limit
    what: str

    @property
    def times_ordinary(self) -> float:
        """How many times as long it is as in an ordinary pod."""
        return self.length / self.limit.ordinary

    @property
    def times_as_costly(self) -> float:
        """How many times as long as on an ordinary pod a decision may take."""
        return min(self.times_ordinary, MOST_TIMES)


def check_limits(info: PodInfo) -> Status:
    """Success, or which part of a pod is too long, how long it may be, and where it stands."""
    if not _is_plain(info.pod):
        for length, limit, what in _parts(info):
            if length > limit.most:
                return unresolvable(
                    f"the pod has {length:,} {what}, and no more than {limit.most:,} are supported"
                )
    return SUCCESS


def large_part(info: PodInfo) -> Part | None:
    """The part that makes a pod a large one, the longest of several; None for an ordinary pod."""
    if _is_plain(info.pod):
        return None
    long = [Part(*part) for part in _parts(info) if part[0] > part[1].ordinary]
    return max(long, key=lambda part: part.times_ordinary, default=None)


def _is_plain(pod: Pod) -> bool:
    """Whether a pod has no part that may be long, as most have none. Quick to tell: every cycle asks."""
    spec = pod.spec
    return (
        spec.affinity is None
        and not spec.topology_spread_constraints
        and len(spec.volumes) <= CLAIMS.ordinary
        and all(volume.rbd is None for volume in spec.volumes)  # which has monitors
        and len(spec.node_selector) <= NODE_EXPRESSIONS.ordinary
        and len(spec.tolerations) <= TOLERATIONS.ordinary
        and len(spec.containers) + len(spec.init_containers) <= _FEW_CONTAINERS
        and all(
            len(container.resources.requests) <= _FEW_REQUESTS
            for container in (*spec.containers, *spec.init_containers)
        )
    )


def _parts(info: PodInfo) -> Iterator[tuple[int, Limit, str]]:
    spec, terms, volumes = info.pod.spec, info.terms, info.volumes
    yield len(info.requests.amounts), RESOURCES, "resources in the requests of spec.containers"
    count = len(terms.required) + len(terms.required_anti) + len(terms.preferred)
    yield count, TERMS, f"terms in {_POD_AFFINITY}"
    constraints = spec.topology_spread_constraints
    yield len(constraints), CONSTRAINTS, f"entries in {_SPREAD}"
    asked = [each for term in _node_terms(spec.affinity) for each in _expressions(term)]
    expressions = len(spec.node_selector) + len(asked)
    yield expressions, NODE_EXPRESSIONS, "expressions in spec.nodeSelector and spec.affinity.nodeAffinity"
    yield sum(len(each.values) for each in asked), NODE_VALUES, "values in spec.affinity.nodeAffinity"
    yield len(spec.tolerations), TOLERATIONS, "entries in spec.tolerations"
    yield len(volumes.claims) + len(volumes.ephemeral), CLAIMS, "claims in spec.volumes"
    yield len(volumes.disks) + len(volumes.mounted), DISKS, "disks and monitors in spec.volumes"


def _node_terms(affinity: Affinity | None) -> list[NodeSelectorTerm]:
    wanted = affinity.node_affinity if affinity else None
    if wanted is None:
        return []
    required = wanted.required.node_selector_terms if wanted.required else ()
    return [*required, *(each.preference for each in wanted.preferred)]


def _expressions(term: NodeSelectorTerm) -> tuple[NodeSelectorRequirement, ...]:
    return term.match_expressions + term.match_fields
