"""The scheduler beside the control plane of each supported release of Kubernetes, all running at once."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.workload import Workload, eventually
from tests.running import SCHEDULER, configuration, running
from tools.controlplane import ControlPlane, binaries, build
from tools.controlplane.pytest_plugin import NodePool
from tools.installation import install

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("pallet"), pytest.mark.time_limit(1800)]


@pytest.fixture(scope="module")
def control_planes(pytestconfig: pytest.Config) -> Iterator[dict[str, ControlPlane]]:
    """One control plane of each release. The first time their programs are built, hence the time limit."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with ExitStack() as started:
        found = {}
        for release in build.RELEASES:
            with pytest.MonkeyPatch.context() as environment, capture.global_and_fixture_disabled():
                environment.delenv("KUBEBUILDER_ASSETS", raising=False)
                environment.setenv(build.RELEASE_VARIABLE, release)
                found[release] = started.enter_context(ControlPlane())
                assert binaries.version("kube-apiserver") == f"v{release}"
        yield found


@pytest.fixture(scope="module", params=build.RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def control_plane(control_planes: dict[str, ControlPlane], release: str) -> ControlPlane:
    return control_planes[release]


@pytest.fixture(scope="module")
def pallet(control_plane: ControlPlane) -> Iterator[None]:
    """The installed scheduler, with the rights of its ServiceAccount."""
    install(control_plane)
    kubeconfig = control_plane.kubeconfig_for_service_account("planner-system", SCHEDULER)
    with running(control_plane, configuration(), kubeconfig=kubeconfig):
        yield


@pytest.fixture
def workload(control_plane: ControlPlane, namespace: str, node_pool: NodePool) -> Workload:
    return Workload(control_plane, namespace, node_pool)


def test_the_server_is_of_the_release(control_plane: ControlPlane, release: str) -> None:
    assert control_plane.client.request("GET", "/version")["gitVersion"] == f"v{release}"


def test_pods_are_bound_and_refused(workload: Workload) -> None:
    [node] = workload.pool.add(1, capacity={"cpu": "2"})
    workload.add_pods("fits", cpu="1")
    eventually("a binding", lambda: workload.bindings().get("fits") == node)
    workload.add_pods("too-large", cpu="4")
    condition = eventually("a refusal", lambda: workload.condition("too-large"))
    assert condition["reason"] == "Unschedulable"
    assert "Insufficient cpu" in condition["message"]


def test_a_pod_set_waits_for_its_trigger_and_is_bound_as_planned(workload: Workload) -> None:
    workload.pool.add(2)
    workload.add_trigger("web", "Planning")
    workload.add_pods("a b c", "web")
    workload.await_reason("a b c", "AwaitingTrigger")
    assert workload.bindings("web") == {}
    workload.switch("Schedule")
    workload.await_plan_as_bound("web", "a b c")
