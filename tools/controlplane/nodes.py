"""Node objects as kind and kubelets make them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

KWOK_ANNOTATION = "kwok.x-k8s.io/node"
CAPACITY = {"cpu": "8", "memory": "16Gi", "ephemeral-storage": "100Gi", "pods": "110"}
READY = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
NOT_READY = "node.kubernetes.io/not-ready"


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node."""

    key: str
    effect: str
    value: str = ""

    def to_dict(self) -> dict[str, str]:
        """As the API spells it."""
        return {"key": self.key, "value": self.value, "effect": self.effect}


def kind_names(workers: int) -> list[str]:
    """The names kind gives its workers: kind-worker, kind-worker2, kind-worker3..."""
    return ["kind-worker", *(f"kind-worker{number}" for number in range(2, workers + 1))][:workers]


def numbered(prefix: str, count: int) -> list[str]:
    """`count` names: prefix-0, prefix-1..."""
    return [f"{prefix}-{number}" for number in range(count)]


def manifest(
    name: str,
    *,
    labels: Mapping[str, str],
    taints: Iterable[Taint],
    capacity: Mapping[str, str],
    ready: bool,
) -> dict[str, Any]:
    """A Node that kwok takes for its own; `capacity` overrides and extends `CAPACITY`.

    `ready` says what a kubelet would say later: that the node is Ready.
    """
    resources = {**CAPACITY, **capacity}
    own_labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {**own_labels, **labels},
            "annotations": {KWOK_ANNOTATION: "fake"},
        },
        "spec": {"taints": [taint.to_dict() for taint in taints]},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [READY] if ready else [],
        },
    }


def takes_pods(node: Mapping[str, Any]) -> bool:
    """Whether a Node is Ready and no longer carries the taint that new nodes get."""
    conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", ())}
    taints = {taint["key"] for taint in node["spec"].get("taints", ())}
    return conditions.get("Ready") == "True" and NOT_READY not in taints
