"""Planners in other pods, and ours for other pods: through Services and cluster DNS."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.e2e.workload import Document, Workload, eventually
from tests.node.deployment import NAMESPACE, TARGET, await_rollout, pods
from tests.node.programs import CALLER, PLANNER, Program, create_secret, is_open
from tests.running import SCHEDULER
from tools.controlplane.certificates import Authority, Pair
from tools.demo.shell import Shell
from tools.node.cluster import KWOK
from tools.node.node import NAME

pytestmark = [pytest.mark.time_limit(300), pytest.mark.usefixtures("deployed")]

PORT, OWN_PORT = 7309, 7777
OWN = f"podset-planner.{NAMESPACE}.svc"
SERVICE = f"/api/v1/namespaces/{NAMESPACE}/services/podset-planner"
CONFIG = f"/api/v1/namespaces/{NAMESPACE}/configmaps/scheduler-config"
ANYWHERE: Document = {"nodeSelector": {}, "tolerations": [KWOK.to_dict()]}
"""The part of a pod's spec with which it may go to every node: three that pretend, and last the real one."""

WITH_TLS = {
    "containers": [
        {"name": SCHEDULER, "volumeMounts": [{"name": "planner-tls", "mountPath": "/etc/planner-tls"}]}
    ],
    "volumes": [{"name": "planner-tls", "secret": {"secretName": "planner-tls"}}],
}


@contextmanager
def planner(workload: Workload, pod_set: str, tls: Pair | None = None, ca: bytes = b"") -> Iterator[Program]:
    """A planner of a set, which puts its pods on the last of the nodes."""
    program = Program(workload, "podset-planners", f"planner-of-{pod_set}")
    try:
        program.start(PLANNER, f"0.0.0.0:{PORT}", port=PORT, tls=tls, ca=ca)
        program.serve({f"planner.ciena.io/{pod_set}": "enabled"}, PORT)
        yield program
    finally:
        program.remove()


def add_set(workload: Workload, pod_set: str) -> list[str]:
    """A set of three pods that wait for their trigger; gives their names."""
    names = [f"{pod_set}-{number}" for number in range(3)]
    workload.add_trigger(pod_set, "Planning", name=pod_set)
    workload.add_pods(names, pod_set, cpu="1m", **ANYWHERE)
    workload.await_reason(" ".join(names), "AwaitingTrigger")
    return names


def await_placed(workload: Workload, pod_set: str, names: list[str]) -> None:
    """Wait until the pods of a set run where the other planner wants them; tells how long that took."""
    began = time.monotonic()
    bindings = workload.await_plan_as_bound(pod_set, " ".join(names), patience=60)
    assert bindings == dict.fromkeys(names, NAME)
    bound = time.monotonic() - began
    workload.await_running(names)
    print(f"bound after {bound:.1f} s, running after {time.monotonic() - began:.1f} s")  # noqa: T201


def ask(
    workload: Workload, names: list[str], tls: Pair | None = None, ca: bytes = b""
) -> tuple[str, list[str]]:
    """Ask our planner about the set "web" from another pod; gives how that ended, and what it printed."""
    caller = Program(workload, workload.namespace, "with" if tls else "without")
    caller.start(CALLER, f"{OWN}:{PORT}", workload.namespace, "web", names[0], tls=tls, ca=ca)
    return caller.await_end(), caller.log


def test_planners_in_other_pods_are_called_each_for_its_set(workload: Workload) -> None:
    one, two = (f"{workload.namespace}-{number}" for number in (1, 2))
    with planner(workload, one) as first, planner(workload, two) as second:
        members = {pod_set: add_set(workload, pod_set) for pod_set in (one, two)}
        for pod_set in (one, two):
            workload.switch("Schedule", pod_set)
        for pod_set, program in ((one, first), (two, second)):
            await_placed(workload, pod_set, members[pod_set])
            assert sorted(program.log) == [*(f"{name} 4" for name in members[pod_set]), "ready"]


def test_a_set_is_placed_when_its_planner_dies_in_the_middle_of_a_call(workload: Workload) -> None:
    pod_set = workload.namespace
    with planner(workload, pod_set) as program:
        names = add_set(workload, pod_set)
        pid = program.pid
        os.kill(pid, signal.SIGSTOP)
        workload.switch("Schedule", pod_set)
        eventually("a call that waits", lambda: is_called(pid))
        os.kill(pid, signal.SIGKILL)
        await_placed(workload, pod_set, names)
        assert program.pod["status"]["containerStatuses"][0]["restartCount"] == 1
        notes = workload.events(names[0])["FailedScheduling"]
        assert f"planner podset-planners/{program.name}: UNAVAILABLE" in notes


