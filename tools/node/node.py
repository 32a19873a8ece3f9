"""A node of its own: containerd, kubelet and kube-proxy, with their configurations in one folder."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import yaml

from tools.controlplane.processes import Process, free_port
from tools.node import machine, programs

NAME = "real-worker"
"""As kind names the one worker of its cluster `real`."""

PAUSE_IMAGE = "localhost/pause:1"
DNS_ADDRESS = "10.0.0.10"
DOMAIN = "cluster.local"
SOCKET = "containerd.sock"
START_SECONDS = 60.0

Start = Callable[..., Process]
"""Starts a program by its name, with arguments."""


class Node:
    """The processes of one node. `start` runs them; `kubeconfig` is an admin's."""

    def __init__(self, directory: Path, kubeconfig: Path) -> None:
        self._directory = directory
        self._kubeconfig = kubeconfig
        self._socket = directory / SOCKET
        self._processes: list[Process] = []

    def start(self, group: int) -> dict[str, Process]:
        """Start them in a process group, and wait until containerd answers."""
        containerd = self._run(group, "containerd", f"--config={self._containerd_configuration()}")
        containerd.wait_until(self._socket.exists, "listening", START_SECONDS)
        return {
            "containerd": containerd,
            "kubelet": self.start_kubelet(group),
            "kube-proxy": self._run(
                group,
                "kube-proxy",
                f"--kubeconfig={self._kubeconfig}",
                f"--hostname-override={NAME}",
                "--proxy-mode=iptables",
                "--conntrack-max-per-core=0",
                f"--healthz-bind-address=127.0.0.1:{free_port()}",
                f"--metrics-bind-address=127.0.0.1:{free_port()}",
            ),
        }

    def start_kubelet(self, group: int) -> Process:
        """Start the kubelet alone, as after its end: the containers are there still."""
        return self._run(
            group,
            "kubelet",
            f"--config={self._kubelet_configuration()}",
            f"--kubeconfig={self._kubeconfig}",
            f"--hostname-override={NAME}",
            f"--node-ip={machine.ADDRESS}",
            f"--root-dir={self._directory / 'kubelet'}",
            f"--cert-dir={self._directory / 'kubelet-pki'}",
        )

    def stop(self) -> None:
        """End the processes and all that they started; harmless when done before."""
        for process in reversed(self._processes):
            process.kill()
        clear(self._directory)

    def _run(self, group: int, program: str, *arguments: str) -> Process:
        process = Process(
            [str(programs.find(program)), *arguments],
            self._directory / f"{program}.log",
            group=group,
            environment={**os.environ, "PATH": f"{programs.folder()}:{machine.SYSTEM_PATH}"},
        )
        self._processes.append(process)
        return process

    def _containerd_configuration(self) -> Path:
        networks = self._directory / "cni"
        networks.mkdir(exist_ok=True)
        (networks / "10-bridge.conflist").write_text(json.dumps(self._network()))
        plugins = self._directory / "cni-plugins"  # so that its processes can be told from those of others
        plugins.symlink_to(machine.CNI_PLUGINS)
        directory = self._directory / "containerd"
        file = self._directory / "containerd.toml"
        # restrict_oom_score_adj: without CAP_SYS_RESOURCE none may make itself less likely to be killed.
        file.write_text(
            f"""version = 3
root = "{directory / "root"}"
state = "{directory / "state"}"
[grpc]
  address = "{self._socket}"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{plugins}"]
  conf_dir = "{networks}"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    SystemdCgroup = false
"""
        )
        return file

    def _network(self) -> dict[str, object]:
        addresses = {
            "type": "host-local",
            "dataDir": str(self._directory / "addresses"),
            "ranges": [[{"subnet": machine.POD_ADDRESSES}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {"type": "bridge", "bridge": machine.POD_BRIDGE, "isGateway": True, "ipam": addresses}
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "1.0.0", "name": "pallet", "plugins": [bridge, ports]}

    def _kubelet_configuration(self) -> Path:
        file = self._directory / "kubelet.yaml"
        document = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": machine.ADDRESS,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": DOMAIN,
            "containerRuntimeEndpoint": f"unix://{self._socket}",
            "evictionHard": {"memory.available": "100Mi"},
            "failCgroupV1": False,
            "failSwapOn": False,
            "healthzPort": 0,
            "podLogsDir": str(self._directory / "logs"),
        }
        file.write_text(yaml.safe_dump(document))
        return file


def load(directory: Path, archive: Path) -> None:
    """Give a node's containerd the images of an OCI archive."""
    address = f"--address={directory / SOCKET}"
    machine.run(programs.find("ctr"), address, "--namespace=k8s.io", "images", "import", archive)


def clear(directory: Path) -> None:
    """End the containers of a node whose processes have ended, and unmount what they had."""
    machine.end({programs.SHIM, "runc", *machine.CNI_PROGRAMS}, directory)
    machine.kill_containers()
    machine.unmount(directory)
