"""Documents of the right shape, to begin with: objects by resource, configurations, YAML."""

from random import Random
from typing import Any, Final

from tools.fuzz.drawing import text

_META: Final = {
    "name": "a",
    "namespace": "default",
    "uid": "5f0c",
    "resourceVersion": "12",
    "generation": 3,
    "creationTimestamp": "2026-01-31T10:00:00Z",
    "deletionTimestamp": "2026-01-31T10:00:30.5+01:00",
    "labels": {"planner.ciena.io/pod-set": "set", "app": "web"},
    "annotations": {
        "k8s.io/initial-events-end": "true",
        "planner.ciena.io/last-joined": "9999-12-31T23:59:59Z",
    },
    "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "7", "controller": True}
    ],
    "managedFields": [{"manager": "kubectl", "time": "2026-01-31T10:00:00Z", "fieldsV1": {"f:spec": {}}}],
}
_SELECTOR: Final = {
    "matchLabels": {"app": "web"},
    "matchExpressions": [{"key": "a", "operator": "In", "values": ["x", ""]}],
}
_TERM: Final = {
    "labelSelector": _SELECTOR,
    "namespaces": ["default"],
    "namespaceSelector": {},
    "topologyKey": "kubernetes.io/hostname",
    "matchLabelKeys": ["pod-template-hash"],
}
_PREFERRED: Final = {"weight": 100, "podAffinityTerm": _TERM}
_NODE_SELECTOR: Final = {
    "nodeSelectorTerms": [
        {
            "matchExpressions": [{"key": "zone", "operator": "Gt", "values": ["5"]}],
            "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}],
        }
    ]
}
_CONTAINER: Final = {
    "name": "c",
    "image": "registry.example.com/image:1",
    "resources": {
        "requests": {"cpu": "100m", "memory": "1.5Gi", "example.com/gpu": 1},
        "limits": {"cpu": "1e3"},
    },
    "ports": [{"hostPort": 80, "protocol": "UDP", "hostIP": "127.0.0.1"}],
    "restartPolicy": "Always",
}
_POD: Final = {
    "metadata": _META,
    "spec": {
        "schedulerName": "podset-planner-scheduler",
        "nodeName": "n",
        "priority": 2147483647,
        "preemptionPolicy": "Never",
        "containers": [_CONTAINER],
        "initContainers": [_CONTAINER],
        "overhead": {"cpu": "10m"},
        "nodeSelector": {"zone": "z"},
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": _NODE_SELECTOR,
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "preference": _NODE_SELECTOR["nodeSelectorTerms"][0]}
                ],
            },
            "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_TERM]},
            "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [_PREFERRED]},
        },
        "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 3}],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": _SELECTOR,
                "minDomains": 3,
            }
        ],
        "schedulingGates": [{"name": "g"}],
        "volumes": [
            {"name": "v", "persistentVolumeClaim": {"claimName": "p"}},
            {"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "s"}}}},
            {"name": "d", "gcePersistentDisk": {"pdName": "disk", "readOnly": True}},
        ],
    },
    "status": {
        "phase": "Pending",
        "nominatedNodeName": "n",
        "startTime": "2026-01-31T10:00:00Z",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}],
        "containerStatuses": [
            {"name": "c", "allocatedResources": {"cpu": "1"}, "resources": {"requests": {"cpu": "2"}}}
        ],
    },
}

OBJECTS: Final[dict[str, list[Any]]] = {
    "pods": [_POD, {"metadata": _META, "spec": {"containers": [_CONTAINER]}}],
    "nodes": [
        {
            "metadata": _META,
            "spec": {"unschedulable": True, "taints": [{"key": "k", "effect": "NoExecute", "value": "v"}]},
            "status": {
                "allocatable": {"cpu": "8", "memory": "16Gi", "pods": "110"},
                "images": [{"names": ["registry.example.com/image:1"], "sizeBytes": 12345}],
            },
        }
    ],
    "namespaces": [{"metadata": _META}],
    "services": [{"metadata": _META, "spec": {"selector": {"app": "web"}, "clusterIP": "None"}}],
    "scheduletriggers": [
        {
            "metadata": _META,
            "spec": {"state": "Planning"},
            "status": {"total": 3, "quietUntil": "2026-01-31T10:00:00Z", "conditions": []},
        }
    ],
    "scheduleplans": [
        {"metadata": _META, "spec": {"plan": [{"pod": "a", "node": "n"}, {"pod": "b", "node": "n"}]}}
    ],
    "persistentvolumes": [
        {
            "metadata": _META,
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "claimRef": {"namespace": "default", "name": "p", "uid": "1"},
                "nodeAffinity": {"required": _NODE_SELECTOR},
                "csi": {"driver": "d", "volumeHandle": "h"},
            },
            "status": {"phase": "Available"},
        }
    ],
    "persistentvolumeclaims": [
        {
            "metadata": _META,
            "spec": {"resources": {"requests": {"storage": "1Gi"}}, "selector": _SELECTOR, "volumeName": "v"},
            "status": {"phase": "Bound"},
        }
    ],
    "csinodes": [
        {"metadata": _META, "spec": {"drivers": [{"name": "d", "nodeID": "n", "allocatable": {"count": 3}}]}}
    ],
    "replicasets": [{"metadata": _META, "spec": {"selector": _SELECTOR}}],
    "poddisruptionbudgets": [
        {
            "metadata": _META,
            "spec": {"selector": _SELECTOR},
            "status": {"disruptionsAllowed": 1, "disruptedPods": {"a": "2026-01-31T10:00:00Z"}},
        }
    ],
}
ALL: Final = [example for examples in OBJECTS.values() for example in examples]

