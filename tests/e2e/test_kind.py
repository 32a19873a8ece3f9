"""The quickstart on a kind cluster: real kubelets, and the image that users deploy."""

import shutil
import subprocess
from pathlib import Path

import pytest
from pytest_kind.cluster import KindCluster

from tools.demo.kind import IMAGE, build_image, deploy
from tools.demo.quickstart import walk_through
from tools.demo.shell import Shell


def has_docker() -> bool:
    docker = shutil.which("docker")
    return (
        docker is not None
        and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0
    )


pytestmark = [
    pytest.mark.kind,
    pytest.mark.e2e,
    pytest.mark.time_limit(1200),
    pytest.mark.skipif(not has_docker(), reason="no Docker engine answers here"),
]


def test_the_quickstart(kind_cluster: KindCluster, tmp_path: Path) -> None:
    shell = Shell({"KUBECONFIG": str(kind_cluster.kubeconfig_path.absolute())})
    build_image(shell)
    kind_cluster.load_docker_image(IMAGE)
    deploy(shell, tmp_path)
    walk_through(shell, "5s")
