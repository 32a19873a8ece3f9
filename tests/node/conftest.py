"""One real node for the whole run, with the project's image, as its users would deploy it."""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e import audit
from tests.e2e.workload import Workload
from tests.node import by_name
from tests.node.programs import IMAGE
from tools.controlplane import binaries
from tools.controlplane.pytest_plugin import NodePool
from tools.demo.kind import deploy, has_docker
from tools.demo.shell import ROOT, Shell
from tools.node import images, machine
from tools.node.cluster import RealCluster
from tools.node.kind import AnyCluster, kind_cluster
from tools.node.node import NAME

WAITING = (
    "docker.io/ciena/grpc-hello-server:0.1.0",
    "docker.io/ciena/grpc-hello-client:0.1.0",
    "docker.io/library/main:1",
    "docker.io/prgcont/gordon:v1.0",
)
"""Images of the examples and of `Workload` that only have to run."""

SLEEPING = "docker.io/library/busybox:1.37"
"""The image of an example that runs `sleep`."""

FAKE_NODES = 3
POOL = "real"
"""Of the real node alone."""


@pytest.fixture(scope="session", params=["node", pytest.param("kind", marks=pytest.mark.kind)])
def made_by(request: pytest.FixtureRequest) -> str:
    """Whether the cluster is that of `make node`, or one of kind."""
    if os.geteuid():
        pytest.skip("to see and to kill what runs in pods takes root")
    chosen: str = request.param
    if chosen == "kind" and not has_docker():
        pytest.skip("no Docker engine answers here")
    return chosen


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a node of their own come first: there can be only one at a time."""
    items.sort(key=lambda item: isinstance(item, pytest.Function) and "made_by" in item.fixturenames)


@pytest.fixture(scope="session")
def audited(made_by: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the audit log."""
    return tmp_path_factory.mktemp(f"audited-{made_by}")


@pytest.fixture(scope="session")
def serving(made_by: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the certificate that the API server shows those who call it by its name."""
    return tmp_path_factory.mktemp(f"serving-{made_by}")


@pytest.fixture(scope="session")
def real_cluster(made_by: str, audited: Path, serving: Path) -> Iterator[AnyCluster]:
    """The cluster, with the images that its pods need; it writes down what the scheduler does."""
    commit = machine.run("git", "-C", ROOT, "rev-parse", "HEAD").strip()
    images.build_scheduler(IMAGE, commit)
    arguments = [*audit.arguments(audited), by_name.argument(serving)]
    with ExitStack() as stack:
        cluster: AnyCluster
        if made_by == "kind":
            folders = [audited, serving]
            cluster = stack.enter_context(
                kind_cluster(fake=FAKE_NODES, apiserver_args=arguments, folders=folders)
            )
        else:
            cluster = stack.enter_context(RealCluster(fake=FAKE_NODES, apiserver_args=arguments))
        cluster.client.request("PATCH", f"/api/v1/nodes/{NAME}", {"metadata": {"labels": {"pool": POOL}}})
        with images.exported(IMAGE) as archive:
            cluster.load(archive)
        for name in WAITING:
            cluster.load(images.waiting(name))
        cluster.load(images.waiting(SLEEPING, "sleep"))
        yield cluster


@pytest.fixture(scope="session")
def deployed(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The scheduler's Deployment, Ready, as `config/default` installs it."""
    deploy(shell, tmp_path_factory.mktemp("deployed"))


@pytest.fixture(scope="session")
def image_before(real_cluster: AnyCluster, tmp_path_factory: pytest.TempPathFactory) -> str:
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
def workload(real_cluster: AnyCluster, deployed: None, request: pytest.FixtureRequest) -> Iterator[Workload]:
    """What a test does in a namespace of its own, with pods that run."""
    name = f"node-{secrets.token_hex(4)}"
    real_cluster.create_namespace(name)
    yield Workload(real_cluster, name, NodePool(POOL, real_cluster))
    real_cluster.client.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def shell(real_cluster: AnyCluster) -> Shell:
    """A shell with the kubeconfig of the cluster."""
    path = f"{binaries.find('kubectl').parent}:{os.environ['PATH']}"
    return Shell({"KUBECONFIG": str(real_cluster.kubeconfig), "PATH": path})
