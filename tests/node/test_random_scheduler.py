"""The lab of examples/random-scheduler in a cluster: a Deployment of an image with the plugin in it."""

import time
from collections.abc import Iterator

import pytest

from tests.e2e.random_scheduler import EXAMPLE, await_missing_rights, await_placed
from tests.e2e.workload import Document, Workload, eventually
from tests.node.conftest import FAKE_NODES
from tests.node.programs import IMAGE
from tools.controlplane import KubectlError, numbered
from tools.node import images
from tools.node.kind import AnyCluster
from tools.node.node import NAME

pytestmark = pytest.mark.time_limit(300)

WITH_PLUGIN = "docker.io/library/random-scheduler:0.1.0"
DEPLOYMENT = ("-n", "kube-system", "deployment/random-scheduler")
PODS = "/api/v1/namespaces/kube-system/pods?labelSelector=app%3Drandom-scheduler"
END_SECONDS = 120.0
"""It waits for its rights for a minute."""


@pytest.fixture
def lab(workload: Workload, real_cluster: AnyCluster) -> Iterator[Workload]:
    """The workload, with the Deployment in the cluster, and nothing granted to it."""
    images.build_from(EXAMPLE, WITH_PLUGIN, SCHEDULER=IMAGE)
    with images.exported(WITH_PLUGIN) as archive:
        real_cluster.load(archive)
    real_cluster.kubectl("apply", "-k", str(EXAMPLE))
    yield workload
    real_cluster.kubectl("delete", "--ignore-not-found", "-f", str(EXAMPLE / "rbac.yaml"))
    real_cluster.kubectl("delete", "-k", str(EXAMPLE))


def container(workload: Workload) -> Document:
    """The status of the one container of the Deployment; empty until there is one."""
    statuses = [pod["status"].get("containerStatuses", ()) for pod in workload.request("GET", PODS)["items"]]
    return next((status for [status] in filter(None, statuses)), {})


def end(workload: Workload) -> Document:
    """How the container ended, the last time that it did."""
    status = container(workload)
    states = (status.get("state", {}), status.get("lastState", {}))
    return next((state["terminated"] for state in states if "terminated" in state), {})


def test_without_its_rights_it_says_which_are_missing_and_ends_and_with_them_it_places_sleep(
    lab: Workload,
) -> None:
    kubectl = lab.control_plane.kubectl

    def log() -> str:
        try:
            return kubectl("logs", *DEPLOYMENT)
        except KubectlError:  # it is not there yet
            return ""

    kubectl("apply", "-n", lab.namespace, "-f", str(EXAMPLE / "sleep.yaml"))
    await_missing_rights(log)
    ended = eventually("it to end", lambda: end(lab), END_SECONDS)
    assert ended["exitCode"] == 1
    assert "forbidden" in ended["message"]
    assert not container(lab)["ready"]
    assert not lab.bindings()

    began = time.monotonic()
    kubectl("apply", "-f", str(EXAMPLE / "rbac.yaml"))
    kubectl("rollout", "status", *DEPLOYMENT, "--timeout=90s")
    assert await_placed(lab, log) == NAME
    lab.await_running(lab.bindings())
    print(f"running {time.monotonic() - began:.1f} s after the rights were granted")  # noqa: T201
    for node in (NAME, *numbered("fake", FAKE_NODES)):
        assert f'"New Node Added to Store: {node}"' in log()
    assert "orbidden" not in log().rpartition("Scheduling")[2]
