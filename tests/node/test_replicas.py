"""Two replicas of the Deployment: what happens to a set when the one that leads goes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.history import recording
from tests.e2e.workload import Document, Workload, eventually
from tests.node.deployment import (
    NAMESPACE,
    REPLICAS,
    TARGET,
    container,
    leader,
    pods,
    process_of,
    restarts,
)
from tools.demo.shell import Shell
from tools.node import machine
from tools.node.kind import AnyCluster

pytestmark = pytest.mark.time_limit(600)

MEMBERS = [f"member-{number}" for number in range(20)]


def add_members(workload: Workload) -> None:
    """A set of pods that run, on the real node, and wait for their trigger."""
    workload.add_trigger("web", "Planning")
    workload.add_pods(MEMBERS, "web", cpu="1m")
    workload.await_reason(" ".join(MEMBERS), "AwaitingTrigger")


def delete(shell: Shell, pod: Document) -> None:
    shell.run(f"kubectl -n {NAMESPACE} delete pod {pod['metadata']['name']}")


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


@pytest.mark.parametrize("end", [delete, kill, stop, exhaust])
def test_a_set_is_placed_whole_when_the_leader_goes_in_the_middle(
    workload: Workload, shell: Shell, end: Callable[[Shell, Document], None]
) -> None:
    with recording(workload) as history:
        add_members(workload)
        gone = leader(workload)
        before = restarts(workload, gone)
        workload.switch("Schedule")
        eventually("the first binding", workload.bindings)
        end(shell, gone)
        began = time.monotonic()
        workload.await_plan_as_bound("web", " ".join(MEMBERS))
        workload.await_running(MEMBERS)
        print(f"all members run {time.monotonic() - began:.1f} s later")  # noqa: T201 - pytest shows it
        history.check()
    if end is not delete:
        eventually(
            "the container to be started again", lambda: restarts(workload, gone) > before, patience=120
        )
    if end is exhaust:  # the reason is OOMKilled, or Error where containerd hears of it too late
        assert container(workload, gone)["lastState"]["terminated"]["exitCode"] == 128 + signal.SIGKILL


def test_a_set_is_placed_whole_when_the_api_server_restarts_in_the_middle(
    workload: Workload, real_cluster: AnyCluster
) -> None:
    with recording(workload) as history:
        add_members(workload)
        leading = leader(workload)
        before = restarts(workload, leading)
        workload.switch("Schedule")
        eventually("the first binding", workload.bindings)
        real_cluster.restart_apiserver()
        began = time.monotonic()
        workload.await_plan_as_bound("web", " ".join(MEMBERS))
        workload.await_running(MEMBERS)
        print(f"all members run {time.monotonic() - began:.1f} s later")  # noqa: T201 - pytest shows it
        history.check()
    assert restarts(workload, leading) == before


def test_a_replica_that_is_scaled_away_while_it_starts_ends_when_it_is_told(
    workload: Workload, shell: Shell
) -> None:
    """Before Python has started, its first process ignores the signal, and is killed after 30 s."""
    there = {pod["metadata"]["uid"] for pod in pods(workload)}
    shell.run(f"kubectl scale {TARGET} --replicas={REPLICAS + 1}")

    def started() -> bool:
        new = {pod["metadata"]["uid"] for pod in pods(workload)} - there
        return any(catches_sigterm(process) for uid in new for process in machine.processes_of(uid))

    eventually("its process to begin", started)
    shell.run(f"kubectl scale {TARGET} --replicas={REPLICAS}")
    began = time.monotonic()
    eventually("it to end", lambda: {pod["metadata"]["uid"] for pod in pods(workload)} == there)
    print(f"gone after {time.monotonic() - began:.1f} s")  # noqa: T201 - pytest shows it


def catches_sigterm(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM; sandboxes have one, too."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text()
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return False
    caught = int(dict(line.split(":", 1) for line in lines)["SigCgt"], 16)
    return "pallet" in command and bool(caught & 1 << signal.SIGTERM - 1)
