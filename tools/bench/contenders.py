"""Who is measured: a blind binder, the real kube-scheduler, pallet. Each is a process of its own.

All are the same user, so that the API server's priority and fairness serves them alike, and have the same
configuration: default plugins, events on, leader election off, qps and burst far above what is reached.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.controlplane import ControlPlane
from tools.controlplane.processes import Process

ROOT = Path(__file__).parents[2]
USER = "system:kube-scheduler"
QPS = 5000.0
BURST = 5000

CONFIGURATION: dict[str, Any] = {
    "apiVersion": "kubescheduler.config.k8s.io/v1",
    "kind": "KubeSchedulerConfiguration",
    "leaderElection": {"leaderElect": False},
    "clientConnection": {"qps": QPS, "burst": BURST},
}


@dataclass(frozen=True, slots=True)
class Contender:
    """One of those measured; `start` starts it as the user of a kubeconfig, to bind a namespace's pods."""

    name: str
    start: Callable[[ControlPlane, Path, str], Process]


def start_pallet(
    control_plane: ControlPlane, kubeconfig: Path, configuration: Path, name: str = "pallet"
) -> Process:
    """Start pallet, without ports; its log is `<name>.log` in the control plane's folder."""
    arguments = [f"--config={configuration}", f"--kubeconfig={kubeconfig}", "--secure-port=0"]
    return _python(control_plane, name, "pallet", *arguments)


def _blind_binder(control_plane: ControlPlane, kubeconfig: Path, namespace: str) -> Process:
    name = f"blind-binder-{namespace}"
    return _python(control_plane, name, "tools.bench.blind_binder", str(kubeconfig), namespace)


def _kube_scheduler(control_plane: ControlPlane, kubeconfig: Path, _: str) -> Process:
    return control_plane.start_kube_scheduler(CONFIGURATION, kubeconfig=kubeconfig)


def _pallet(control_plane: ControlPlane, kubeconfig: Path, namespace: str) -> Process:
    configuration = control_plane.directory / "pallet.yaml"
    configuration.write_text(json.dumps(CONFIGURATION))
    return start_pallet(control_plane, kubeconfig, configuration, f"pallet-{namespace}")


def _python(control_plane: ControlPlane, name: str, module: str, *arguments: str) -> Process:
    """Run a module; it ends with the control plane, or earlier."""
    return Process(
        [sys.executable, "-m", module, *arguments],
        control_plane.directory / f"{name}.log",
        group=control_plane.pids["etcd"],
        environment={**os.environ, "PYTHONPATH": str(ROOT)},
    )


BLIND = Contender("blind binder", _blind_binder)
KUBE_SCHEDULER = Contender("kube-scheduler", _kube_scheduler)
PALLET = Contender("pallet", _pallet)

CONTENDERS = {"blind": BLIND, "kube-scheduler": KUBE_SCHEDULER, "pallet": PALLET}
"""By the name they have on the command line."""
