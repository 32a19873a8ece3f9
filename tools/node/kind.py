"""A cluster of one real node by kind, where there is a Docker engine: what `RealCluster` is without one."""

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest_kind
import yaml

from tools.controlplane import Cluster, numbered
from tools.controlplane.client import ApiError
from tools.controlplane.processes import StartError
from tools.node import machine
from tools.node.cluster import KWOK, READY_SECONDS, RealCluster
from tools.node.node import NAME

CLUSTER = "real"
CONTROL_PLANE = "real-control-plane"
MANIFESTS = "/etc/kubernetes/manifests"
"""Where the kubelet of the control plane finds the pods of its programs, each in a file of its name."""


class KindCluster(Cluster):
    """The cluster that kind has made; `directory` has the files of its authority."""

    @property
    def kube_scheduler(self) -> str:
        """Where that serves its metrics, `ADDRESS:PORT`."""
        node = self.client.request("GET", f"/api/v1/nodes/{CONTROL_PLANE}")
        addresses = {each["type"]: each["address"] for each in node["status"]["addresses"]}
        return f"{addresses['InternalIP']}:10259"

    def load(self, archive: Path) -> None:
        """Give the nodes the images of an archive."""
        machine.run("kind", "load", "image-archive", f"--name={CLUSTER}", archive)

    def restart_apiserver(self) -> None:
        """Kill the API server, and wait until the kubelet has started it again."""
        before = _apiserver()
        _in_node(CONTROL_PLANE, "kill", "-KILL", before)
        self.await_apiserver(before)

    def await_apiserver(self, before: str) -> None:
        """Wait for an API server with another process id. Raises `StartError`."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with suppress(machine.MachineError, ApiError, OSError):
                if _apiserver() != before:
                    self.client.request("GET", "/readyz")
                    return
            if time.monotonic() > deadline:
                raise StartError(f"the API server of {CONTROL_PLANE} was not ready in {READY_SECONDS:.0f} s")
            time.sleep(0.1)

    @contextmanager
    def without_kubelet(self) -> Iterator[None]:
        """Have the kubelet ended, and started again after the block."""
        _in_node(NAME, "systemctl", "kill", "--signal=KILL", "kubelet")
        _in_node(NAME, "systemctl", "stop", "kubelet")
        try:
            yield
        finally:
            _in_node(NAME, "systemctl", "start", "kubelet")


AnyCluster = RealCluster | KindCluster


@contextmanager
def kind_cluster(
    *, fake: int = 0, apiserver_args: Sequence[str] = (), folders: Sequence[Path] = ()
) -> Iterator[KindCluster]:
    """A new kind cluster with one worker, and `fake` nodes by kwok, tainted with `KWOK`; deleted at the end.

    The API server gets `apiserver_args`, and `folders` of this machine, which it may write to. Raises
    `MachineError` and `StartError`.
    """
    program = _kind()
    if CLUSTER in machine.run(program, "get", "clusters").split():
        raise machine.MachineError(
            f"there is a kind cluster {CLUSTER} already; `kind delete cluster --name {CLUSTER}` ends it"
        )
    with tempfile.TemporaryDirectory(prefix="pallet-kind-") as folder, ExitStack() as last_first:
        directory = Path(folder)
        kind = pytest_kind.KindCluster(CLUSTER, directory / "kind.kubeconfig", kind_path=program)
        last_first.callback(kind.delete)
        file = directory / "kind.yaml"
        file.write_text(yaml.safe_dump(configuration(folders)))
        kind.create(file)
        cluster = _cluster(directory, kind.kubeconfig_path)
        last_first.callback(cluster.client.close)
        before = _apiserver()
        _give_arguments(directory, "kube-apiserver", apiserver_args, folders)
        cluster.await_apiserver(before)
        _give_arguments(directory, "kube-scheduler", ["--bind-address=0.0.0.0"])
        last_first.callback(cluster.start_kwok().kill)
        cluster.add_nodes(numbered("fake", fake), taints=[KWOK])
        yield cluster


def configuration(folders: Iterable[Path]) -> dict[str, Any]:
    """kind's, of a control plane that finds folders of this machine at their own paths, and of a worker."""
    mounts = [{"hostPath": str(folder), "containerPath": str(folder)} for folder in folders]
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane", "extraMounts": mounts}, {"role": "worker"}],
    }


def with_arguments(pod: dict[str, Any], arguments: Iterable[str], folders: Iterable[Path]) -> dict[str, Any]:
    """The pod of a program with more arguments, and with folders at their own paths."""
    [container] = pod["spec"]["containers"]
    named = {f"given-{number}": str(folder) for number, folder in enumerate(folders)}
    mounts = [{"name": name, "mountPath": path} for name, path in named.items()]
    volumes = [{"name": name, "hostPath": {"path": path}} for name, path in named.items()]
    more = {
        "command": [*container["command"], *arguments],
        "volumeMounts": [*container["volumeMounts"], *mounts],
    }
    spec = {**pod["spec"], "containers": [container | more], "volumes": [*pod["spec"]["volumes"], *volumes]}
    return {**pod, "spec": spec}


def _give_arguments(
    directory: Path, program: str, arguments: Iterable[str], folders: Iterable[Path] = ()
) -> None:
    """Have a program of the control plane started again, `with_arguments`."""
    name = f"{program}.yaml"
    pod = yaml.safe_load(_in_node(CONTROL_PLANE, "cat", f"{MANIFESTS}/{name}"))
    file = directory / name
    file.write_text(yaml.safe_dump(with_arguments(pod, arguments, folders)))
    machine.run("docker", "cp", file, f"{CONTROL_PLANE}:{MANIFESTS}/{name}")


def _kind() -> Path:
    """The program. Raises `MachineError`."""
    found = shutil.which("kind")
    if found is None:
        raise machine.MachineError("kind is not on PATH")
    return Path(found)


def _cluster(directory: Path, kubeconfig: Path) -> KindCluster:
    """The cluster of a kubeconfig, with the keys of its authority."""
    for name in ("ca.crt", "ca.key"):
        machine.run("docker", "cp", f"{CONTROL_PLANE}:/etc/kubernetes/pki/{name}", directory / name)
    [cluster] = yaml.safe_load(kubeconfig.read_text())["clusters"]
    address, _, port = cluster["cluster"]["server"].removeprefix("https://").partition(":")
    return KindCluster(directory, int(port), address)


def _apiserver() -> str:
    """The process id of the API server, inside the control plane's node."""
    return _in_node(CONTROL_PLANE, "pgrep", "--exact", "kube-apiserver").strip()


def _in_node(node: str, *command: str) -> str:
    return machine.run("docker", "exec", node, *command)
