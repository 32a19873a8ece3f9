"""The demo's usual cluster: a control plane without containers, and the scheduler as a process beside it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tools.controlplane import binaries
from tools.controlplane.controlplane import ControlPlane
from tools.controlplane.nodes import kind_names
from tools.demo.scheduler import running_scheduler
from tools.demo.shell import Shell


@contextmanager
def local_cluster() -> Iterator[Shell]:
    """Three fake workers and a running scheduler; all of it ends with the context.

    Raises `StepError` where something does not start.
    """
    print("starting etcd, kube-apiserver, kube-controller-manager and kwok ...", flush=True)
    with ControlPlane() as control_plane:
        control_plane.add_nodes(kind_names(3))
        kubectl = binaries.find("kubectl")
        shell = Shell(
            {
                "KUBECONFIG": str(control_plane.kubeconfig),
                "KUBECACHEDIR": f"{control_plane.directory}/kubectl-cache",
                "KUBERC": "off",
                "PATH": f"{kubectl.parent}:{os.environ['PATH']}",
            }
        )
        _install(shell)
        with running_scheduler(shell, control_plane):
            yield shell


def _install(shell: Shell) -> None:
    shell.title("A cluster of three workers, and what `config/` installs")
    shell.run("kubectl get nodes")
    shell.run("kubectl apply -k config/demo")
    shell.run(
        "kubectl wait --for=condition=Established --timeout=30s "
        "crd/scheduletriggers.planner.ciena.io crd/scheduleplans.planner.ciena.io"
    )
    shell.run("kubectl get -n planner-system service,configmap,serviceaccount")
