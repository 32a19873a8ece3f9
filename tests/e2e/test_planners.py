"""Planners in other processes, and what the configuration says of planners."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.workload import Workload, eventually
from tests.running import Pallet, configuration, running
from tools.controlplane import ControlPlane
from tools.controlplane.processes import Process, free_port

pytestmark = pytest.mark.e2e

SERVICES = "/api/v1/namespaces/{}/services"
OWN = SERVICES.format("planner-system") + "/podset-planner"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/planner-system/endpointslices"


def configured(**planner: Any) -> dict[str, Any]:
    """The installed configuration with other arguments for planners."""
    config = configuration()
    config["profiles"][0]["pluginConfig"][0]["args"]["planner"].update(planner)
    return config


@pytest.fixture
def foreign_planner(control_plane: ControlPlane, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A planner in a process of its own; gives its address, and its log."""
    address, log = f"127.0.0.1:{free_port()}", tmp_path / "planner.log"
    command = [sys.executable, "-m", "tests.e2e.foreign_planner", address]
    process = Process(command, log, group=control_plane.group, environment=os.environ)
    try:
        process.wait_until(lambda: "ready" in log.read_text(), "becoming ready", 20.0)
        yield address, log
    finally:
        process.terminate()


@contextmanager
def planner_service(workload: Workload, namespace: str, pod_set: str) -> Iterator[str]:
    """The Service of a set's planner; gives its key."""
    name = f"planner-of-{workload.namespace}"
    metadata = {"name": name, "labels": {f"planner.ciena.io/{pod_set}": "enabled"}}
    body = {"metadata": metadata, "spec": {"ports": [{"port": 7309}]}}
    workload.request("POST", SERVICES.format(namespace), body)
    try:
        yield f"{namespace}/{name}"
    finally:
        workload.request("DELETE", f"{SERVICES.format(namespace)}/{name}")


def test_a_planner_in_another_process_plans_pod_by_pod(
    workload: Workload, service_account: Path, foreign_planner: tuple[str, Path]
) -> None:
    """Its address is configured, as for a scheduler outside of the cluster."""
    address, log = foreign_planner
    nodes = workload.pool.add(3)
    pod_set = workload.namespace
    with planner_service(workload, "podset-planners", pod_set) as service:
        config = configured(addresses={service: address})
        with running(workload.control_plane, config, kubeconfig=service_account):
            workload.add_trigger(pod_set, "Planning")
            workload.add_pods("a b c", pod_set)
            workload.await_reason("a b c", "AwaitingTrigger")
            workload.switch("Schedule")
            bindings = workload.await_plan_as_bound(pod_set, "a b c")
    assert set(bindings.values()) == {max(nodes)}
    assert sorted(log.read_text().splitlines()) == ["a 3", "b 3", "c 3", "ready"]


def test_another_replica_s_planner_is_reached_over_grpc(workload: Workload, service_account: Path) -> None:
    """Both are the real program: a standby, which serves plans, and the one that leads and asks it.

    The set has a Service, so that the leader's built-in planner does not plan it.
    """
    workload.pool.add(2)
    pod_set, address = workload.namespace, f"127.0.0.1:{free_port()}"
    election = {
        "leaderElect": True,
        "resourceNamespace": "planner-system",
        "resourceName": "podset-planner-scheduler",
    }
    with planner_service(workload, "podset-planners", pod_set) as service:
        leading = configured(addresses={service: address}) | {"leaderElection": election}
        standing_by = configured(address=address) | {"leaderElection": election}
        with running(workload.control_plane, leading, kubeconfig=service_account) as leader:
            # A process that was killed before may have left the lease, which then has to run out.
            eventually("one to lead", lambda: '"Scheduling"' in leader.log, patience=40)
            with running(workload.control_plane, standing_by, kubeconfig=service_account) as standby:
                eventually("plans to be served", lambda: "Serving plans" in standby.log)
                assert '"Scheduling"' not in standby.log
                workload.add_trigger(pod_set, "Schedule")
                workload.add_pods("a b", pod_set)
                workload.await_plan_as_bound(pod_set, "a b")


@pytest.fixture
def own_service(workload: Workload) -> Iterator[dict[str, Any]]:
    """The Service podset-planner as it is installed here, without a selector; put back at the end."""
    before = workload.request("GET", OWN)
    assert "selector" not in before["spec"]
    yield before
    workload.request("PATCH", OWN, {"spec": {"selector": None}})


def test_the_own_service_in_front_of_others_is_called_and_one_without_ready_pods_is_an_error(
    workload: Workload, service_account: Path, own_service: dict[str, Any]
) -> None:
    workload.pool.add(1)
    with running(workload.control_plane, configuration(), kubeconfig=service_account):
        workload.add_trigger("web", "Schedule")
        workload.add_pods("a", "web")
        workload.await_plan_as_bound("web", "a")
        workload.request("PATCH", OWN, {"spec": {"selector": {"app": "podset-planner"}}})
        workload.add_trigger("late", "Schedule", name="late")
        workload.add_pods("b", "late")
        workload.await_reason("b", "SchedulerError")
        assert "planner planner-system/podset-planner: UNAVAILABLE" in workload.condition("b")["message"]
        workload.request("PATCH", OWN, {"spec": {"selector": None}})
        workload.await_plan_as_bound("late", "b")


def test_endpoints_that_others_wrote_make_the_own_service_somebody_else_s(
    workload: Workload, service_account: Path, own_service: dict[str, Any]
) -> None:
    """Whether they are ready or not."""
    workload.pool.add(1)
    slice_ = {
        "metadata": {"name": "elsewhere", "labels": {"kubernetes.io/service-name": "podset-planner"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": False}}],
        "ports": [{"port": 7777}],
    }
    workload.request("POST", SLICES, slice_)
    try:
        with running(workload.control_plane, configuration(), kubeconfig=service_account):
            workload.add_trigger("web", "Schedule")
            workload.add_pods("a", "web")
            workload.await_reason("a", "SchedulerError")
            assert "planner planner-system/podset-planner: UNAVAILABLE" in workload.condition("a")["message"]
    finally:
        workload.request("DELETE", f"{SLICES}/elsewhere")


@pytest.mark.parametrize(
    ("planner", "place"),
    [
        pytest.param(
            {"address": "127.0.0.1:{taken}"},
            ".address: the planner cannot listen on 127.0.0.1:{taken}: Address already in use",
            id="a taken port",
        ),
        pytest.param({"address": "127.0.0.1"}, ': address must be "host:port"', id="no port"),
        pytest.param(
            {"tls": {field: f"/nowhere/{field}" for field in ("caFile", "certFile", "keyFile")}},
            ".tls.caFile: /nowhere/caFile cannot be read: no such file or directory",
            id="no TLS files",
        ),
    ],
)
def test_a_planner_that_cannot_be_served_is_told_before_anything_is_scheduled(
    control_plane: ControlPlane, service_account: Path, planner: dict[str, Any], place: str
) -> None:
    """In one line, with the place in the configuration."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        if "address" in planner:
            planner = {"address": planner["address"].replace("{taken}", port)}
        process = Pallet(control_plane, configured(**planner), kubeconfig=service_account)
        process.start(ready=False)
        eventually("its end", lambda: not process.process.running)
    words = f"scheduler-config.yaml: profiles[0].pluginConfig[0].args.planner{place.replace('{taken}', port)}"
    assert [line for line in process.log.splitlines() if words in line]
    assert "Scheduling" not in process.log
    assert "Traceback" not in process.log
