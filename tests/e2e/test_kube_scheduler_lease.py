"""Beside the real kube-scheduler: the pods of default-scheduler have one scheduler at a time.

On a control plane of the test's own, since kube-scheduler's Lease is one for the whole cluster.
"""

import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from tests.e2e.workload import Workload, eventually
from tests.running import SCHEDULER, Pallet, configuration, running
from tools.controlplane import ControlPlane
from tools.controlplane.processes import Process
from tools.controlplane.pytest_plugin import NodePool

pytestmark = pytest.mark.e2e

ELECTION = {"leaderElect": True, "leaseDuration": "3s", "renewDeadline": "2s", "retryPeriod": "500ms"}
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
OFF = {"leaderElect": False}
ELSEWHERE = {**ELECTION, "resourceNamespace": "planner-system", "resourceName": SCHEDULER}
LATE = 10.0
"""Seconds in which a process has seen whether the Lease is renewed: a few renewals."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """What the overlay installs, without a process."""
    with ControlPlane() as control_plane:
        control_plane.kubectl("apply", "-k", "config/default-scheduler")
        control_plane.kubectl("-n", "planner-system", "scale", f"deployment/{SCHEDULER}", "--replicas=0")
        yield control_plane


@pytest.fixture
def workload(cluster: ControlPlane) -> Workload:
    """A namespace and nodes of the test's own."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.create_namespace(name)
    pool = NodePool(name, cluster)
    pool.add(1)
    return Workload(cluster, name, pool)


@pytest.fixture
def kube_scheduler(cluster: ControlPlane) -> Iterator[Process]:
    """The real one, as soon as it leads."""
    process = cluster.start_kube_scheduler({"leaderElection": ELECTION})
    try:
        eventually("kube-scheduler to lead", lambda: holder(cluster).startswith(socket.gethostname()))
        yield process
    finally:
        process.terminate()


@pytest.fixture
def service_account(cluster: ControlPlane) -> Path:
    """The kubeconfig of the installed ServiceAccount."""
    return cluster.kubeconfig_for_service_account("planner-system", SCHEDULER)


def holder(cluster: ControlPlane) -> str:
    """Who holds kube-scheduler's Lease; empty where there is none."""
    leases = cluster.client.request("GET", LEASES)["items"]
    return "".join(
        each["spec"].get("holderIdentity", "")
        for each in leases
        if each["metadata"]["name"] == "kube-scheduler"
    )


def test_the_overlay_stands_by_until_kube_scheduler_ends_and_then_takes_over(
    cluster: ControlPlane, workload: Workload, service_account: Path, kube_scheduler: Process
) -> None:
    overlay = yaml.safe_load(Path("config/default-scheduler/scheduler-config.yaml").read_text())
    overlay["leaderElection"] |= ELECTION
    with running(cluster, overlay, kubeconfig=service_account) as process:
        workload.add_pods("theirs", schedulerName="default-scheduler")
        workload.await_bound("theirs")
        assert "Scheduling" not in process.log
        kube_scheduler.terminate()
        eventually("the other to lead", lambda: '"Scheduling"' in process.log)
        workload.add_pods("ours", schedulerName="default-scheduler")
        workload.await_bound("ours")
        eventually("it to say so", lambda: f"pod={workload.namespace}/ours" in process.log)
        assert "forbidden" not in process.log


@pytest.mark.parametrize("election", [OFF, ELSEWHERE], ids=["no election", "another Lease"])
def test_without_the_lease_it_refuses_while_kube_scheduler_renews_it(
    cluster: ControlPlane, service_account: Path, kube_scheduler: Process, election: Mapping[str, object]
) -> None:
    process = Pallet(cluster, plain(election), kubeconfig=service_account)
    process.start(ready=False)
    eventually("it to refuse", lambda: not process.process.running, LATE)
    assert kube_scheduler.running
    assert '"Scheduling"' not in process.log
    [line] = [each for each in process.log.splitlines() if "The scheduler ends" in each]
    assert f"the lease kube-system/kube-scheduler is renewed by {socket.gethostname()}" in line
    assert "--ignore-kube-scheduler-lease" in line


def test_it_ends_when_a_kube_scheduler_comes_later(
    cluster: ControlPlane, workload: Workload, service_account: Path
) -> None:
    with running(cluster, plain(OFF), kubeconfig=service_account) as process:
        workload.add_pods("ours", schedulerName="default-scheduler")
        workload.await_bound("ours")
        late = cluster.start_kube_scheduler({"leaderElection": ELECTION})
        try:
            eventually("it to end", lambda: not process.process.running, LATE)
        finally:
            late.terminate()
    assert "--ignore-kube-scheduler-lease" in process.log


def test_the_lease_is_ignored_where_that_is_asked_for(
    cluster: ControlPlane, service_account: Path, kube_scheduler: Process
) -> None:
    flags = ["--ignore-kube-scheduler-lease"]
    with running(cluster, plain(OFF), kubeconfig=service_account, flags=flags) as process:
        eventually("it to schedule", lambda: '"Scheduling"' in process.log)
        assert kube_scheduler.running


def test_a_lease_that_it_may_not_read_is_a_line_with_the_right_to_grant(
    cluster: ControlPlane, service_account: Path
) -> None:
    cluster.kubectl("-n", "kube-system", "delete", "rolebinding", f"{SCHEDULER}-kube-scheduler-lease")
    try:
        process = Pallet(cluster, plain(OFF), kubeconfig=service_account)
        process.start(ready=False)
        eventually("it to refuse", lambda: not process.process.running, LATE)
    finally:
        cluster.kubectl("apply", "-k", "config/default-scheduler")
        cluster.kubectl("-n", "planner-system", "scale", f"deployment/{SCHEDULER}", "--replicas=0")
    [line] = [each for each in process.log.splitlines() if "The scheduler ends" in each]
    assert 'grant verb \\"get\\" on resource \\"leases\\"' in line
    assert "--ignore-kube-scheduler-lease" in line


def plain(election: Mapping[str, object]) -> dict[str, object]:
    """The default plugins for the pods of kube-scheduler."""
    return configuration(leaderElection=election, profiles=[{"schedulerName": "default-scheduler"}])
