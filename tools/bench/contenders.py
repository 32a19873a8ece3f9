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

from tools.bench.annotations import READS_ANNOTATIONS
from tools.bench.manifests import SCHEDULER_NAME
from tools.bench.stage import ROOT, Turn
from tools.controlplane import ControlPlane
from tools.controlplane.processes import Process

USER = "system:kube-scheduler"
QPS = 5000.0
BURST = 5000

CONFIGURATION: dict[str, Any] = {
    "apiVersion": "kubescheduler.config.k8s.io/v1",
    "kind": "KubeSchedulerConfiguration",
    "leaderElection": {"leaderElect": False},
    "clientConnection": {"qps": QPS, "burst": BURST},
}

SETS = {"multiPoint": {"enabled": [{"name": "PodSetPlanner"}]}}
WITH_SETS = {"profiles": [{"schedulerName": SCHEDULER_NAME, "plugins": SETS}]}


@dataclass(frozen=True, slots=True)
class Contender:
    """One of those measured; `start` starts it as the user of a kubeconfig, for a turn."""

    name: str
    start: Callable[[ControlPlane, Path, Turn], Process]
    decides: bool = True
    """Whether it decides, and so can be held to rules."""
    knows_sets: bool = False


def start_pallet(
    control_plane: ControlPlane,
    kubeconfig: Path,
    configuration: Path,
    name: str = "pallet",
    port: int = 0,
    checkout: Path = ROOT,
) -> Process:
    """Start pallet; its log is `<name>.log` in the control plane's folder. Port 0 serves nothing.

    `checkout` is the folder with the code to run.
    """
    serving = f"--secure-port={port}", "--bind-address=127.0.0.1"
    arguments = [f"--config={configuration}", f"--kubeconfig={kubeconfig}", *serving]
    return start_python(control_plane, name, "pallet", *arguments, checkout=checkout)


def start_provisioner(control_plane: ControlPlane, kubeconfig: Path, namespace: str) -> Process:
    """Start what makes volumes for the claims of a namespace."""
    name = f"provisioner-{namespace}"
    return start_python(control_plane, name, "tools.bench.provisioner", str(kubeconfig), namespace)


ANNOTATED = "pallet-with-annotations"
"""pallet with a plugin that declares the annotations of pods."""


def start_with_port(control_plane: ControlPlane, name: str, kubeconfig: Path, port: int) -> Process:
    """Start pallet or kube-scheduler with metrics and health on a loopback port."""
    if name == KUBE_SCHEDULER.name:
        serving = f"--secure-port={port}", "--bind-address=127.0.0.1"
        return control_plane.start_kube_scheduler(CONFIGURATION, kubeconfig=kubeconfig, args=serving)
    configuration = control_plane.directory / "pallet.yaml"
    plugins = {"multiPoint": {"enabled": [{"name": READS_ANNOTATIONS}]}} if name == ANNOTATED else {}
    profiles = [{"schedulerName": SCHEDULER_NAME, "plugins": plugins}]
    configuration.write_text(json.dumps({**CONFIGURATION, "profiles": profiles}))
    return start_pallet(control_plane, kubeconfig, configuration, port=port)


def _blind_binder(control_plane: ControlPlane, kubeconfig: Path, turn: Turn) -> Process:
    arguments = (str(kubeconfig), turn.namespace, turn.standing_namespace)
    return start_python(
        control_plane, f"blind-binder-{turn.namespace}", "tools.bench.blind_binder", *arguments
    )


def _kube_scheduler(control_plane: ControlPlane, kubeconfig: Path, _: Turn) -> Process:
    return control_plane.start_kube_scheduler(CONFIGURATION, kubeconfig=kubeconfig)


def _pallet(control_plane: ControlPlane, kubeconfig: Path, turn: Turn) -> Process:
    configuration = control_plane.directory / f"pallet-{turn.namespace}.yaml"
    configuration.write_text(json.dumps({**CONFIGURATION, **(WITH_SETS if turn.in_sets else {})}))
    return start_pallet(control_plane, kubeconfig, configuration, f"pallet-{turn.namespace}")


def start_python(
    control_plane: ControlPlane, name: str, module: str, *arguments: str, checkout: Path = ROOT
) -> Process:
    """Run a module, with its log in `<name>.log`; it ends with the control plane, or earlier."""
    return Process(
        [sys.executable, "-P", "-m", module, *arguments],  # -P: not the code of the working directory
        control_plane.directory / f"{name}.log",
        group=control_plane.group,
        environment={**os.environ, "PYTHONPATH": str(checkout)},
    )


BLIND = Contender("blind binder", _blind_binder, decides=False)
KUBE_SCHEDULER = Contender("kube-scheduler", _kube_scheduler)
PALLET = Contender("pallet", _pallet, knows_sets=True)

CONTENDERS = {"blind": BLIND, "kube-scheduler": KUBE_SCHEDULER, "pallet": PALLET}
"""By the name they have on the command line."""