def is_called(pid: int) -> bool:
    """Whether a connection to a planner has bytes that it has not read."""
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, queues, *_ = line.split()
            if local.endswith(f":{PORT:04X}") and state == "01" and int(queues.partition(":")[2], 16):
                return True
    return False


def test_our_planner_answers_other_pods(workload: Workload) -> None:
    names = add_set(workload, "web")
    phase, lines = ask(workload, names)
    assert phase == "Succeeded", lines
    assert [line.split()[0] for line in lines] == names
    assert not workload.bindings("web")
    workload.switch("Schedule", "web")
    bindings = workload.await_plan_as_bound("web", " ".join(names))
    assert bindings.keys() == set(names)


def test_a_planner_of_others_behind_our_service_is_called(workload: Workload) -> None:
    addresses = [(pod["status"]["podIP"], OWN_PORT) for pod in pods(workload)]
    eventually("our planner to be served", lambda: all(map(is_open, addresses)))
    other = Program(workload, NAMESPACE, "other")
    try:
        other.start(PLANNER, f"0.0.0.0:{OWN_PORT}", port=OWN_PORT)
        select(workload, "other")
        eventually("our planner to give way", lambda: not any(map(is_open, addresses)))
        names = add_set(workload, "web")
        workload.switch("Schedule", "web")
        await_placed(workload, "web", names)
        assert set(other.log) == {*(f"{name} 4" for name in names), "ready"}
    finally:
        select(workload, SCHEDULER)
        other.remove()
    eventually("our planner to be served", lambda: all(map(is_open, addresses)))


def select(workload: Workload, app: str) -> None:
    workload.request("PATCH", SERVICE, {"spec": {"selector": {"app": app}}})


@contextmanager
def configured_with_tls(workload: Workload, shell: Shell) -> Iterator[Authority]:
    """Have the scheduler show a certificate in planner calls, and ask for one; gives who signs them."""
    authority = Authority.create()
    ca = authority.pair.certificate
    create_secret(workload, NAMESPACE, "planner-tls", authority.peer(OWN), ca)
    before: Document = workload.request("GET", CONFIG)["data"]
    config = yaml.safe_load(before["scheduler-config.yaml"])
    files = {"caFile": "ca.crt", "certFile": "tls.crt", "keyFile": "tls.key"}
    tls = {field: f"/etc/planner-tls/{name}" for field, name in files.items()}
    config["profiles"][0]["pluginConfig"][0]["args"]["planner"]["tls"] = tls
    workload.request("PATCH", CONFIG, {"data": {"scheduler-config.yaml": yaml.safe_dump(config)}})
    try:
        patch = yaml.safe_dump({"spec": {"template": {"spec": WITH_TLS}}})
        workload.control_plane.kubectl("-n", NAMESPACE, "patch", "deployment", SCHEDULER, "-p", patch)
        await_rollout(workload, shell)
        yield authority
    finally:
        workload.request("PATCH", CONFIG, {"data": before})
        shell.run(f"kubectl rollout undo {TARGET}")
        await_rollout(workload, shell)
        workload.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}/secrets/planner-tls")


def test_with_mutual_tls_both_sides_show_a_certificate(workload: Workload, shell: Shell) -> None:
    pod_set = workload.namespace
    with configured_with_tls(workload, shell) as authority:
        ca = authority.pair.certificate
        pair = authority.peer(f"planner-of-{pod_set}.podset-planners.svc")
        with planner(workload, pod_set, pair, ca) as program:
            names = add_set(workload, pod_set)
            workload.switch("Schedule", pod_set)
            await_placed(workload, pod_set, names)
            assert set(program.log) == {*(f"{name} 4" for name in names), "ready"}
        names = add_set(workload, "web")
        phase, lines = ask(workload, names, authority.peer("caller"), ca)
        assert phase == "Succeeded", lines
        assert [line.split()[0] for line in lines] == names
        phase, lines = ask(workload, names)
        assert phase == "Failed"
        assert any("StatusCode.UNAVAILABLE" in line for line in lines)
