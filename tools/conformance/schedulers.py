"""Who schedules the pods of default-scheduler: kube-scheduler, or pallet as installed in its place."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tools.controlplane import ControlPlane
from tools.controlplane.processes import Process
from tools.installation import ROOT, install

OVERLAY = ROOT / "config" / "default-scheduler"


@dataclass(frozen=True, slots=True)
class Scheduler:
    """One of the two; `start` starts it beside a control plane."""

    name: str
    start: Callable[[ControlPlane], Process]


def _kube_scheduler(control_plane: ControlPlane) -> Process:
    return control_plane.start_kube_scheduler()


def _pallet(control_plane: ControlPlane) -> Process:
    install(control_plane)
    control_plane.kubectl("apply", "-f", str(OVERLAY / "leader_election_role.yaml"))
    kubeconfig = control_plane.kubeconfig_for_service_account("planner-system", "podset-planner-scheduler")
    return Process(
        [
            *(sys.executable, "-P", "-m", "pallet"),  # -P: not the code of the working directory
            f"--config={OVERLAY / 'scheduler-config.yaml'}",
            f"--kubeconfig={kubeconfig}",
            "--secure-port=0",
            "-v=4",
        ],
        control_plane.directory / "pallet.log",
        group=control_plane.group,
        environment={**os.environ, "PYTHONPATH": str(ROOT)},
    )


KUBE_SCHEDULER = Scheduler("kube-scheduler", _kube_scheduler)
PALLET = Scheduler("pallet", _pallet)
