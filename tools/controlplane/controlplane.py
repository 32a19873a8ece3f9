"""Starts and stops a control plane: etcd, kube-apiserver, kube-controller-manager, kwok."""

import http.client
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from tools.controlplane import binaries, certificates
from tools.controlplane.client import LOOPBACK, ApiError
from tools.controlplane.cluster import START_SECONDS, Cluster, write_private
from tools.controlplane.processes import Guard, Process, free_port

SERVICE_ADDRESSES = "10.0.0.0/16"
SERVICE_ADDRESS = "10.0.0.1"
"""Of the Service kubernetes, which leads to the API server where pods can reach its address."""
MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it
MEMORY_BYTES = 2 * 1024**3


class ControlPlane(Cluster):
    """A control plane of one's own, on free loopback ports, its data in memory where the system allows.

    A context manager. It ends with the process that started it, even when that is killed, unless `detached`.
    With `kwok` in place of kubelets, nodes become Ready and stay so, and bound pods are Running. Without,
    nodes are born Ready, bound pods stay Pending, and neither costs anything: for benchmarks.
    `apiserver_args`, `controller_manager_args` and `kwok_args` come after the others, so that they win.
    `controllers` are those that kube-controller-manager runs, by default all of its own. The API server
    listens on `address` only.
    """

    def __init__(
        self,
        *,
        kwok: bool = True,
        detached: bool = False,
        apiserver_args: Sequence[str] = (),
        controller_manager_args: Sequence[str] = (),
        kwok_args: Sequence[str] = (),
        controllers: Sequence[str] = ("*",),
        address: str = LOOPBACK,
    ) -> None:
        for program in ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl", *["kwok"] * kwok):
            binaries.find(program)  # build or complain before anything is made
        self._kwok = kwok
        self._detached = detached
        self._apiserver_args = tuple(apiserver_args)
        self._controller_manager_args = tuple(controller_manager_args)
        self._kwok_args = tuple(kwok_args)
        self._controllers = tuple(controllers)
        self._processes: dict[str, Process] = {}
        self._guard: Guard | None = None
        directory = Path(tempfile.mkdtemp(prefix="pallet-controlplane-", dir=_memory()))
        _write_keys(directory, {LOOPBACK, address, SERVICE_ADDRESS})
        self._etcd_port = free_port()
        super().__init__(directory, free_port(), address)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each program that runs."""
        return {name: process.pid for name, process in self._processes.items() if process.running}

    @property
    def group(self) -> int:
        """etcd's: it ends with the process that started it."""
        etcd = self._processes.get("etcd")
        return etcd.pid if etcd else 0

    @property
    def etcd(self) -> str:
        """The URL of etcd, which asks for no credentials."""
        return f"http://127.0.0.1:{self._etcd_port}"

    def start(self) -> None:
        """Starts everything and waits until it is ready; raises `StartError`, leaving nothing behind."""
        try:
            self._start_etcd()
            self._start_apiserver()
            self._start_controller_manager()
            if self._kwok:
                self._processes["kwok"] = self.start_kwok(self._kwok_args)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends every process and removes the data; harmless when done before."""
        self.client.close()
        # Killed, not asked: nothing is worth saving, and the API server would take its time.
        for process in self._processes.values():
            process.kill()
        self._processes.clear()
        if self._guard:
            self._guard.release()
            self._guard = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill_apiserver(self) -> None:
        """Ends the API server at once, as a crash does; stopped politely it keeps its port up to a minute."""
        self._processes["kube-apiserver"].kill()

    def restart_apiserver(self) -> None:
        """Kills the API server, starts it again on the same port, and waits until it is ready."""
        self.kill_apiserver()
        self._start_apiserver()

    def start_kube_scheduler(
        self,
        configuration: Mapping[str, Any] | None = None,
        *,
        kubeconfig: Path | None = None,
        args: Sequence[str] = (),
    ) -> Process:
        """Starts the real kube-scheduler, by default as itself; it ends with the control plane, or earlier.

        `configuration` is a KubeSchedulerConfiguration; its client connection's kubeconfig is set here, and
        leader election is off unless it says otherwise. It serves no port unless `args` say so. It is not
        waited for.
        """
        document: dict[str, Any] = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": False},
            **(configuration or {}),
        }
        kubeconfig = kubeconfig or self.kubeconfig_for("system:kube-scheduler")
        document["clientConnection"] = {
            **document.get("clientConnection", {}),
            "kubeconfig": str(kubeconfig),
        }
        name = f"kube-scheduler-{len(self._processes)}"
        file = self.directory / f"{name}.yaml"
        file.write_text(yaml.safe_dump(document))
        return self._run(name, "kube-scheduler", f"--config={file}", "--secure-port=0", *args)

    def _start_etcd(self) -> None:
        port, peers = self._etcd_port, f"http://127.0.0.1:{free_port()}"
        etcd = self._run(
            "etcd",
            "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{port}",
            f"--advertise-client-urls=http://127.0.0.1:{port}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",
            "--quota-backend-bytes=8589934592",
            "--log-level=warn",
        )
        if not self._detached:
            self._guard = Guard(etcd.pid, self.directory)
        etcd.wait_until(lambda: _listens(port), "opening its port", START_SECONDS)

    def _start_apiserver(self) -> None:
        directory = self.directory
        admission = [] if self._kwok else ["--disable-admission-plugins=TaintNodesByCondition"]
        apiserver = self._run(
            "kube-apiserver",
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            # Endpoints must not hold loopback addresses.
            *["--endpoint-reconciler-type=none"] * (self.address == LOOPBACK),
            f"--secure-port={self.port}",
            f"--tls-cert-file={directory / 'apiserver.crt'}",
            f"--tls-private-key-file={directory / 'apiserver.key'}",
            f"--client-ca-file={self.ca_file}",
            f"--service-account-key-file={directory / 'service-account.key'}",
            f"--service-account-signing-key-file={directory / 'service-account.key'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-cluster-ip-range={SERVICE_ADDRESSES}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged",
            *admission,
            *self._apiserver_args,
        )
        apiserver.wait_until(lambda: self._answers("/readyz"), "becoming ready", START_SECONDS)

    def _start_controller_manager(self) -> None:
        # Nobody renews the nodes' leases without kwok, so they would be taken for unreachable after 50 s.
        controllers = [*self._controllers, *["-node-lifecycle-controller"] * (not self._kwok)]
        manager = self._run(
            "kube-controller-manager",
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            f"--controllers={','.join(controllers)}",
            f"--root-ca-file={self.ca_file}",
            f"--service-account-private-key-file={self.directory / 'service-account.key'}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=1000",  # tests and benchmarks create pods by the thousand
            "--kube-api-burst=1000",
            *self._controller_manager_args,
        )
        service_account = "/api/v1/namespaces/default/serviceaccounts/default"
        manager.wait_until(lambda: self._answers(service_account), "creating ServiceAccounts", START_SECONDS)

    def _run(self, key: str, program: str, *arguments: str) -> Process:
        process = Process(
            [str(binaries.find(program)), *arguments],
            self.directory / f"{key}.log",
            group=self.group,
        )
        self._processes[key] = process
        return process

    def _answers(self, path: str) -> bool:
        try:
            self.client.request("GET", path)
        except (ApiError, OSError, http.client.HTTPException):
            return False
        return True


def _memory() -> Path | None:
    """A folder in memory, where there is one with room; containers often get just 64 MiB."""
    roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES
    return MEMORY if roomy else None


def _write_keys(directory: Path, addresses: Iterable[str]) -> None:
    authority = certificates.Authority.create()
    server = authority.server(addresses)
    for name, content in (
        ("ca.crt", authority.pair.certificate),
        ("ca.key", authority.pair.key),
        ("apiserver.crt", server.certificate),
        ("apiserver.key", server.key),
        ("service-account.key", certificates.signing_key()),
    ):
        write_private(directory / name, content)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True
