"""The objects that operations create, from upstream's templates."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import yaml

from tools.bench.manifests import Manifest
from tools.bench.upstream.operations import CreateNodes
from tools.bench.upstream.templating import render

RESOURCES: Final = {"cpu": "100m", "memory": "500Mi"}
PAUSE: Final = "registry.k8s.io/pause:3.10.2"
CAPACITY: Final = {"pods": "110", "cpu": "4", "memory": "32Gi"}
READY: Final = {"type": "Ready", "status": "True"}
CLUSTER_SCOPED: Final = frozenset(("Namespace", "Node", "PersistentVolume", "StorageClass", "CSINode"))
CSI_NODES: Final = "/apis/storage.k8s.io/v1/csinodes"


@dataclass(frozen=True, slots=True)
class Template:
    """A file of upstream's, or a default object; most files are the same for each index and parsed once."""

    text: str
    parsed: Manifest | None

    @classmethod
    def of(cls, path: Path) -> "Template":
        """Read a file."""
        text = path.read_text()
        return cls(text, None if "{{" in text else yaml.safe_load(text))

    def object(self, index: int, count: int, params: Mapping[str, Any]) -> Manifest:
        """The object with an index, a copy of its own."""
        if self.parsed is not None:
            return deepcopy(self.parsed)
        found: Manifest = yaml.load(render(self.text, {**params, "Index": index, "Count": count}), LOADER)  # noqa: S506
        return found


LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def plain_pod() -> Manifest:
    """The pod of a createPods without a template."""
    container = {
        "name": "pause",
        "image": PAUSE,
        "ports": [{"containerPort": 80}],
        "resources": {"limits": RESOURCES, "requests": RESOURCES},
    }
    return {"metadata": {"generateName": "pod-"}, "spec": {"containers": [container]}}


def plain_node() -> Manifest:
    """The node of a createNodes without a template."""
    status = {"capacity": CAPACITY, "conditions": [READY]}
    return {"metadata": {"generateName": "node-"}, "status": status}


def named_node(node: Manifest, number: int, index: int, step: CreateNodes) -> Manifest:
    """A node with its name, its label hostname, and what the operation's strategy says.

    `number` counts the nodes of the workload, `index` those of the operation.
    """
    metadata, status = node["metadata"], node["status"]
    name = metadata.setdefault("name", f"{metadata.pop('generateName', 'node-')}{number:05d}")
    labels = metadata["labels"] = {**metadata.get("labels", {}), "kubernetes.io/hostname": name}
    if step.node_allocatable_strategy:
        offered = status.get("allocatable", status["capacity"])
        status["allocatable"] = {**offered, **step.node_allocatable_strategy.node_allocatable}
    elif label := step.label_node_prepare_strategy:
        labels[label.label_key] = label.label_values[index % len(label.label_values)]
    elif label := step.unique_node_label_strategy:
        labels[label.label_key] = str(uuid4())
    return node


def csi_node(name: str, step: CreateNodes) -> Manifest | None:
    """The CSINode of a node, where the operation's strategy makes one."""
    strategy = step.node_allocatable_strategy
    if not strategy:
        return None
    migrated = {"storage.alpha.kubernetes.io/migrated-plugins": ",".join(strategy.migrated_plugins)}
    drivers = [
        {"name": driver, "nodeID": name, "allocatable": allocatable}
        for driver, allocatable in strategy.csi_node_allocatable.items()
    ]
    return {"metadata": {"name": name, "annotations": migrated}, "spec": {"drivers": drivers}}


def bound_volume(volume: Manifest, claim: Manifest, namespace: str, index: int) -> tuple[Manifest, Manifest]:
    """A volume and a claim that are bound to each other."""
    volume_name, claim_name = f"{namespace}-vol-{index}", f"pvc-{index}"
    spec = volume["spec"]
    volume.setdefault("metadata", {})["name"] = volume_name
    if "csi" in spec:
        spec["csi"]["volumeHandle"] = volume_name
    elif "awsElasticBlockStore" in spec:
        spec["awsElasticBlockStore"]["volumeID"] = f"vol-{index}"
    reference = {"kind": "PersistentVolumeClaim", "namespace": namespace, "name": claim_name}
    spec["claimRef"] = {**reference, "apiVersion": "v1"}
    volume["status"] = {"phase": "Bound"}
    claim.setdefault("metadata", {})["name"] = claim_name
    claim["spec"]["volumeName"] = volume_name
    claim["status"] = {"phase": "Bound"}
    return volume, claim


def with_claim(pod: Manifest, index: int) -> Manifest:
    """A pod whose only volume is the claim of its index."""
    pod["spec"]["volumes"] = [{"name": "vol", "persistentVolumeClaim": {"claimName": f"pvc-{index}"}}]
    return pod


def collection(obj: Manifest, namespace: str) -> str:
    """The path of the collection that an object belongs to."""
    version, kind = obj["apiVersion"], obj["kind"]
    prefix = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    plural = f"{kind.lower()}{'es' if kind.endswith('Class') else 's'}"
    return f"{prefix}/{plural}" if kind in CLUSTER_SCOPED else f"{prefix}/namespaces/{namespace}/{plural}"
