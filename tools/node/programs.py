"""Builds the programs of a real node once, into the user's cache, beside those of the control plane.

Each Go module in this folder pins the versions of what is built from it; kubelet and kube-proxy are of the
control plane's release, and provided like its programs. What only some tests need is built when it is
first asked for.
"""

from collections.abc import Sequence
from pathlib import Path

from tools.controlplane import build
from tools.controlplane.build import Program

MODULES = Path(__file__).parent
CONTAINERD = MODULES / "containerd"
COREDNS = MODULES / "coredns"
METRICS_SERVER = MODULES / "metrics_server"
MONITORING = MODULES / "monitoring"

SHIM = "containerd-shim-runc-v2"

PROGRAMS = (
    Program("kubelet", "k8s.io/kubernetes/cmd/kubelet", megabytes=81, seconds=200),
    Program("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", megabytes=1, seconds=20),
    Program(
        "containerd",
        "github.com/containerd/containerd/v2/cmd/containerd",
        CONTAINERD,
        megabytes=101,
        seconds=60,
    ),
    Program(
        "containerd-shim-runc-v2",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        CONTAINERD,
        seconds=10,
    ),
    Program("ctr", "github.com/containerd/containerd/v2/cmd/ctr", CONTAINERD, seconds=10),
    Program("coredns", "github.com/coredns/coredns", COREDNS, megabytes=171, seconds=180),
)
"""What every node needs."""

METRICS_PROGRAMS = (
    Program(
        "metrics-server",
        "sigs.k8s.io/metrics-server/cmd/metrics-server",
        METRICS_SERVER,
        megabytes=58,
        seconds=120,
    ),
    Program("kube-state-metrics", "k8s.io/kube-state-metrics/v2", MONITORING, megabytes=40, seconds=60),
    # Without the service discovery of every cloud, which would more than double its size.
    Program(
        "prometheus",
        "github.com/prometheus/prometheus/cmd/prometheus",
        MONITORING,
        megabytes=114,
        seconds=180,
        tags="remove_all_sd,enable_kubernetes_sd",
    ),
)
"""What measures, and watches what is measured."""


def find(name: str) -> Path:
    """The path of a program; the first call builds it, and all that are built with it.

    Raises `build.BuildError`.
    """
    programs = group(name)
    return build.build_into(folder(programs), programs) / name


def group(name: str) -> Sequence[Program]:
    """The programs that are built together with one."""
    [found] = [each for each in (PROGRAMS, METRICS_PROGRAMS) if name in {program.name for program in each}]
    return found


def folder(programs: Sequence[Program] = PROGRAMS) -> Path:
    """Where the programs of these very versions are, or will be. Raises `build.BuildError`."""
    return build.folder_in(build.cache() / "node", programs)
