"""One real node for the whole run, with the project's image, as its users would deploy it."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import audit
from tests.e2e.workload import Workload
from tests.node import by_name
from tests.node.programs import IMAGE
from tools.controlplane import binaries
from tools.controlplane.pytest_plugin import NodePool
from tools.demo.kind import deploy
from tools.demo.shell import ROOT, Shell
from tools.node import images, machine
from tools.node.cluster import RealCluster
from tools.node.node import NAME

WAITING = (
    "docker.io/ciena/grpc-hello-server:0.1.0",
    "docker.io/ciena/grpc-hello-client:0.1.0",
    "docker.io/library/main:1",
)
"""Images of the examples and of `Workload` that only have to run."""

FAKE_NODES = 3
POOL = "real"
"""Of the real node alone."""


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the audit log."""
    return tmp_path_factory.mktemp("audited")


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the certificate that the API server shows those who call it by its name."""
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="session")
def real_cluster(audited: Path, serving: Path) -> Iterator[RealCluster]:
    """The cluster, with the images that its pods need; it writes down what the scheduler does."""
    if os.geteuid():
        pytest.skip("a real node needs root")
    commit = machine.run("git", "-C", ROOT, "rev-parse", "HEAD").strip()
    images.build_scheduler(IMAGE, commit)
    arguments = [*audit.arguments(audited), by_name.argument(serving)]
    with RealCluster(fake=FAKE_NODES, apiserver_args=arguments) as cluster:
        cluster.client.request("PATCH", f"/api/v1/nodes/{NAME}", {"metadata": {"labels": {"pool": POOL}}})
        with images.exported(IMAGE) as archive:
            cluster.load(archive)
        for name in WAITING:
            cluster.load(images.waiting(name))
        yield cluster


@pytest.fixture(scope="session")
def deployed(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The scheduler's Deployment, Ready, as `config/default` installs it."""
    deploy(shell, tmp_path_factory.mktemp("deployed"))


@pytest.fixture(scope="session")
def image_before(real_cluster: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of the image of the last commit but one, which the node has."""
    folder = tmp_path_factory.mktemp("before")
    commit = machine.run("git", "-C", ROOT, "rev-parse", "HEAD~1").strip()
    machine.run("git", "-C", ROOT, "archive", "--format=tar", f"--output={folder / 'tree.tar'}", commit)
    machine.run("tar", "--extract", f"--directory={folder}", f"--file={folder / 'tree.tar'}")
    name = f"{IMAGE}-before"
    images.build_from(folder, name, COMMIT=commit)
    with images.exported(name) as archive:
        real_cluster.load(archive)
    return name


@pytest.fixture
def workload(real_cluster: RealCluster, deployed: None, request: pytest.FixtureRequest) -> Iterator[Workload]:
    """What a test does in a namespace of its own, with pods that run."""
    name = f"node-{secrets.token_hex(4)}"
    real_cluster.create_namespace(name)
    yield Workload(real_cluster, name, NodePool(POOL, real_cluster))
    real_cluster.client.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def shell(real_cluster: RealCluster) -> Shell:
    """A shell with the kubeconfig of the cluster."""
    path = f"{binaries.find('kubectl').parent}:{os.environ['PATH']}"
    return Shell({"KUBECONFIG": str(real_cluster.kubeconfig), "PATH": path})
