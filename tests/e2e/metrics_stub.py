"""A stub of metrics-server: the aggregated API `metrics.k8s.io` with made-up figures, no kubelets behind it.

It says of every running pod that each container uses the same CPU. It is a process of its own, on loopback:
`python -m tests.e2e.metrics_stub KUBECONFIG PORT CERTIFICATE KEY CPU`. The API server finds it by a Service
of type ExternalName, since Endpoints must not be on loopback.
"""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.e2e.workload import eventually
from tools.controlplane import ControlPlane, binaries
from tools.controlplane.processes import Process, free_port

GROUP_VERSION = "metrics.k8s.io/v1beta1"
ROOT = f"/apis/{GROUP_VERSION}"
SERVICE = "metrics-stub"

Document = Mapping[str, Any]


def registration(port: int) -> list[Document]:
    """What makes the API server ask a server on this port of its own machine."""
    group, _, version = GROUP_VERSION.partition("/")
    service: Document = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": "kube-system"},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    api: Document = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{version}.{group}"},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": SERVICE, "namespace": "kube-system", "port": port},
        },
    }
    return [service, api]


@contextmanager
def serving(control_plane: ControlPlane, cpu: str) -> Iterator[None]:
    """Have every pod use this much CPU, until the block is left; for a control plane of one's own."""
    port, directory = free_port(), control_plane.directory
    keys = (directory / "apiserver.crt", directory / "apiserver.key")
    arguments = map(str, (control_plane.kubeconfig, port, *keys, cpu))
    command = [sys.executable, "-m", __name__, *arguments]
    stub = Process(command, directory / "metrics-stub.log", group=control_plane.group)
    try:
        control_plane.kubectl("apply", "-f", "-", input="\n---\n".join(map(json.dumps, registration(port))))
        path = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"

        def available() -> bool:
            status = control_plane.client.request("GET", path).get("status", {})
            return any(
                each["type"] == "Available" and each["status"] == "True"
                for each in status.get("conditions", ())
            )

        eventually("the metrics to be available", available)
        yield
    finally:
        stub.kill()


class _Handler(BaseHTTPRequestHandler):
    kubeconfig: str
    cpu: str

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == ROOT:
            self._answer(_discovery())
        elif url.path.startswith(f"{ROOT}/namespaces/") and url.path.endswith("/pods"):
            namespace = url.path.split("/")[-2]
            self._answer(self._metrics(namespace, parse_qs(url.query).get("labelSelector", [""])[0]))
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class names it
        """Say nothing."""

    def _metrics(self, namespace: str, selector: str) -> Document:
        command = [str(binaries.find("kubectl")), "--kubeconfig", self.kubeconfig, "get", "pods"]
        options = ["--namespace", namespace, "--selector", selector, "--output=json"]
        pods = json.loads(subprocess.run([*command, *options], capture_output=True, check=True).stdout)
        return {
            "apiVersion": GROUP_VERSION,
            "kind": "PodMetricsList",
            "metadata": {},
            "items": [self._of(pod) for pod in pods["items"] if pod["status"].get("phase") == "Running"],
        }

    def _of(self, pod: Document) -> Document:
        metadata = pod["metadata"]
        usage = {"cpu": self.cpu, "memory": "64Mi"}
        return {
            "metadata": {key: metadata[key] for key in ("name", "namespace", "labels")},
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            # Short: the HPA leaves out what was measured less than a window after the pod became ready.
            "window": "1s",
            "containers": [{"name": each["name"], "usage": usage} for each in pod["spec"]["containers"]],
        }

    def _answer(self, document: Document) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _discovery() -> Document:
    pods = {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["list"]}
    return {
        "apiVersion": "v1",
        "kind": "APIResourceList",
        "groupVersion": GROUP_VERSION,
        "resources": [pods],
    }


def main() -> None:
    """Serve, until it is ended."""
    kubeconfig, port, certificate, key, cpu = sys.argv[1:]
    handler = type("Handler", (_Handler,), {"kubeconfig": kubeconfig, "cpu": cpu})
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
