"""Two replicas of the Deployment: what happens to a set when the one that leads goes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.history import recording
from tests.e2e.workload import Document, Workload, eventually
from tools.demo.shell import Shell
from tools.node import machine
from tools.node.cluster import RealCluster

pytestmark = pytest.mark.time_limit(600)

DEPLOYMENT = "-n planner-system deployment/podset-planner-scheduler"
PODS = "/api/v1/namespaces/planner-system/pods"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/planner-system/leases/podset-planner-scheduler"
MEMBERS = [f"member-{number}" for number in range(20)]


@pytest.fixture(autouse=True)
def replicas(shell: Shell, workload: Workload) -> Iterator[None]:
    """Two while a test runs, one afterwards."""
    for count in (2, 1):
        shell.run(f"kubectl scale {DEPLOYMENT} --replicas={count}")
        shell.run(f"kubectl rollout status {DEPLOYMENT} --timeout=90s", 100)
        # The rollout is over while a pod may still be ending, and lead.
        eventually(f"{count} pods", lambda count=count: len(workload.request("GET", PODS)["items"]) == count)  # type: ignore[misc]
        if count == 2:
            yield


def leader(workload: Workload) -> str:
    """The pod that leads."""
    holder: str = workload.request("GET", LEASE)["spec"]["holderIdentity"]
    return holder.partition("_")[0]


def add_members(workload: Workload) -> None:
    """A set of pods that run, on the real node, and wait for their trigger."""
    workload.add_trigger("web", "Planning")
    workload.add_pods(MEMBERS, "web", cpu="1m")
    workload.await_reason(" ".join(MEMBERS), "AwaitingTrigger")


def delete(shell: Shell, pod: Document) -> None:
    shell.run(f"kubectl -n planner-system delete pod {pod['metadata']['name']}")


def kill(_: Shell, pod: Document) -> None:
    os.kill(process_of(pod), signal.SIGKILL)


def stop(_: Shell, pod: Document) -> None:
    os.kill(process_of(pod), signal.SIGSTOP)


def exhaust(_: Shell, pod: Document) -> None:
    """Have it reach its memory limit: what another process takes in its container counts there, too."""
    hog = "import sys; sys.stdin.read(1); held = []\nwhile True: held.append(b'x' * 2**24)"
    with subprocess.Popen([sys.executable, "-c", hog], stdin=subprocess.PIPE) as process:
        machine.join_memory_of(process_of(pod), process.pid)
        process.communicate(b"x")
    assert process.returncode == -signal.SIGKILL, "it reached the limit, too, once it was alone"


def process_of(pod: Document) -> int:
    """The scheduler in a pod, seen from the machine."""
    pids = machine.processes_of(pod["metadata"]["uid"])
    [pid] = [pid for pid in pids if "pallet" in Path(f"/proc/{pid}/cmdline").read_text()]
    return pid


@pytest.mark.parametrize("end", [delete, kill, stop, exhaust])
def test_a_set_is_placed_whole_when_the_leader_goes_in_the_middle(
    workload: Workload, shell: Shell, end: Callable[[Shell, Document], None]
) -> None:
    with recording(workload) as history:
        add_members(workload)
        gone = workload.request("GET", f"{PODS}/{leader(workload)}")
        workload.switch("Schedule")
        eventually("the first binding", workload.bindings)
        end(shell, gone)
        began = time.monotonic()
        workload.await_plan_as_bound("web", " ".join(MEMBERS))
        workload.await_running(MEMBERS)
        print(f"all members run {time.monotonic() - began:.1f} s later")  # noqa: T201 - pytest shows it
        history.check()
    if end is not delete:
        eventually("the container to be started again", lambda: restarts(workload, gone) == 1, patience=120)
    if end is exhaust:
        assert container(workload, gone)["lastState"]["terminated"]["reason"] == "OOMKilled"


def test_a_set_is_placed_whole_when_the_api_server_restarts_in_the_middle(
    workload: Workload, real_cluster: RealCluster
) -> None:
    with recording(workload) as history:
        add_members(workload)
        leading = workload.request("GET", f"{PODS}/{leader(workload)}")
        workload.switch("Schedule")
        eventually("the first binding", workload.bindings)
        real_cluster.restart_apiserver()
        began = time.monotonic()
        workload.await_plan_as_bound("web", " ".join(MEMBERS))
        workload.await_running(MEMBERS)
        print(f"all members run {time.monotonic() - began:.1f} s later")  # noqa: T201 - pytest shows it
        history.check()
    assert restarts(workload, leading) == 0


def restarts(workload: Workload, pod: Document) -> int:
    count: int = container(workload, pod)["restartCount"]
    return count


def container(workload: Workload, pod: Document) -> Document:
    """The status of the scheduler's container."""
    found = workload.request("GET", f"{PODS}/{pod['metadata']['name']}")
    [status] = found["status"]["containerStatuses"]
    return dict(status)
