"""The objects that workloads are made of, as the API takes them.

Shapes and sizes are those of Kubernetes' own scheduler_perf where it has them: pods ask for 100m CPU and
500Mi memory, nodes lie in three zones in turn. Pods of one app are a hundred in a row, as a Deployment makes
them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Manifest = dict[str, Any]

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
ZONES = 3
APP = "app"
APP_PODS = 100
"""Pods of one app; not more than there are nodes, so that each can have a node of its own."""

SCHEDULER_NAME = "default-scheduler"
REQUESTS = {"cpu": "100m", "memory": "500Mi"}
IMAGE = "registry.k8s.io/pause:3.10"
NEVER_FITS = "never-fits"
"""The label of pods that ask for more than any node has."""

HIGH_PRIORITY = "bench-high"
HIGH_PRIORITY_VALUE = 1000
GATE = "bench.example.com/held"


def pod(
    name: str,
    *,
    requests: Mapping[str, str] = REQUESTS,
    labels: Mapping[str, str] | None = None,
    scheduler_name: str = SCHEDULER_NAME,
    **spec: Any,
) -> Manifest:
    """A pod that asks for CPU and memory; `spec` has what else it wants, in the API's words."""
    container = {"name": "main", "image": IMAGE, "resources": {"requests": dict(requests)}}
    return {
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {
            "schedulerName": scheduler_name,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            **spec,
        },
    }


def node_labels(number: int) -> dict[str, str]:
    """The zone of the node with this number; its hostname label is its name."""
    return {ZONE: f"zone-{number % ZONES}"}


def node_name(number: int) -> str:
    """The name of the node with this number."""
    return f"node-{number}"


def plain(number: int) -> Manifest:
    """A pod without any wish."""
    return pod(f"pod-{number}")


def never_fitting(number: int) -> Manifest:
    """A pod that asks for more CPU than a node has."""
    return pod(f"pod-{number}", requests={**REQUESTS, "cpu": "9"}, labels={NEVER_FITS: "true"})


def churn(number: int) -> Manifest:
    """Every third pod never fits."""
    return never_fitting(number) if number % 3 == 2 else plain(number)


def anti_affine(number: int) -> Manifest:
    """A pod that must not share a node with another of its app."""
    app = _app("apart", number)
    return _labelled(number, app, affinity={"podAntiAffinity": {_REQUIRED: [_term(app, HOSTNAME)]}})


def preferably_anti_affine(number: int) -> Manifest:
    """A pod that would rather not share a node with another of its app."""
    app = _app("rather-apart", number)
    return _labelled(number, app, affinity={"podAntiAffinity": {_PREFERRED: [_wish(app, HOSTNAME)]}})


def affine(number: int) -> Manifest:
    """A pod that must be in the zone of its app."""
    app = _app("together", number)
    return _labelled(number, app, affinity={"podAffinity": {_REQUIRED: [_term(app, ZONE)]}})


def preferably_affine(number: int) -> Manifest:
    """A pod that would like to share a node with others of its app."""
    app = _app("rather-together", number)
    return _labelled(number, app, affinity={"podAffinity": {_PREFERRED: [_wish(app, HOSTNAME)]}})


def spread(number: int) -> Manifest:
    """A pod of an app that must be even over the zones."""
    app = _app("even", number)
    return _labelled(number, app, topologySpreadConstraints=[_constraint(app, ZONE, "DoNotSchedule")])


def preferably_spread(number: int) -> Manifest:
    """A pod of an app that should be even over the zones and over the nodes."""
    app = _app("rather-even", number)
    constraints = [_constraint(app, key, "ScheduleAnyway") for key in (ZONE, HOSTNAME)]
    return _labelled(number, app, topologySpreadConstraints=constraints)


def node_affine(number: int) -> Manifest:
    """A pod that must be in one of the first two zones."""
    zones = {"key": ZONE, "operator": "In", "values": ["zone-0", "zone-1"]}
    affinity = {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [zones]}]}}}
    return pod(f"pod-{number}", affinity=affinity)


def with_volume(number: int) -> Manifest:
    """A pod with a claim of its own, which is bound when the pod has a node."""
    claim = {"claimName": f"claim-{number}"}
    return pod(f"pod-{number}", volumes=[{"name": "data", "persistentVolumeClaim": claim}])


def important(number: int) -> Manifest:
    """A pod that fits on a node only when both `unimportant` ones there have gone."""
    return pod(
        f"pod-{number}",
        requests={"cpu": "6", "memory": "500Mi"},
        priorityClassName=HIGH_PRIORITY,
        priority=HIGH_PRIORITY_VALUE,
    )


def unimportant(nodes: int, _: int) -> Iterator[Manifest]:
    """Two pods on each node, which leave 2 of its 8 CPUs."""
    for number in range(nodes):
        for twin in range(2):
            low = pod(f"low-{number}-{twin}", requests={"cpu": "3", "memory": "500Mi"})
            low["spec"]["nodeName"] = node_name(number)
            yield low


def gated(_: int, pods: int) -> Iterator[Manifest]:
    """Pods that somebody holds back: twenty for each three of the backlog."""
    for number in range(pods * 20 // 3):
        yield pod(f"gated-{number}", schedulingGates=[{"name": GATE}])


MIXTURE: tuple[Callable[[int], Manifest], ...] = (
    plain,
    anti_affine,
    preferably_anti_affine,
    affine,
    preferably_affine,
    spread,
    preferably_spread,
    node_affine,
    with_volume,
    never_fitting,
)


def mixed(number: int) -> Manifest:
    """One pod of each kind in turn."""
    made = MIXTURE[number % len(MIXTURE)](number // len(MIXTURE))
    made["metadata"]["name"] = f"pod-{number}"
    return made


_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def _app(kind: str, number: int) -> dict[str, str]:
    return {APP: f"{kind}-{number // APP_PODS}"}


def _labelled(number: int, labels: Mapping[str, str], **spec: Any) -> Manifest:
    return pod(f"pod-{number}", labels=labels, **spec)


def _term(labels: Mapping[str, str], topology_key: str) -> Manifest:
    return {"labelSelector": {"matchLabels": dict(labels)}, "topologyKey": topology_key}


def _wish(labels: Mapping[str, str], topology_key: str) -> Manifest:
    return {"weight": 1, "podAffinityTerm": _term(labels, topology_key)}


def _constraint(labels: Mapping[str, str], topology_key: str, otherwise: str) -> Manifest:
    return {"maxSkew": 1, "whenUnsatisfiable": otherwise, **_term(labels, topology_key)}
