"""Two processes and one Lease: only the leader schedules, and what it began the next one finishes."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.history import recording
from tests.e2e.interception import intercepting
from tests.e2e.workload import Workload, eventually
from tests.manifests.documents import find, rendered
from tests.running import SCHEDULER, Pallet, configuration, running
from tools.controlplane import ControlPlane

pytestmark = pytest.mark.e2e

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/planner-system/leases/{SCHEDULER}"


ELECTION = {
    "leaderElect": True,
    "resourceNamespace": "planner-system",
    "resourceName": SCHEDULER,
    "leaseDuration": "3s",
    "renewDeadline": "2s",
    "retryPeriod": "500ms",
}


@pytest.fixture
def two(control_plane: ControlPlane, service_account: Path) -> Iterator[list[Pallet]]:
    """Two processes, of which one leads."""
    config = configuration(leaderElection=ELECTION)
    processes = [Pallet(control_plane, config, kubeconfig=service_account) for _ in range(2)]
    with ExitStack() as stack:
        for process in processes:
            process.start(ready=False)
            stack.callback(process.stop)
        eventually("both to be ready", lambda: all(process.is_ready() for process in processes))
        yield processes


def leads(process: Pallet) -> bool:
    return "Scheduling" in process.log


def bound_by(process: Pallet, workload: Workload) -> set[str]:
    """The pods that a process says it has bound."""
    marker = f"pod={workload.namespace}/"
    lines = (line for line in process.log.splitlines() if '"Bound pod"' in line and marker in line)
    return {line.partition(marker)[2].partition(" ")[0] for line in lines}


def test_only_the_leader_binds_and_when_it_is_killed_the_other_goes_on(
    workload: Workload, two: list[Pallet]
) -> None:
    workload.pool.add(2)
    eventually("a leader", lambda: any(map(leads, two)))
    leader, follower = sorted(two, key=leads, reverse=True)
    with recording(workload) as history:
        workload.add_trigger("first", "Schedule", name="first")
        workload.add_pods("a b", "first")
        workload.await_plan_as_bound("first", "a b")
        eventually("the leader to say so", lambda: bound_by(leader, workload) == {"a", "b"})
        assert not leads(follower)

        workload.add_trigger("second", "Planning", name="second")
        workload.add_pods("c d", "second")
        workload.await_reason("c d", "AwaitingTrigger")
        leader.kill()
        workload.switch("Schedule", "second")
        workload.await_plan_as_bound("second", "c d")
        eventually("the other to say so", lambda: bound_by(follower, workload) == {"c", "d"})
        history.check()


def test_a_leader_whose_loop_is_dead_ends_and_the_other_goes_on(
    control_plane: ControlPlane, service_account: Path, workload: Workload
) -> None:
    workload.pool.add(1)
    config = configuration(leaderElection=ELECTION)
    leader = Pallet(control_plane, config, kubeconfig=service_account, module="tests.with_dead_loop")
    with ExitStack() as stack:
        leader.start()
        stack.callback(leader.stop)
        eventually("a leader", lambda: leads(leader))
        standby = stack.enter_context(running(control_plane, config, kubeconfig=service_account))
        os.kill(leader.process.pid, signal.SIGUSR1)
        workload.add_pods("a")
        workload.await_bound("a")
        eventually("the dead one to end", lambda: leader.process.code is not None)
        assert leader.process.code == 1
        assert "The event loop does not run any more, so the process ends" in leader.log
        assert "hold_for_good" in leader.log
        eventually("the other to say so", lambda: bound_by(standby, workload) == {"a"})
        assert bound_by(leader, workload) == set()


def test_without_a_lease_the_younger_of_two_replicas_refuses(
    workload: Workload, control_plane: ControlPlane, service_account: Path
) -> None:
    [node] = workload.pool.add(1)
    template = find(rendered("default"), "Deployment", SCHEDULER)["spec"]["template"]
    labels = {**template["metadata"]["labels"], "pod-template-hash": workload.namespace}
    older, younger = (f"{workload.namespace}-{suffix}" for suffix in "ab")
    for name in (older, younger):
        metadata = {"name": name, "labels": labels}
        body = {"metadata": metadata, "spec": {**template["spec"], "nodeName": node}}
        workload.request("POST", "/api/v1/namespaces/planner-system/pods", body)
    schedules, refuses = (
        Pallet(control_plane, configuration(), kubeconfig=service_account, environment={"POD_NAME": name})
        for name in (older, younger)
    )
    refuses.start(ready=False)
    eventually("the younger one to end", lambda: not refuses.process.running)
    assert refuses.stop() == 1
    [line] = [each for each in refuses.log.splitlines() if "The scheduler ends" in each]
    assert f"pod planner-system/{older} is another replica" in line
    assert not leads(refuses)
    schedules.start()
    try:
        eventually("the older one to schedule", lambda: leads(schedules))
    finally:
        schedules.stop()
        for name in (older, younger):
            workload.request("DELETE", f"/api/v1/namespaces/planner-system/pods/{name}")


def test_a_leader_that_is_told_to_end_hands_over(workload: Workload, two: list[Pallet]) -> None:
    eventually("a leader", lambda: any(map(leads, two)))
    leader, follower = sorted(two, key=leads, reverse=True)
    holder = workload.request("GET", LEASE)["spec"]["holderIdentity"]
    assert leader.stop() == 0
    eventually("the other to lead", lambda: leads(follower))
    assert workload.request("GET", LEASE)["spec"]["holderIdentity"] != holder


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_standby_whose_watches_have_gone_silent_learns_what_the_leader_did(
    control_plane: ControlPlane, service_account: Path, workload: Workload, end: str
) -> None:
    workload.pool.add(2, capacity={"cpu": "4"})
    config = configuration(leaderElection=ELECTION)
    with (
        intercepting(service_account) as interception,
        running(control_plane, config, kubeconfig=service_account) as leader,
        running(control_plane, config, kubeconfig=None, master=interception.url) as standby,
    ):
        eventually("a leader", lambda: leads(leader))
        interception.freeze_watches()
        with recording(workload) as history:
            workload.add_pods("a b", cpu="3")
            workload.await_bound("a b")
            getattr(leader, end)()
            workload.add_pods("c d", cpu="3")
            eventually("the other to lead", lambda: leads(standby))
            workload.await_reason("c d", "Unschedulable")
            history.check()
