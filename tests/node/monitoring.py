"""metrics-server, kube-state-metrics and Prometheus, as pods of a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from tests.e2e.prometheus import Prometheus
from tests.manifests.monitoring import MONITORING, load
from tools.node import images
from tools.node.cluster import MANIFESTS
from tools.node.kind import AnyCluster

NAMESPACE = "monitoring"
SERVED = f"/api/v1/namespaces/{NAMESPACE}/services/prometheus:9090/proxy"


@contextmanager
def metrics_server(cluster: AnyCluster) -> Iterator[None]:
    """Have the API server serve what pods use, until the block is left."""
    with _running(cluster, "kube-system", "metrics-server"):
        cluster.kubectl("wait", "--for=condition=Available", "apiservice/v1beta1.metrics.k8s.io")
        yield


@contextmanager
def prometheus(cluster: AnyCluster) -> Iterator[Prometheus]:
    """Have a Prometheus watch as `examples/load-experiment/monitoring` has it, and kube-scheduler besides."""
    cluster.create_namespace(NAMESPACE)
    files = {
        "prometheus.yaml": yaml.safe_dump(_configuration(cluster)),
        "alerts.yaml": (MONITORING / "alerts.yaml").read_text(),
    }
    request = cluster.client.request
    configuration = {"metadata": {"name": "prometheus"}, "data": files}
    request("POST", f"/api/v1/namespaces/{NAMESPACE}/configmaps", configuration)
    cluster.kubectl("apply", "-f", str(MONITORING / "rbac.yaml"))
    try:
        with (
            _running(cluster, "kube-system", "kube-state-metrics"),
            _running(cluster, NAMESPACE, "prometheus"),
        ):
            yield Prometheus(lambda path: request("GET", f"{SERVED}{path}"))
    finally:
        cluster.kubectl("delete", "-f", str(MONITORING / "rbac.yaml"))
        cluster.kubectl("delete", "namespace", NAMESPACE)


@contextmanager
def _running(cluster: AnyCluster, namespace: str, name: str) -> Iterator[None]:
    """Have a Deployment of `tools/node/manifests` run, until the block is left."""
    cluster.load(images.of_program(name))
    manifest = str(MANIFESTS / f"{name}.yaml")
    cluster.kubectl("apply", "-f", manifest)
    try:
        cluster.kubectl("-n", namespace, "rollout", "status", f"deployment/{name}", "--timeout=60s")
        yield
    finally:
        cluster.kubectl("delete", "-f", manifest)


def _configuration(cluster: AnyCluster) -> Any:
    """The shipped one, with one more job: where kube-scheduler listens is different in every cluster."""
    configuration = load("prometheus.yaml")
    [ours] = [job for job in configuration["scrape_configs"] if "kubernetes_sd_configs" in job]
    kube_scheduler = {key: ours[key] for key in ("scheme", "authorization", "tls_config")}
    kube_scheduler["job_name"] = "kube-scheduler"
    kube_scheduler["static_configs"] = [{"targets": [cluster.kube_scheduler]}]
    configuration["scrape_configs"].append(kube_scheduler)
    return configuration
