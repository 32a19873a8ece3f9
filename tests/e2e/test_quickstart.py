"""The examples, step by step, as a user goes through them with kubectl."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.workload import Workload, eventually
from tools.controlplane import ControlPlane, binaries, kind_names
from tools.controlplane.pytest_plugin import NodePool

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("pallet")]

POD_SET = "planner-podset"
PLAN = "planner-podset-d4cd7dc68"


@pytest.fixture
def workers(control_plane: ControlPlane) -> Iterator[list[str]]:
    """Three nodes that take any pod."""
    names = kind_names(3)
    control_plane.add_nodes(names)
    yield names
    for name in names:
        control_plane.client.request("DELETE", f"/api/v1/nodes/{name}")


@pytest.fixture
def default(control_plane: ControlPlane, node_pool: NodePool, workers: list[str]) -> Iterator[Workload]:
    """The namespace of the examples."""
    yield Workload(control_plane, "default", node_pool)
    for example in Path("examples").glob("*.yaml"):
        control_plane.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", str(example))


def trigger_manifest(quiet_time: str) -> str:
    """The example's trigger, with a shorter quiet time."""
    manifest = Path("examples/wt-scheduletrigger.yaml").read_text()
    assert "quiet-time: 2m0s" in manifest
    return manifest.replace("quiet-time: 2m0s", f"quiet-time: {quiet_time}")


def waiting(default: Workload) -> list[str]:
    """The pods that say that they wait for the trigger."""
    return [name for name in default.pods() if default.reason(name) == "AwaitingTrigger"]


def verify(control_plane: ControlPlane) -> subprocess.CompletedProcess[str]:
    """Runs the example's script."""
    path = f"{binaries.find('kubectl').parent}:{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "examples/planner_verify.py"],
        env={**os.environ, "KUBECONFIG": str(control_plane.kubeconfig), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_quickstart(control_plane: ControlPlane, default: Workload) -> None:
    control_plane.kubectl("apply", "-f", "-", input=trigger_manifest("2s"))
    control_plane.kubectl("apply", "-f", "examples/wt-deploy.yaml")
    eventually("two pods that wait for the trigger", lambda: len(waiting(default)) == 2)
    assert default.state("customtrigger") == "Planning"
    lines = control_plane.kubectl("get", "pods", "--no-headers").splitlines()
    assert [line.split()[2] for line in lines] == ["Pending", "Pending"]
    assert default.bindings() == {}

    pods = " ".join(default.pods())
    default.await_plan_as_bound(POD_SET, pods)
    [line] = control_plane.kubectl("get", "st", "customtrigger", "--no-headers").splitlines()
    assert line.split()[:3] == ["customtrigger", "Schedule", POD_SET]
    [line] = control_plane.kubectl("get", "sp", "-o", "wide", "--no-headers").splitlines()
    assert line.split()[:2] == [PLAN, POD_SET]
    for pod, node in default.bindings().items():
        assert f'{{"node":"{node}","pod":"{pod}"}}' in line
    checked = verify(control_plane)
    assert checked.returncode == 0, checked
    assert checked.stdout.endswith("Planner assignment verification success\n")

    control_plane.kubectl("delete", "-f", "examples/wt-deploy.yaml")
    eventually("the plan to go with the last pod", lambda: default.plan_object(POD_SET) is None)


@pytest.mark.parametrize("example", ["antiaffinity_deployment", "antiaffinity_deployment_weighted"])
def test_apps_that_keep_apart(control_plane: ControlPlane, default: Workload, example: str) -> None:
    control_plane.kubectl("apply", "-f", "-", input=trigger_manifest("200ms"))
    control_plane.kubectl("apply", "-f", f"examples/{example}.yaml")
    eventually("two pods", lambda: len(default.pods()) == 2)
    bindings = default.await_plan_as_bound(POD_SET, " ".join(default.pods()))
    assert len(set(bindings.values())) == 2
    assert verify(control_plane).returncode == 0


def test_required_keeps_a_pod_back_where_preferred_does_not(
    control_plane: ControlPlane, default: Workload, workers: list[str]
) -> None:
    for worker in workers[1:]:
        default.cordon(worker)
    control_plane.kubectl("apply", "-f", "-", input=trigger_manifest("200ms"))
    control_plane.kubectl("apply", "-f", "examples/antiaffinity_deployment.yaml")
    eventually("one of two pods to be bound", lambda: len(default.bindings()) == 1)
    [left] = set(default.pods()) - set(default.bindings())
    default.await_reason(left, "Unschedulable")
    assert "didn't match pod anti-affinity rules" in default.condition(left)["message"]

    control_plane.kubectl("delete", "-f", "examples/antiaffinity_deployment.yaml")
    eventually("the pods to go", lambda: not default.pods())
    control_plane.kubectl("apply", "-f", "examples/antiaffinity_deployment_weighted.yaml")
    eventually("both pods to be bound", lambda: len(default.bindings()) == 2)
