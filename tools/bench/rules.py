"""What must be true of a result: read from the API, judged by the pods' own words, with nothing of pallet's.

Pods never leave in these workloads (but victims of preemption, whom nobody refers to), so rules that hold at
the moment of each binding hold at the end as well.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.bench.manifests import APP, NEVER_FITS, ZONE, Manifest
from tools.bench.observer import Observation
from tools.bench.volumes import claimed

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_UNITS = {"m": 1e-3, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}


@dataclass(frozen=True, slots=True)
class Cluster:
    """The nodes by name, and all pods that have one, of the backlog and of those beside it."""

    nodes: Mapping[str, Manifest]
    placed: Sequence[Manifest]

    def domain(self, pod: Manifest, key: str) -> str:
        """The topology domain that a pod is in."""
        labels: Mapping[str, str] = self.nodes[node_of(pod)]["metadata"]["labels"]
        return labels[key]

    def domains(self, key: str) -> set[str]:
        """All domains of a topology key."""
        return {node["metadata"]["labels"][key] for node in self.nodes.values()}

    def counts(self, selector: Mapping[str, str], key: str) -> Counter[str]:
        """How many pods with these labels each domain has."""
        return Counter(self.domain(pod, key) for pod in self.placed if _matches(pod, selector))


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a placement is, apart from being right."""

    nodes_used: int
    """Nodes with pods of the backlog."""
    cpu_deviation: float
    """The standard deviation, over all nodes, of the fraction of CPU that is asked for, in percent."""
    zone_skew: int | None
    """The greatest difference between two zones in pods of one app; None where no app is to be spread."""
    evicted: int | None = None
    """Pods that had to go; None where there were none that could."""


def node_of(pod: Manifest) -> str:
    """The node of a pod; empty where it has none."""
    node: str = pod["spec"].get("nodeName", "")
    return node


def fits(pod: Manifest) -> bool:
    """Whether a pod is to be bound at all."""
    return NEVER_FITS not in pod["metadata"].get("labels", {})


def unbound(created: int, pods: Sequence[Manifest], observation: Observation) -> list[str]:
    """What is wrong with who was bound, each in words. `created` pods are to be bound."""
    found = []
    bound = sum(bool(node_of(pod)) for pod in pods if fits(pod))
    if bound < created:
        found.append(f"{created - bound} of {created} pods were not bound")
    if wrongly := sum(bool(node_of(pod)) for pod in pods if not fits(pod)):
        found.append(f"{wrongly} pods were bound that fit nowhere")
    if moved := sum(count > 1 for count in Counter(each.pod for each in observation.bindings).values()):
        found.append(f"{moved} pods were seen on more than one node")
    return found


def broken(cluster: Cluster) -> list[str]:
    """The required rules that are broken, each in words."""
    spreading, near, away = set(), set(), set()
    outside = 0
    for pod in cluster.placed:
        spec = pod["spec"]
        affinity = spec.get("affinity", {})
        near |= _terms(affinity.get("podAffinity", {}).get(_REQUIRED, ()))
        away |= _terms(affinity.get("podAntiAffinity", {}).get(_REQUIRED, ()))
        constraints = spec.get("topologySpreadConstraints", ())
        spreading |= _terms(each for each in constraints if each["whenUnsatisfiable"] == "DoNotSchedule")
        outside += not _selected(cluster.nodes[node_of(pod)], affinity.get("nodeAffinity", {}).get(_REQUIRED))
    counted = {
        "nodes have more than fits": _overcommitted(cluster),
        "pods are on nodes that their node affinity leaves out": outside,
        "anti-affinity terms are broken": sum(_most(cluster, term) > 1 for term in away),
        # All pods of these workloads select themselves: the first opens a domain, the others must follow.
        "affinity terms are broken": sum(len(cluster.counts(dict(labels), key)) > 1 for labels, key in near),
        "spreading constraints are broken": sum(_skew(cluster, term) > 1 for term in spreading),
    }
    return [f"{count} {what}" for what, count in counted.items() if count]


