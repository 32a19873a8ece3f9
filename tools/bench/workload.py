"""The pods that are scheduled, how they come and go, and what must be true when they are bound."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tools.bench.observer import Observation
from tools.controlplane import ApiError, ControlPlane

SCHEDULER_NAME = "default-scheduler"
REQUESTS = {"cpu": "100m", "memory": "500Mi"}
PODS_PER_NODE = 32
"""How many such pods a node of 8 CPUs and 16 GiB takes."""

GONE_SECONDS = 120.0


def plain_pod(
    name: str, scheduler_name: str = SCHEDULER_NAME, labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A pod that asks for CPU and memory and nothing else."""
    container = {"name": "main", "image": "registry.k8s.io/pause:3.10", "resources": {"requests": REQUESTS}}
    return {
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {
            "schedulerName": scheduler_name,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
        },
    }


def create_pods(control_plane: ControlPlane, namespace: str, pods: Iterable[Mapping[str, Any]]) -> None:
    """Create pods, several at a time."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    control_plane.client.request_all("POST", ((path, pod) for pod in pods))


def nodes_of(control_plane: ControlPlane, namespace: str) -> dict[str, str]:
    """The node of each pod, as the API server says; empty where it has none."""
    pods = control_plane.client.request("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
    return {pod["metadata"]["name"]: pod["spec"].get("nodeName", "") for pod in pods}


def clear(control_plane: ControlPlane, namespace: str) -> None:
    """Delete a namespace and all that is in it, and wait until it is gone, so that the next starts clean.

    Pods go without grace: there are no kubelets to confirm their end. Raises TimeoutError.
    """
    path = f"/api/v1/namespaces/{namespace}"
    control_plane.client.request("DELETE", f"{path}/pods", {"gracePeriodSeconds": 0})
    control_plane.client.request("DELETE", f"{path}/events")
    control_plane.client.request("DELETE", path)
    deadline = time.monotonic() + GONE_SECONDS
    while _exists(control_plane, path):
        if time.monotonic() > deadline:
            raise TimeoutError(f"namespace {namespace} is still there after {GONE_SECONDS:.0f} s")
        time.sleep(0.2)


def faults(created: int, nodes: Mapping[str, str], observation: Observation, pods_per_node: int) -> list[str]:
    """What is wrong with a result, each in words; nothing for a right one.

    `nodes` is each pod's node at the end, `observation` how it came to that.
    """
    found = []
    bound = sum(bool(node) for node in nodes.values())
    if bound < created:
        found.append(f"{created - bound} of {created} pods were not bound")
    if moved := sum(count > 1 for count in Counter(each.pod for each in observation.bindings).values()):
        found.append(f"{moved} pods were seen on more than one node")
    loads = Counter(node for node in nodes.values() if node)
    if overcommitted := sum(count > pods_per_node for count in loads.values()):
        found.append(f"{overcommitted} nodes have more pods than fit")
    return found


def _exists(control_plane: ControlPlane, path: str) -> bool:
    try:
        control_plane.client.request("GET", path)
    except ApiError as error:
        if error.code == 404:
            return False
        raise
    return True
