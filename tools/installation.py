"""What `config/` installs, on a control plane beside which the scheduler runs as a process."""

from pathlib import Path

from tools.controlplane import Cluster

ROOT = Path(__file__).parents[1]
CUSTOM_RESOURCES = ("crd/scheduletriggers.planner.ciena.io", "crd/scheduleplans.planner.ciena.io")


def install(cluster: Cluster, *, patience: int = 30) -> None:
    """Apply `config/demo`, and wait until the custom resources are served, at most `patience` seconds.

    Raises `KubectlError`.
    """
    cluster.kubectl("apply", "-k", str(ROOT / "config" / "demo"))
    cluster.kubectl("wait", "--for=condition=Established", f"--timeout={patience}s", *CUSTOM_RESOURCES)
