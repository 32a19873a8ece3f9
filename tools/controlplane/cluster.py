"""A running control plane as its users see it: kubeconfigs for anyone, kubectl, plain requests."""

import base64
import os
import re
import ssl
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import yaml

from tools.controlplane import binaries, nodes
from tools.controlplane.certificates import Authority, Pair
from tools.controlplane.client import LOOPBACK, ApiError, Client
from tools.controlplane.processes import Process

ADMIN_GROUP = "system:masters"
TOKEN_SECONDS = 24 * 3600
START_SECONDS = 60.0


class KubectlError(Exception):
    """kubectl failed; the message holds its arguments and what it wrote to stderr."""


class Cluster:
    """The control plane that listens on a port of an address, and whose authority is kept in `directory`."""

    def __init__(self, directory: Path, port: int, address: str = LOOPBACK) -> None:
        self.directory = directory
        self.port = port
        self.address = address
        self.server = f"https://{address}:{port}"
        self.ca_file = directory / "ca.crt"
        self._authority = Authority(Pair(self.ca_file.read_bytes(), (directory / "ca.key").read_bytes()))
        self.client = Client(port, self._admin_context(), address)
        self.kubeconfig = self.kubeconfig_for("admin", [ADMIN_GROUP])
        self.kwok: Process | None = None
        """What plays the kubelet of nodes that only pretend; without it they are born Ready."""

    @property
    def group(self) -> int:
        """The process group for what is started beside it; 0 for one of its own."""
        return 0

    def kubeconfig_for(self, user: str, groups: Iterable[str] = ()) -> Path:
        """A new kubeconfig with a client certificate for `user` in `groups`; RBAC gives it its rights."""
        groups = list(groups)
        pair = self._authority.client(user, groups)
        credentials = {
            "client-certificate-data": _encoded(pair.certificate),
            "client-key-data": _encoded(pair.key),
        }
        return self._write_kubeconfig("+".join((user, *groups)), credentials)

    def kubeconfig_for_service_account(self, namespace: str, name: str) -> Path:
        """A new kubeconfig with a token of an existing ServiceAccount, good for a day.

        Raises `ApiError` (404) where there is no such ServiceAccount.
        """
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        answer = self.client.request("POST", path, {"spec": {"expirationSeconds": TOKEN_SECONDS}})
        token = answer["status"]["token"]
        return self._write_kubeconfig(f"serviceaccount+{namespace}+{name}", {"token": token})

    def create_namespace(self, name: str) -> None:
        """Creates a namespace that takes pods at once: with its ServiceAccount, which else comes later."""
        self.client.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        account = {"metadata": {"name": "default"}}
        try:
            self.client.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", account)
        except ApiError as error:
            if error.reason != "AlreadyExists":  # kube-controller-manager was faster
                raise

    def start_kwok(self, args: Iterable[str] = ()) -> Process:
        """Have nodes that pretend looked after; `args` come after its own."""
        self.kwok = Process(
            [
                str(binaries.find("kwok")),
                f"--kubeconfig={self.kubeconfig}",
                f"--manage-nodes-with-annotation-selector={nodes.KWOK_ANNOTATION}=fake",
                "--node-lease-duration-seconds=40",
                *args,
            ],
            self.directory / "kwok.log",
            group=self.group,
            # It reads a configuration from its work folder, by default one in the user's home.
            environment={**os.environ, "KWOK_WORKDIR": str(self.directory / "kwok")},
        )
        return self.kwok

    def add_nodes(
        self,
        names: Iterable[str],
        *,
        labels: Mapping[str, str] = MappingProxyType({}),
        taints: Sequence[nodes.Taint] = (),
        capacity: Mapping[str, str] = MappingProxyType({}),
    ) -> list[str]:
        """Creates Nodes and waits until they are Ready and take pods; returns their names.

        `capacity` overrides and extends that of `nodes.CAPACITY`.
        """
        names = list(names)
        manifests = (
            nodes.manifest(name, labels=labels, taints=taints, capacity=capacity, ready=not self.kwok)
            for name in names
        )
        self.client.request_all("POST", (("/api/v1/nodes", manifest) for manifest in manifests))
        if self.kwok:
            for name in names:
                self._wait_for_node(self.kwok, name)
        return names

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - as subprocess names it
        """Runs kubectl as admin and returns what it prints; raises `KubectlError` when it fails."""
        own_state = {"KUBECACHEDIR": str(self.directory / "kubectl-cache"), "KUBERC": "off"}
        result = subprocess.run(
            [binaries.find("kubectl"), "--kubeconfig", self.kubeconfig, *arguments],
            input=input,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **own_state},
        )
        if result.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def _wait_for_node(self, kwok: Process, name: str) -> None:
        kwok.wait_until(
            lambda: nodes.takes_pods(self.client.request("GET", f"/api/v1/nodes/{name}")),
            f"making node {name} ready",
            START_SECONDS,
        )

    def _admin_context(self) -> ssl.SSLContext:
        pair = self._authority.client("admin", [ADMIN_GROUP])
        certificate_and_key = self.directory / "admin.pem"
        write_private(certificate_and_key, pair.certificate + pair.key)
        context = ssl.create_default_context(cafile=self.ca_file)
        context.load_cert_chain(certificate_and_key)
        return context

    def _write_kubeconfig(self, name: str, credentials: Mapping[str, str]) -> Path:
        safe_name = re.sub(r"[^\w.+-]", "_", name)
        path = self.directory / f"{safe_name}.kubeconfig"
        cluster = {"server": self.server, "certificate-authority-data": _encoded(self.ca_file.read_bytes())}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "pallet", "cluster": cluster}],
            "users": [{"name": "user", "user": dict(credentials)}],
            "contexts": [{"name": "pallet", "context": {"cluster": "pallet", "user": "user"}}],
            "current-context": "pallet",
        }
        write_private(path, yaml.safe_dump(document).encode())
        return path


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that only this user can read."""
    path.touch(mode=0o600)
    path.write_bytes(content)


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