_CONFIGURATION: Final = """\
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
parallelism: 16
leaderElection: {leaderElect: true, leaseDuration: 15s, resourceName: "a"}
clientConnection: &c
  qps: 50
  burst: 100
percentageOfNodesToScore: 0
profiles:
  - schedulerName: one
    plugins:
      multiPoint:
        enabled: [{name: PodSetPlanner}, {name: NodeResourcesFit, weight: 3}]
        disabled:
          - name: '*'
    pluginConfig:
      - name: PodSetPlanner
        args: {callTimeout: 15s, planner: {namespaces: [a, b], embedded: yes}}
      - name: NodeResourcesFit
        args:
          scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}
extenders:
  - urlPrefix: https://localhost/x
    filterVerb: filter
    httpTimeout: 1m0.5s
    tlsConfig: {caData: aGk=}
"""
_LINES: Final = _CONFIGURATION.splitlines(keepends=True)


def configuration(rng: Random) -> bytes:
    """A configuration with some lines left out, given twice, or moved further in or out."""
    lines = []
    for line in _LINES:
        match rng.randrange(40):
            case 0:
                continue
            case 1:
                lines += [line, line]
            case 2:
                lines.append("  " + line)
            case 3:
                lines.append(line.removeprefix("  "))
            case _:
                lines.append(line)
    return "".join(lines).encode()


_SCALARS: Final = (
    *("a", "b c", "'x y'", '"\\u00e9\\n"', "1", "-7", "+3", "1.5", "1e3", "true", "false", "null", "~", "''"),
    *(
        "0x1f",
        "1_000",
        "2026-01-31",
        "12:30:45",
        "yes",
        "no",
        "on",
        "off",
        ".5",
        "5.",
        ".inf",
        "010",
        "0o7",
        "=",
        "é",
    ),
)


def yaml(rng: Random) -> bytes:
    """A small YAML document, in block or flow style."""
    return ("---\n" if rng.random() < 0.1 else "").encode() + _block(rng, 0).encode()


def _block(rng: Random, depth: int) -> str:
    indent = "  " * depth
    choice = rng.random()
    if depth > 3 or choice < 0.3:
        return f"{indent}{_flow(rng, 0)}\n"
    keys = [
        rng.choice(("a", "b", "c", "'d'", "1", "e f")) if rng.random() < 0.2 else f"k{n}"
        for n in range(rng.randint(1, 4))
    ]
    if choice < 0.7:
        return "".join(f"{indent}{key}:{_value(rng, depth)}" for key in keys)
    return "".join(f"{indent}-{_value(rng, depth)}" for _ in keys)


def _value(rng: Random, depth: int) -> str:
    if rng.random() < 0.5:
        return f" {_flow(rng, 0)}\n"
    return "\n" + _block(rng, depth + 1)


def _flow(rng: Random, depth: int) -> str:
    choice = rng.random()
    if depth > 2 or choice < 0.7:
        return rng.choice(_SCALARS) if rng.random() < 0.5 else _number(rng)
    parts = [_flow(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    if choice < 0.85:
        return f"[{', '.join(parts)}]"
    return "{" + ", ".join(f"k{number}: {part}" for number, part in enumerate(parts)) + "}"


def _number(rng: Random) -> str:
    """Something like a number, or nearly so."""
    drawn = rng.choice(("", "+", "-")) + rng.choice(
        ("", "0x", "0o", "0b", "0", "1", "1_", "9223372036854775807", "18446744073709551615")
    )
    drawn += text(rng, "0123456789_", 20) + rng.choice(("", ".", ".5", "e3", "E-2", "e400", "f", ":30"))
    return drawn if drawn not in ("", "-", "+") else "0"