def misplaced_volumes(cluster: Cluster, claims: Iterable[Manifest], volumes: Iterable[Manifest]) -> list[str]:
    """Whether each pod with a claim is on the node of the one volume that is bound to it."""
    by_name = {volume["metadata"]["name"]: volume for volume in volumes}
    chosen = {claim["metadata"]["name"]: claim["spec"].get("volumeName", "") for claim in claims}
    wrong = 0
    used: Counter[str] = Counter()
    for pod in cluster.placed:
        if claim := claimed(pod):
            volume = by_name.get(chosen.get(claim, ""))
            wrong += volume is None or not _selected(
                cluster.nodes[node_of(pod)], volume["spec"]["nodeAffinity"]["required"]
            )
            used[chosen.get(claim, "")] += 1
    found = [f"{wrong} pods are on nodes that do not reach their volume"] if wrong else []
    shared = sum(count > 1 for name, count in used.items() if name)
    return [*found, *([f"{shared} volumes are used twice"] if shared else [])]


def quality(cluster: Cluster, backlog: Sequence[Manifest], standing: int = 0) -> Quality:
    """Judge where the pods of the backlog went; so many others had a node before."""
    asked = _asked(cluster, "cpu")
    fractions = [
        asked[name] / amount(node["status"]["allocatable"]["cpu"]) for name, node in cluster.nodes.items()
    ]
    placed = [pod for pod in backlog if node_of(pod)]
    zones: dict[str, Counter[str]] = defaultdict(Counter)
    for pod in placed:
        if "topologySpreadConstraints" in pod["spec"]:
            zones[pod["metadata"]["labels"][APP]][cluster.domain(pod, ZONE)] += 1
    domains = cluster.domains(ZONE)
    return Quality(
        nodes_used=len({node_of(pod) for pod in placed}),
        cpu_deviation=statistics.pstdev(fractions) * 100,
        zone_skew=max((_range(counts, domains) for counts in zones.values()), default=None),
        evicted=standing - (len(cluster.placed) - len(placed)) if standing else None,
    )


def amount(quantity: str) -> float:
    """A quantity, of those that are used here, as a number."""
    for unit, factor in _UNITS.items():
        if quantity.endswith(unit):
            return float(quantity.removesuffix(unit)) * factor
    return float(quantity)


Term = tuple[tuple[tuple[str, str], ...], str]
"""The labels that select pods, and a topology key."""


def _terms(given: Iterable[Mapping[str, Any]]) -> set[Term]:
    return {
        (tuple(sorted(each["labelSelector"]["matchLabels"].items())), each["topologyKey"]) for each in given
    }


def _most(cluster: Cluster, term: Term) -> int:
    return max(cluster.counts(dict(term[0]), term[1]).values(), default=0)


def _skew(cluster: Cluster, term: Term) -> int:
    return _range(cluster.counts(dict(term[0]), term[1]), cluster.domains(term[1]))


def _range(counts: Counter[str], domains: Iterable[str]) -> int:
    values = [counts[domain] for domain in domains]
    return max(values) - min(values)


def _matches(pod: Manifest, selector: Mapping[str, str]) -> bool:
    labels: Mapping[str, str] = pod["metadata"].get("labels", {})
    return selector.items() <= labels.items()


def _selected(node: Manifest, selector: Mapping[str, Any] | None) -> bool:
    """Whether one of a node selector's terms, which are lists of values by key here, selects the node."""
    if selector is None:
        return True
    labels: Mapping[str, str] = node["metadata"]["labels"]
    return any(
        all(labels.get(each["key"]) in each["values"] for each in term["matchExpressions"])
        for term in selector["nodeSelectorTerms"]
    )


def _asked(cluster: Cluster, resource: str) -> dict[str, float]:
    """How much of a resource the pods of each node ask for."""
    asked = dict.fromkeys(cluster.nodes, 0.0)
    for pod in cluster.placed:
        for container in pod["spec"]["containers"]:
            asked[node_of(pod)] += amount(container["resources"]["requests"][resource])
    return asked


def _overcommitted(cluster: Cluster) -> int:
    pods = Counter(map(node_of, cluster.placed))
    cpu, memory = _asked(cluster, "cpu"), _asked(cluster, "memory")
    slack = 1e-6  # of sums of floats
    over = 0
    for name, node in cluster.nodes.items():
        has = node["status"]["allocatable"]
        over += (
            pods[name] > amount(has["pods"])
            or cpu[name] > amount(has["cpu"]) + slack
            or memory[name] > amount(has["memory"]) + slack
        )
    return over
