"""Builds the programs of a real node once, into the user's cache, beside those of the control plane.

Each Go module in this folder pins the versions of what is built from it; kubelet and kube-proxy are of the
control plane's own version.
"""

from pathlib import Path

from tools.controlplane import build
from tools.controlplane.build import Program

MODULES = Path(__file__).parent
KUBERNETES = MODULES / "kubernetes"
CONTAINERD = MODULES / "containerd"
COREDNS = MODULES / "coredns"

SHIM = "containerd-shim-runc-v2"

PROGRAMS = (
    Program("kubelet", "k8s.io/kubernetes/cmd/kubelet", KUBERNETES),
    Program("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", KUBERNETES),
    Program("containerd", "github.com/containerd/containerd/v2/cmd/containerd", CONTAINERD),
    Program(
        "containerd-shim-runc-v2",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        CONTAINERD,
    ),
    Program("ctr", "github.com/containerd/containerd/v2/cmd/ctr", CONTAINERD),
    Program("coredns", "github.com/coredns/coredns", COREDNS),
)


def find(name: str) -> Path:
    """The path of a program, which the first call builds. Raises `build.BuildError`."""
    return build.build_into(folder(), PROGRAMS, "cold: about 8 minutes on 2 cores") / name


def folder() -> Path:
    """Where the programs of these very versions are, or will be, for this kind of machine."""
    return build.folder_in(build.cache() / "node", (KUBERNETES, CONTAINERD, COREDNS))
