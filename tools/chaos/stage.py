"""The control plane of a run, with everything that the replicas and the load need."""

import ssl
from pathlib import Path
from typing import Any

import yaml

from tools.chaos import audit
from tools.chaos.load import NAMESPACES, SCHEDULER, STORAGE_CLASS, node, node_names
from tools.chaos.observer import STORAGE
from tools.controlplane import ControlPlane
from tools.installation import ROOT, install

ACCOUNT = ("planner-system", SCHEDULER)
USER = f"system:serviceaccount:{ACCOUNT[0]}:{ACCOUNT[1]}"
BINDS_LATE = {"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}
METRICS_READER = "/api/v1/namespaces/default/serviceaccounts/default"
"""The ServiceAccount that may read the metrics."""


def control_plane(directory: Path) -> ControlPlane:
    """A control plane that stores JSON and logs the replicas' writes into a folder."""
    return ControlPlane(apiserver_args=[STORAGE, *audit.arguments(directory, USER)])


def furnish(cluster: ControlPlane, nodes: int) -> None:
    """Install what is shipped, without its Deployment's pods, and add namespaces and nodes."""
    install(cluster, patience=60)
    storage_class = {"metadata": {"name": STORAGE_CLASS}, **BINDS_LATE}
    cluster.client.request("POST", "/apis/storage.k8s.io/v1/storageclasses", storage_class)
    role = "--clusterrole=podset-planner-metrics-reader"
    cluster.kubectl("create", "clusterrolebinding", "chaos", role, "--serviceaccount=default:default")
    for namespace in NAMESPACES:
        cluster.create_namespace(namespace)
    wide, tight = node_names(nodes)
    cluster.client.request_all("POST", (("/api/v1/nodes", node(name)) for name in wide + tight))


def configuration(directory: Path) -> Path:
    """The shipped configuration, but with no port for the planner: there are two replicas on one machine."""
    document: dict[str, Any] = yaml.safe_load(
        (ROOT / "config" / "scheduler" / "scheduler-config.yaml").read_text()
    )
    for profile in document["profiles"]:
        profile["pluginConfig"] = [{"name": "PodSetPlanner", "args": {"planner": {"address": ""}}}]
    file = directory / "scheduler-config.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def certificate(cluster: ControlPlane) -> ssl.SSLContext:
    """The API server's own certificate, for whoever stands in front of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cluster.directory / "apiserver.crt", cluster.directory / "apiserver.key")
    return context
