"""The end-to-end suite as a program: Kubernetes' own, of the control plane's release."""

from pathlib import Path

from tools.controlplane import ControlPlane, binaries, build
from tools.controlplane.build import Program
from tools.controlplane.processes import Process

PROGRAM = Program("e2e.test", "k8s.io/kubernetes/test/e2e", megabytes=93, seconds=600, tests=True)

SEED = 1
"""The suite shuffles its tests; this way it does so alike in all runs."""


def find() -> Path:
    """Where the suite is; the first call builds it. Raises `build.BuildError`."""
    folder = build.folder_in(build.cache() / "conformance", (PROGRAM,))
    return build.build_into(folder, (PROGRAM,)) / PROGRAM.name


def pattern(focus: str) -> str:
    """What matches the full names of those tests of [sig-scheduling] that `focus` matches."""
    return rf"\[sig-scheduling\].*(?:{focus})"


def start(suite: Path, control_plane: ControlPlane, focus: str, reports: Path) -> Process:
    """Start the tests whose names `focus` matches; the JUnit report is for the folder `reports`."""
    return Process(
        [
            suite,
            f"--kubeconfig={control_plane.kubeconfig}",
            f"--kubectl-path={binaries.find('kubectl')}",
            "--provider=skeleton",
            "--disable-log-dump",  # there are no nodes to log in to
            f"--report-dir={reports}",
            f"--ginkgo.focus={pattern(focus)}",
            f"--ginkgo.seed={SEED}",
            "--ginkgo.timeout=1h",
            "--ginkgo.no-color",
            "--ginkgo.silence-skips",
            "--ginkgo.v",
        ],
        reports / "suite.log",
        group=control_plane.group,
    )
