"""Programs of the tests in pods of the project's image."""

import random
import socket
from dataclasses import dataclass
from pathlib import Path

from send_requests import TRIAL_PORTS

from tests.e2e import foreign_planner
from tests.e2e.workload import Document, Workload, eventually, is_ready
from tests.node import planner_caller
from tools.controlplane import ApiError
from tools.controlplane.certificates import Pair
from tools.node import machine

IMAGE = "docker.io/library/podset-planner-scheduler:demo"
PLANNER, CALLER = Path(foreign_planner.__file__).name, Path(planner_caller.__file__).name
SCRIPTS = (Path(foreign_planner.__file__), Path(planner_caller.__file__))

TLS = "/tls"
"""Where a program finds its certificate."""


@dataclass(frozen=True)
class Program:
    """A pod that runs a script in a namespace."""

    workload: Workload
    namespace: str
    name: str

    def start(
        self, script: str, *arguments: str, port: int = 0, tls: Pair | None = None, ca: bytes = b""
    ) -> None:
        """Create it: once where it has no port, else again whenever it ends, and wait until that is open.

        With `tls` its last argument is the folder with that certificate, and the one of the authority.
        """
        self._create("configmaps", {"data": {path.name: path.read_text() for path in SCRIPTS}})
        mounts = [{"name": "scripts", "mountPath": "/scripts"}]
        volumes: list[Document] = [{"name": "scripts", "configMap": {"name": self.name}}]
        if tls:
            create_secret(self.workload, self.namespace, self.name, tls, ca)
            mounts.append({"name": "tls", "mountPath": TLS})
            volumes.append({"name": "tls", "secret": {"secretName": self.name}})
        probe = {"readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1}} if port else {}
        container = {
            "name": "main",
            "image": IMAGE,
            "command": ["python", f"/scripts/{script}", *arguments, *[TLS] * bool(tls)],
            "volumeMounts": mounts,
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            **probe,
        }
        spec = {
            "restartPolicy": "Always" if port else "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": volumes,
        }
        self._create("pods", {"spec": spec})
        if port:
            eventually(f"{self.name} to be ready", lambda: is_ready(self.pod), patience=60)

    def serve(self, labels: Document, port: int) -> None:
        """Create a Service in front of it, of its name, and wait until it leads there."""
        path = f"/api/v1/namespaces/{self.namespace}/services"
        spec = {"selector": {"app": self.name}, "ports": [{"port": port}]}
        body = {"metadata": {"name": self.name, "labels": labels}, "spec": spec}
        address = self.workload.request("POST", path, body)["spec"]["clusterIP"]
        eventually(f"Service {self.name} to lead to it", lambda: is_open((address, port)))

    def remove(self) -> None:
        """Delete all of it that there is."""
        for kind in ("services", "pods", "configmaps", "secrets"):
            try:
                self.workload.request("DELETE", f"/api/v1/namespaces/{self.namespace}/{kind}/{self.name}")
            except ApiError as error:
                if error.code != 404:
                    raise

    @property
    def pod(self) -> Document:
        """The pod as it is."""
        found: Document = self.workload.request(
            "GET", f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        )
        return found

    @property
    def log(self) -> list[str]:
        """The lines that it has printed since it started last."""
        return self.workload.control_plane.kubectl("-n", self.namespace, "logs", self.name).splitlines()

    @property
    def pid(self) -> int:
        """Its process, seen from the machine."""
        pids = machine.processes_of(self.pod["metadata"]["uid"])
        [pid] = [pid for pid in pids if "/scripts/" in Path(f"/proc/{pid}/cmdline").read_text()]
        return pid

    def await_end(self) -> str:
        """Wait until it has ended; returns its phase, Succeeded or Failed."""

        def look() -> str:
            phase: str = self.pod["status"]["phase"]
            return phase if phase in ("Succeeded", "Failed") else ""

        return eventually(f"{self.name} to end", look, patience=60)

    def _create(self, kind: str, body: Document) -> None:
        metadata = {"name": self.name, "labels": {"app": self.name}}
        self.workload.request(
            "POST", f"/api/v1/namespaces/{self.namespace}/{kind}", {"metadata": metadata, **body}
        )


def is_open(address: tuple[str, int]) -> bool:
    """Whether something takes connections at an address, asked from a port that nothing else is sent from."""
    source = "", random.choice(TRIAL_PORTS)  # noqa: S311 - any will do
    try:
        socket.create_connection(address, timeout=1.0, source_address=source).close()
    except OSError:
        return False
    return True


def create_secret(workload: Workload, namespace: str, name: str, pair: Pair, ca: bytes) -> None:
    """Create a Secret with the files that mutual TLS needs."""
    files = {"ca.crt": ca, "tls.crt": pair.certificate, "tls.key": pair.key}
    workload.request(
        "POST",
        f"/api/v1/namespaces/{namespace}/secrets",
        {"metadata": {"name": name}, "stringData": {key: value.decode() for key, value in files.items()}},
    )
