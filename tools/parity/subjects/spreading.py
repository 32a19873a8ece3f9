"""Topology spread constraints, and the Services and sets whose pods are spread by default."""

from tools.parity.draft import APPS, HOSTNAME, VERSIONS, ZONE, Draft, Subject
from tools.parity.scenario import Manifest
from tools.parity.subjects.affinity import selector

KEYS = (ZONE, ZONE, HOSTNAME, "disk")
POLICIES = ("Honor", "Ignore")
OWNERS = {"ReplicaSet": "apps/v1", "StatefulSet": "apps/v1", "ReplicationController": "v1"}


def _prepare(draft: Draft) -> None:
    for namespace in draft.namespaces:
        name = namespace["metadata"]["name"]
        for app in APPS:
            if draft.chance(0.25):
                draft.objects.append(_service(name, app))
            for kind, version in OWNERS.items():
                if draft.chance(0.4):
                    draft.objects.append(_owner(kind, version, name, app))


def _dress(draft: Draft, pod: Manifest) -> None:
    if draft.chance(0.4):
        _own(draft, pod)
    if draft.chance(0.75):
        _constrain(draft, pod)


def _own(draft: Draft, pod: Manifest) -> None:
    """Give a pod an owner, which may not exist, and may not select it."""
    kind, version = draft.pick(list(OWNERS.items()))
    name = draft.pick((pod["metadata"]["labels"]["app"], draft.pick(APPS)))
    owner = {"apiVersion": version, "kind": kind, "name": name, "uid": "unknown", "controller": True}
    pod["metadata"]["ownerReferences"] = [owner]


def _constrain(draft: Draft, pod: Manifest) -> None:
    constraints = {}
    for _ in range(draft.pick((1, 1, 2, 3))):
        drawn = _constraint(draft)
        constraints[drawn["topologyKey"], drawn["whenUnsatisfiable"]] = drawn
    pod["spec"]["topologySpreadConstraints"] = list(constraints.values())


def _constraint(draft: Draft) -> Manifest:
    constraint: Manifest = {
        "maxSkew": draft.pick((1, 1, 2, 3)),
        "topologyKey": draft.pick(KEYS),
        "whenUnsatisfiable": draft.pick(("DoNotSchedule", "ScheduleAnyway")),
    }
    if draft.chance(0.95):
        constraint["labelSelector"] = selector(draft)
        if draft.chance(0.2) and "version" not in str(constraint["labelSelector"]):
            constraint["matchLabelKeys"] = ["version"]
    if constraint["whenUnsatisfiable"] == "DoNotSchedule" and draft.chance(0.25):
        constraint["minDomains"] = draft.rng.randint(1, 5)
    if draft.chance(0.3):
        constraint["nodeAffinityPolicy"] = draft.pick(POLICIES)
    if draft.chance(0.3):
        constraint["nodeTaintsPolicy"] = draft.pick(POLICIES)
    return constraint


def _metadata(namespace: str, app: str) -> Manifest:
    return {"name": app, "namespace": namespace}


def _service(namespace: str, app: str) -> Manifest:
    spec = {"selector": {"app": app}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(namespace, app), "spec": spec}


def _owner(kind: str, version: str, namespace: str, app: str) -> Manifest:
    labels = {"app": app, **({"version": VERSIONS[0]} if kind == "ReplicaSet" else {})}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "pause"}]},
    }
    spec: Manifest = {
        "selector": labels if kind == "ReplicationController" else {"matchLabels": labels},
        "template": template,
    }
    if kind == "StatefulSet":
        spec["serviceName"] = app
    return {"apiVersion": version, "kind": kind, "metadata": _metadata(namespace, app), "spec": spec}


SUBJECT = Subject("spreading", _prepare, _dress)
