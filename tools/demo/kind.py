"""The demo on a kind cluster, with the real image, where there is a Docker engine."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.demo.shell import ROOT, Shell, StepError

NAME = "pallet-demo"
"""The cluster's name: one of its own, so that no other is touched. Its workers are pallet-demo-worker..."""

DELETE = f"kind delete cluster --name {NAME}"
DEPLOYMENT = "-n planner-system deployment/podset-planner-scheduler"
IMAGE = "podset-planner-scheduler:demo"
NODES = "{kind: Cluster, apiVersion: kind.x-k8s.io/v1alpha4, nodes: [%s]}"
MINUTES = 60.0
WITHOUT = "without CLUSTER=kind no Docker is needed"


@contextmanager
def kind_cluster() -> Iterator[Shell]:
    """A new kind cluster with the scheduler deployed; deleted at the end.

    Raises `StepError` where a program is missing, Docker does not run, or a step fails.
    """
    _require_docker()
    with tempfile.TemporaryDirectory(prefix="pallet-demo-") as name:
        directory = Path(name)
        shell = Shell({"KUBECONFIG": f"{directory}/kubeconfig", "DOCKER_CLI_HINTS": "false"})
        try:
            _create(shell, directory)
            deploy(shell, directory)
            yield shell
        except StepError as error:
            raise StepError(f"{error}\n{_log(shell)}") from error
        finally:
            shell.run(DELETE, 5 * MINUTES)


def has_docker() -> bool:
    """Whether a Docker engine answers."""
    return (
        shutil.which("docker") is not None
        and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    )


def _require_docker() -> None:
    missing = [program for program in ("docker", "kind", "kubectl") if not shutil.which(program)]
    if missing:
        raise StepError(f"CLUSTER=kind needs {' and '.join(missing)} on PATH; {WITHOUT}")
    if not has_docker():
        raise StepError(f"CLUSTER=kind needs a running Docker engine; {WITHOUT}")
    clusters = subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, check=False)
    if NAME in clusters.stdout.split():
        raise StepError(
            f"there is a kind cluster {NAME} already; `kind delete cluster --name {NAME}` ends it"
        )


def _create(shell: Shell, directory: Path) -> None:
    shell.title("A kind cluster of three workers, and the image")
    roles = ", ".join(f"{{role: {role}}}" for role in ("control-plane", "worker", "worker", "worker"))
    (directory / "kind.yaml").write_text(NODES % roles)
    build_image(shell)
    shell.run(f"kind create cluster --name {NAME} --wait 2m --config {directory}/kind.yaml", 15 * MINUTES)
    shell.run(f"kind load docker-image {IMAGE} --name {NAME}", 5 * MINUTES)


def build_image(shell: Shell) -> None:
    """Builds the demo's image; raises `StepError`."""
    shell.run(f"docker build --quiet --tag {IMAGE} .", 15 * MINUTES)


def deploy(shell: Shell, directory: Path, overlay: str = "default") -> None:
    """Installs `config/<overlay>` with the demo's image, which the nodes must have; raises `StepError`."""
    shell.title("What `config/` installs")
    name, tag = IMAGE.split(":")
    kustomization = {
        "resources": [os.path.relpath(ROOT / "config" / overlay, directory.resolve())],
        "images": [{"name": name, "newTag": tag}],
    }
    (directory / "kustomization.yaml").write_text(json.dumps(kustomization))
    shell.run(f"kubectl apply -k {directory}")
    shell.run(
        "kubectl rollout status -n planner-system deployment/podset-planner-scheduler --timeout=2m", 150
    )


def _log(shell: Shell) -> str:
    try:
        return shell.run(f"kubectl logs {DEPLOYMENT} --tail=25")
    except StepError as error:
        return str(error)
