"""How long the parts of a pod may be that a decision goes through one by one.

An object of the API may be 1.5 MiB: thousands of affinity terms, each to be compared with every kind of pod
in the cluster, or of tolerations, each with every taint. kube-scheduler works for seconds on such a pod
alone. Here a pod beyond one of the limits is not scheduled, and its event says why. The limits are several
times what workloads use.

What only adds up (containers, ports, labels, annotations) has no limit but the API server's: 1.5 MiB of these
take milliseconds.
"""

from collections.abc import Iterator
from typing import Final

from pallet.api.pod import Affinity
from pallet.api.selectors import NodeSelectorRequirement, NodeSelectorTerm
from pallet.cache.pod_info import PodInfo, selector_size
from pallet.framework.status import SUCCESS, Status, unresolvable

NAME: Final = "PodLimits"
"""Stands where the name of a plugin stands that refused a pod."""

MAX_RESOURCES: Final = 500
MAX_TERMS: Final = 50
MAX_SELECTED: Final = 1000
MAX_CONSTRAINTS: Final = 32
MAX_NODE_EXPRESSIONS: Final = 500
MAX_NODE_VALUES: Final = 20_000
MAX_TOLERATIONS: Final = 500
MAX_VOLUMES: Final = 500

_POD_AFFINITY = "spec.affinity.podAffinity and spec.affinity.podAntiAffinity"
_SPREAD = "spec.topologySpreadConstraints"


def check_limits(info: PodInfo) -> Status:
    """Success, or which part of a pod is too long, how long it may be, and where it stands."""
    spec = info.pod.spec
    if (
        spec.affinity is None
        and not spec.topology_spread_constraints
        and not spec.volumes
        and len(info.requests.amounts) <= MAX_RESOURCES
        and len(spec.node_selector) <= MAX_NODE_EXPRESSIONS
        and len(spec.tolerations) <= MAX_TOLERATIONS
    ):
        return SUCCESS  # most pods
    for count, limit, what in _lengths(info):
        if count > limit:
            return unresolvable(f"the pod has {count:,} {what}, and no more than {limit:,} are supported")
    return SUCCESS


def _lengths(info: PodInfo) -> Iterator[tuple[int, int, str]]:
    """How long each part is, how long it may be, and what it is."""
    spec, terms, volumes = info.pod.spec, info.terms, info.volumes
    yield len(info.requests.amounts), MAX_RESOURCES, "resources in the requests of spec.containers"
    count = len(terms.required) + len(terms.required_anti) + len(terms.preferred)
    yield count, MAX_TERMS, f"terms in {_POD_AFFINITY}"
    yield terms.selected, MAX_SELECTED, f"labels, values and namespaces in the selectors of {_POD_AFFINITY}"
    constraints = spec.topology_spread_constraints
    yield len(constraints), MAX_CONSTRAINTS, f"entries in {_SPREAD}"
    selected = sum(selector_size(each.label_selector) for each in constraints)
    yield selected, MAX_SELECTED, f"labels and values in the selectors of {_SPREAD}"
    asked = [each for term in _node_terms(spec.affinity) for each in _expressions(term)]
    expressions = len(spec.node_selector) + len(asked)
    yield expressions, MAX_NODE_EXPRESSIONS, "expressions in spec.nodeSelector and spec.affinity.nodeAffinity"
    yield sum(len(each.values) for each in asked), MAX_NODE_VALUES, "values in spec.affinity.nodeAffinity"
    yield len(spec.tolerations), MAX_TOLERATIONS, "entries in spec.tolerations"
    mounted = len(volumes.claims) + len(volumes.ephemeral) + len(volumes.disks) + len(volumes.mounted)
    yield mounted, MAX_VOLUMES, "claims, disks and monitors in spec.volumes"


def _node_terms(affinity: Affinity | None) -> list[NodeSelectorTerm]:
    wanted = affinity.node_affinity if affinity else None
    if wanted is None:
        return []
    required = wanted.required.node_selector_terms if wanted.required else ()
    return [*required, *(each.preference for each in wanted.preferred)]


def _expressions(term: NodeSelectorTerm) -> tuple[NodeSelectorRequirement, ...]:
    return term.match_expressions + term.match_fields
