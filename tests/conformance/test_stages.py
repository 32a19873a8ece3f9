"""What kwok does in place of a kubelet in the conformance tests."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.workload import eventually
from tools.conformance.run import STAGES
from tools.controlplane import ControlPlane

pytestmark = pytest.mark.e2e

PODS = "/api/v1/namespaces/default/pods"
NODE = "/api/v1/nodes/node"


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    with ControlPlane(kwok_args=[f"--config={STAGES}"]) as control_plane:
        control_plane.add_nodes(["node"])
        yield control_plane


def run(cluster: ControlPlane, name: str, **container: Any) -> None:
    """A pod on the node, as soon as it is Ready."""
    image = {"name": "pause", "image": "pause", **container}
    pod = {
        "metadata": {"name": name, "finalizers": ["example.com/kept"]},
        "spec": {"nodeName": "node", "containers": [image], "terminationGracePeriodSeconds": 3600},
    }
    cluster.client.request("POST", PODS, pod)
    eventually(f"{name} to be Ready", lambda: "Ready" in conditions(cluster, name))


def conditions(cluster: ControlPlane, name: str) -> set[str]:
    """Which of a pod's conditions hold."""
    status = cluster.client.request("GET", f"{PODS}/{name}")["status"]
    return {each["type"] for each in status.get("conditions", ()) if each["status"] == "True"}


def there(cluster: ControlPlane) -> set[str]:
    """The names of all pods."""
    return {pod["metadata"]["name"] for pod in cluster.client.request("GET", PODS)["items"]}


def test_a_deleted_pod_stays_for_its_finalizer_and_for_its_pre_stop_hook(cluster: ControlPlane) -> None:
    run(cluster, "ends-at-once")
    run(cluster, "keeps-its-finalizer")
    run(cluster, "sleeps", lifecycle={"preStop": {"sleep": {"seconds": 3599}}})
    for name in ("keeps-its-finalizer", "sleeps", "ends-at-once"):
        cluster.client.request("DELETE", f"{PODS}/{name}")
    for name in ("sleeps", "ends-at-once"):
        cluster.client.request("PATCH", f"{PODS}/{name}", {"metadata": {"finalizers": None}})
    eventually("the first to go", lambda: "ends-at-once" not in there(cluster))
    assert there(cluster) == {"keeps-its-finalizer", "sleeps"}

    cluster.client.request("PATCH", f"{PODS}/keeps-its-finalizer", {"metadata": {"finalizers": None}})
    eventually("the second to go", lambda: there(cluster) == {"sleeps"})


def test_what_a_node_s_capacity_gets_it_gives_out(cluster: ControlPlane) -> None:
    added = {"example.com/thing": "5"}
    cluster.client.request("PATCH", f"{NODE}/status", {"status": {"capacity": added}})
    status = eventually(
        "the node to offer it",
        lambda: (
            found
            if "example.com/thing" in (found := cluster.client.request("GET", NODE)["status"])["allocatable"]
            else None
        ),
    )
    assert status["allocatable"] == status["capacity"]
