"""The worst objects that the API server accepts from whoever may create pods, as manifests.

`LONG` has a pod for each field that can be long, given how many entries it is to have.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pallet.api.plan_name import plan_name
from tools.bench.manifests import HOSTNAME, IMAGE, REQUESTS, ZONE, Manifest, node_name, pod
from tools.bench.stage import POD_SET_LABEL

NAMESPACE: Final = "attack"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

_NAMES = 5000
"""So many nodes are named before the first one comes again."""


def invented_resources(name: str, count: int, **spec: Any) -> Manifest:
    """A pod that asks for resources that no node offers."""
    made_up = {f"made-up.example.com/{name}-{number}": "1" for number in range(count)}
    made = pod(name, requests={**REQUESTS, **made_up}, **spec)
    made["spec"]["containers"][0]["resources"]["limits"] = made_up  # of these there must be a limit
    return made


def _term(number: int) -> dict[str, Any]:
    return {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"worst": f"value-{number}"}}}


def _node_term(number: int) -> dict[str, Any]:
    return {"matchExpressions": [{"key": "worst", "operator": "In", "values": [f"value-{number}"]}]}


def _pod_affinity(field: str, terms: list[dict[str, Any]], strength: str) -> dict[str, Any]:
    if strength == PREFERRED:
        terms = [{"weight": 1 + number % 100, "podAffinityTerm": term} for number, term in enumerate(terms)]
    return {field: {strength: terms}}


def _affinity(field: str, strength: str) -> Callable[[str, int], Manifest]:
    def make(name: str, count: int) -> Manifest:
        labels = {"worst": "value-0"}
        terms = [_term(number) for number in range(count)]
        return pod(name, labels=labels, affinity=_pod_affinity(field, terms, strength))

    return make


def _node_affinity(name: str, count: int) -> Manifest:
    terms = {"nodeSelectorTerms": [_node_term(number) for number in range(count)]}
    return pod(name, affinity={"nodeAffinity": {REQUIRED: terms}})


def _node_wishes(name: str, count: int) -> Manifest:
    terms = [{"weight": 1 + number % 100, "preference": _node_term(number)} for number in range(count)]
    return pod(name, affinity={"nodeAffinity": {PREFERRED: terms}})


def _node_names(name: str, count: int) -> Manifest:
    """Every expression is about a label that all nodes have, each with a value of its own."""
    terms = {"nodeSelectorTerms": [{"matchExpressions": [_named("In", number)]} for number in range(count)]}
    return pod(name, affinity={"nodeAffinity": {REQUIRED: terms}})


def _node_names_and_zones(name: str, count: int) -> Manifest:
    """The same, two in each term; and with each term nodes have other weights."""
    zone = {"key": ZONE, "operator": "Exists"}
    terms = [
        {"weight": 1 + number % 100, "preference": {"matchExpressions": [_named("NotIn", number), zone]}}
        for number in range(count)
    ]
    return pod(name, affinity={"nodeAffinity": {PREFERRED: terms}})


def _named(operator: str, number: int) -> dict[str, Any]:
    return {"key": HOSTNAME, "operator": operator, "values": [node_name(number % _NAMES)]}


def _node_values(name: str, count: int) -> Manifest:
    expression = {"key": HOSTNAME, "operator": "NotIn", "values": [f"value-{i}" for i in range(count)]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return pod(name, affinity={"nodeAffinity": {REQUIRED: terms}})


def _node_expressions(name: str, count: int) -> Manifest:
    expressions = [{"key": f"worst-{i}", "operator": "DoesNotExist"} for i in range(count)]
    return pod(
        name,
        affinity={"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": expressions}]}}},
    )


def _node_bounds(name: str, count: int) -> Manifest:
    """Every expression compares the labels of all nodes as numbers."""
    expressions = [{"key": "worst", "operator": "Gt", "values": [str(i)]} for i in range(count)]
    terms = [{"matchExpressions": [each]} for each in expressions]
    return pod(name, affinity={"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}})


def _anti_values(name: str, count: int) -> Manifest:
    selector = {
        "matchExpressions": [{"key": "worst", "operator": "In", "values": [f"v-{i}" for i in range(count)]}]
    }
    return _anti(name, [{"topologyKey": HOSTNAME, "labelSelector": selector}])


def _anti_expressions(name: str, count: int) -> Manifest:
    expressions = [{"key": f"worst-{i}", "operator": "DoesNotExist"} for i in range(count)]
    return _anti(name, [{"topologyKey": HOSTNAME, "labelSelector": {"matchExpressions": expressions}}])


def _anti_namespaces(name: str, count: int) -> Manifest:
    return _anti(name, [{**_term(0), "namespaces": [f"namespace-{i}" for i in range(count)]}])


def _anti_keys(name: str, count: int) -> Manifest:
    return _anti(name, [{**_term(0), "topologyKey": f"worst-{i}"} for i in range(count)])


def _anti(name: str, terms: list[dict[str, Any]]) -> Manifest:
    return pod(name, labels={"worst": "value-0"}, affinity=_pod_affinity("podAntiAffinity", terms, REQUIRED))


def _containers(field: str, **more: Any) -> Callable[[str, int], Manifest]:
    def make(name: str, count: int) -> Manifest:
        container = {"image": IMAGE, "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}}, **more}
        made = pod(name)
        made["spec"].setdefault(field, []).extend({"name": f"c{i}", **container} for i in range(count))
        return made

    return make


def _images(name: str, count: int) -> Manifest:
    made = pod(name)
    made["spec"]["containers"] = [
        {"name": f"c{i}", "image": f"registry.example.com/image-{i}"} for i in range(count)
    ]
    return made


def _ports(name: str, count: int) -> Manifest:
    made = pod(name)
    made["spec"]["containers"][0]["ports"] = [
        {"containerPort": 1 + i % 65535, "hostPort": 1 + i % 65535, "hostIP": f"10.0.{i // 65535}.1"}
        for i in range(count)
    ]
    return made


def _tolerations(name: str, count: int) -> Manifest:
    tolerations = [{"key": f"worst-{i}", "operator": "Exists", "effect": "NoSchedule"} for i in range(count)]
    return pod(name, tolerations=tolerations)


def _soft_tolerations(name: str, count: int) -> Manifest:
    return pod(name, tolerations=[{"key": f"worst-{i}", "operator": "Exists"} for i in range(count)])


def _spread(action: str) -> Callable[[str, int], Manifest]:
    def make(name: str, count: int) -> Manifest:
        constraints = [
            {
                "maxSkew": 1,
                "topologyKey": HOSTNAME if i == 0 else f"worst-{i}",
                "whenUnsatisfiable": action,
                "labelSelector": {"matchLabels": {"worst": f"value-{i}"}},
            }
            for i in range(count)
        ]
        return pod(name, labels={"worst": "value-0"}, topologySpreadConstraints=constraints)

    return make


def _labels(name: str, count: int) -> Manifest:
    return pod(name, labels={f"worst-{i}": f"{name}-{i}" for i in range(count)})


def _annotations(name: str, count: int) -> Manifest:
    made = pod(name)
    made["metadata"]["annotations"] = {f"worst-{i}": "x" * 20 for i in range(count)}
    return made


def _node_selector(name: str, count: int) -> Manifest:
    return pod(name, nodeSelector={f"worst-{i}": "value" for i in range(count)})


def _gates(name: str, count: int) -> Manifest:
    return pod(name, schedulingGates=[{"name": f"worst.example.com/{i}"} for i in range(count)])


def _claims(name: str, count: int) -> Manifest:
    volumes = [{"name": f"v{i}", "persistentVolumeClaim": {"claimName": f"claim-{i}"}} for i in range(count)]
    return pod(name, volumes=volumes)


def _disks(name: str, count: int) -> Manifest:
    volumes = [{"name": f"v{i}", "awsElasticBlockStore": {"volumeID": f"vol-{i}"}} for i in range(count)]
    return pod(name, volumes=volumes)


def _monitors(name: str, count: int) -> Manifest:
    rbd = {"monitors": [f"10.0.0.1:{i}" for i in range(count)], "pool": "p", "image": "i"}
    return pod(name, volumes=[{"name": "v", "rbd": rbd}])


LONG: Final[Mapping[str, Callable[[str, int], Manifest]]] = MappingProxyType(
    {
        "resources": invented_resources,
        "affinity, required": _affinity("podAffinity", REQUIRED),
        "affinity, preferred": _affinity("podAffinity", PREFERRED),
        "anti-affinity, required": _affinity("podAntiAffinity", REQUIRED),
        "anti-affinity, preferred": _affinity("podAntiAffinity", PREFERRED),
        "anti-affinity, values": _anti_values,
        "anti-affinity, expressions": _anti_expressions,
        "anti-affinity, namespaces": _anti_namespaces,
        "anti-affinity, topology keys": _anti_keys,
        "node affinity, required": _node_affinity,
        "node affinity, preferred": _node_wishes,
        "node affinity, names of nodes": _node_names,
        "node affinity, preferred names and zones": _node_names_and_zones,
        "node affinity, values": _node_values,
        "node affinity, expressions": _node_expressions,
        "node affinity, Gt": _node_bounds,
        "node selector": _node_selector,
        "containers": _containers("containers"),
        "init containers": _containers("initContainers"),
        "sidecars": _containers("initContainers", restartPolicy="Always"),
        "images": _images,
        "host ports": _ports,
        "tolerations": _tolerations,
        "tolerations of every effect": _soft_tolerations,
        "spread, hard": _spread("DoNotSchedule"),
        "spread, soft": _spread("ScheduleAnyway"),
        "labels": _labels,
        "annotations": _annotations,
        "gates": _gates,
        "claims": _claims,
        "disks": _disks,
        "monitors": _monitors,
    }
)


def sidecars_with_resources(name: str, count: int, **spec: Any) -> Manifest:
    """A pod with so many sidecars, each of which asks for something else."""
    made = pod(name, **spec)
    made["spec"]["initContainers"] = [
        {
            "name": f"c{number}",
            "image": IMAGE,
            "restartPolicy": "Always",
            "resources": {"requests": {"cpu": "1m", "memory": f"{number + 1}"}},
        }
        for number in range(count)
    ]
    return made


def huge_numbers(name: str, **spec: Any) -> Manifest:
    """A pod whose containers ask for nearly as much as a number can say, each."""
    made = pod(name, **spec)
    requests = {"cpu": "9223372036854775", "memory": "9223372036854775807"}
    made["spec"]["containers"] = [
        {"name": f"c{number}", "image": IMAGE, "resources": {"requests": requests}} for number in range(2)
    ]
    return made


def greedy_set(pod_set: str, nodes: Sequence[str]) -> tuple[list[Manifest], Manifest]:
    """Gated pods that ask for far more than a node has, and a plan for them, written by hand."""
    pods = [
        pod(
            f"{pod_set}-{number}",
            requests={"cpu": "10000"},
            labels={POD_SET_LABEL: pod_set},
            schedulingGates=[{"name": "example.com/never"}],
        )
        for number in range(len(nodes))
    ]
    places = [{"pod": f"{pod_set}-{number}", "node": node} for number, node in enumerate(nodes)]
    plan = {
        "apiVersion": "planner.ciena.io/v1alpha1",
        "kind": "SchedulePlan",
        "metadata": {"name": plan_name(NAMESPACE, pod_set), "labels": {POD_SET_LABEL: pod_set}},
        "spec": {"plan": places},
    }
    return pods, plan
