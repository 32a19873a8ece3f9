"""What the tests of examples/load-experiment do with it, whatever the cluster."""

import os
import subprocess
import sys
from collections.abc import Sequence

from tests.e2e.workload import Document
from tests.examples.load_experiment.serving import EXPERIMENT
from tools.controlplane import Cluster, binaries

OF_PALLET = str(EXPERIMENT / "manifests" / "pallet")
PODS = "/api/v1/namespaces/{}/pods?labelSelector=app.kubernetes.io%2Fname%3Dwl-deployment"


def compare(cluster: Cluster, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `compare.py` on a cluster."""
    environment = {
        **os.environ,
        "PATH": f"{binaries.find('kubectl').parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(cluster.kubeconfig),
        "KUBECACHEDIR": str(cluster.directory / "kubectl-cache"),
        "KUBERC": "off",
    }
    command = [sys.executable, str(EXPERIMENT / "compare.py"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def rows(output: str) -> dict[str, list[str]]:
    """The columns of the table that it prints, by the title of their row."""
    lines = [line for line in output.splitlines() if "   " in line]
    return {line[:17].strip(): [cell.strip() for cell in line[17:].split("   ") if cell] for line in lines}


def pods(cluster: Cluster, namespace: str) -> Sequence[Document]:
    """The pods of wl-deployment."""
    items: Sequence[Document] = cluster.client.request("GET", PODS.format(namespace))["items"]
    return items


def placed_by(cluster: Cluster, namespace: str) -> dict[str, str]:
    """Which scheduler said that it has placed a pod, by pod."""
    events = cluster.client.request("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
    return {
        event["regarding"]["name"]: event["reportingController"]
        for event in events
        if event["reason"] == "Scheduled"
    }


def desired(cluster: Cluster, namespace: str) -> int:
    """How many pods wl-hpa wants of wl-deployment."""
    hpa = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/wl-hpa"
    replicas: int = cluster.client.request("GET", hpa).get("status", {}).get("desiredReplicas", 0)
    return replicas
