"""The steps of examples/workshop, wherever they are taken."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.e2e.workload import Workload, eventually
from tests.running import Pallet, running
from tools.controlplane import Cluster, Taint

EXAMPLE = Path("examples/workshop")
TAINT = Taint("node-role.kubernetes.io/control-plane", "NoSchedule")
"""What keeps pods off a master, unless they are daemons."""


@contextmanager
def on_a_laptop(cluster: Cluster) -> Iterator[Pallet]:
    """The process with the example's file and an admin's kubeconfig."""
    config = yaml.safe_load((EXAMPLE / "config.yaml").read_text())
    with running(cluster, config, kubeconfig=cluster.kubeconfig) as process:
        yield process


def apply(workload: Workload, file: str) -> None:
    """Apply a file of the example."""
    workload.control_plane.kubectl("apply", "-n", workload.namespace, "-f", str(EXAMPLE / file))


def scale(workload: Workload, replicas: int) -> None:
    """Scale the StatefulSet."""
    path = f"/apis/apps/v1/namespaces/{workload.namespace}/statefulsets/webgordon/scale"
    workload.request("PATCH", path, {"spec": {"replicas": replicas}})


def await_pods(workload: Workload, prefix: str, count: int) -> dict[str, str]:
    """Wait until there are so many pods with names like this, all bound; returns their nodes."""

    def look() -> dict[str, str] | None:
        there = {name for name in workload.pods() if name.startswith(prefix)}
        nodes = {name: node for name, node in workload.bindings().items() if name in there}
        return nodes if len(nodes) == len(there) == count else None

    return eventually(f"{count} pods {prefix}", look)
