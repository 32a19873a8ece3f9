import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tools.controlplane import ApiError, ControlPlane, KubectlError, Taint, build, numbered
from tools.controlplane.detached import Detached
from tools.controlplane.processes import StartError
from tools.controlplane.pytest_plugin import NodePool

pytestmark = pytest.mark.e2e
linux = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for processes of others by pidfd")

POD = {"containers": [{"name": "main", "image": "none"}], "terminationGracePeriodSeconds": 0}


def pod(name: str, **spec: object) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": {**POD, **spec}}


def await_end(pids: list[int]) -> None:
    """Waits until all of these processes, which need not be children, have ended."""
    for pid in pids:
        try:
            ended = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        with os.fdopen(ended, "rb"):
            assert select.select([ended], [], [], 10)[0], f"{pid} still runs"


def python(*arguments: str) -> subprocess.Popen[str]:
    """Another Python, with pipes to it."""
    return subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def command(*arguments: str) -> tuple[int, str]:
    """Runs a command of the package; returns its exit code and what it printed."""
    with python("-m", "tools.controlplane", *arguments) as process:
        printed, _ = process.communicate()
    return process.returncode, printed


def test_the_servers_report_the_real_version(control_plane: ControlPlane) -> None:
    versions = json.loads(control_plane.kubectl("version", "-o", "json"))
    assert versions["serverVersion"]["gitVersion"] == f"v{build.release()}"
    assert versions["clientVersion"]["gitVersion"] == f"v{build.release()}"


def test_a_service_account_may_do_what_its_role_says_and_nothing_else(
    control_plane: ControlPlane, namespace: str
) -> None:
    own = ("-n", namespace)
    control_plane.kubectl(*own, "create", "serviceaccount", "reader")
    control_plane.kubectl(*own, "create", "role", "reader", "--verb=list", "--resource=pods")
    control_plane.kubectl(
        *own, "create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:reader"
    )
    kubeconfig = control_plane.kubeconfig_for_service_account(namespace, "reader")

    as_reader = ("--kubeconfig", str(kubeconfig), *own)
    assert control_plane.kubectl(*as_reader, "get", "pods", "-o", "name") == ""
    with pytest.raises(KubectlError, match="cannot list resource"):
        control_plane.kubectl(*as_reader, "get", "secrets")
    with pytest.raises(KubectlError, match="cannot list resource"):
        control_plane.kubectl(*as_reader, "get", "pods", "-n", "default")


def test_a_user_is_known_by_name_and_groups(control_plane: ControlPlane) -> None:
    kubeconfig = control_plane.kubeconfig_for("ann", ["team-a", "team-b"])
    answer = json.loads(
        control_plane.kubectl("--kubeconfig", str(kubeconfig), "auth", "whoami", "-o", "json")
    )
    user = answer["status"]["userInfo"]
    assert user["username"] == "ann"
    assert user["groups"] == ["team-a", "team-b", "system:authenticated"]


def test_a_token_needs_a_service_account(control_plane: ControlPlane, namespace: str) -> None:
    with pytest.raises(ApiError, match="NotFound"):
        control_plane.kubeconfig_for_service_account(namespace, "nobody")


def test_a_deployment_gets_pods_and_its_deletion_removes_them(
    control_plane: ControlPlane, namespace: str
) -> None:
    own = ("-n", namespace)
    control_plane.kubectl(*own, "create", "deployment", "web", "--image=none", "--replicas=2")
    control_plane.kubectl(*own, "wait", "--for=jsonpath={.status.replicas}=2", "deployment/web")
    assert len(control_plane.kubectl(*own, "get", "pods", "-o", "name").split()) == 2
    control_plane.kubectl(*own, "delete", "deployment", "web", "--cascade=foreground", "--timeout=30s")
    assert control_plane.kubectl(*own, "get", "pods", "-o", "name") == ""


def test_a_bound_pod_runs(control_plane: ControlPlane, namespace: str, node_pool: NodePool) -> None:
    (node,) = node_pool.add(1)
    manifest = pod("bound", nodeName=node, **node_pool.placement)
    control_plane.client.request("POST", f"/api/v1/namespaces/{namespace}/pods", manifest)
    control_plane.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/bound", "--timeout=30s")


def test_nodes_take_pods_and_are_as_asked_for(control_plane: ControlPlane, node_pool: NodePool) -> None:
    names = node_pool.add(
        2, labels={"zone": "a"}, taints=(Taint("dedicated", "NoExecute"),), capacity={"cpu": "3"}
    )
    assert names == [f"{node_pool.name}-node-0", f"{node_pool.name}-node-1"]
    for name in names:
        node = control_plane.client.request("GET", f"/api/v1/nodes/{name}")
        assert node["metadata"]["labels"]["zone"] == "a"
        assert node["metadata"]["labels"]["kubernetes.io/hostname"] == name
        assert node["status"]["allocatable"]["cpu"] == "3"
        taints = {(taint["key"], taint.get("value"), taint["effect"]) for taint in node["spec"]["taints"]}
        assert taints == {("pool", node_pool.name, "NoSchedule"), ("dedicated", None, "NoExecute")}


def test_kube_scheduler_places_pods_without_kwok_and_data_survives_a_restart_of_the_apiserver() -> None:
    with ControlPlane(kwok=False) as control_plane:
        nodes = control_plane.add_nodes(numbered("node", 20))
        control_plane.create_namespace("work")
        control_plane.client.request("POST", "/api/v1/namespaces/work/pods", pod("one"))
        control_plane.restart_apiserver()
        scheduler = control_plane.start_kube_scheduler()
        control_plane.kubectl("-n", "work", "wait", "--for=condition=PodScheduled", "pod/one")
        placed = control_plane.client.request("GET", "/api/v1/namespaces/work/pods/one")
        assert placed["spec"]["nodeName"] in nodes
        assert placed["status"]["phase"] == "Pending"
        pids = list(control_plane.pids.values())
        assert scheduler.pid in pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not control_plane.directory.exists()


def test_a_failed_start_shows_the_log_and_leaves_nothing() -> None:
    control_plane = ControlPlane(apiserver_args=["--no-such-flag"])
    with pytest.raises(StartError, match=r"kube-apiserver ended with code 1(.|\n)*no-such-flag"):
        control_plane.start()
    assert not control_plane.pids
    assert not control_plane.directory.exists()


@linux
def test_a_control_plane_ends_with_its_parent_even_when_that_is_killed() -> None:
    script = """
import json, sys
from tools.controlplane import ControlPlane
with ControlPlane() as control_plane:
    print(json.dumps(list(control_plane.pids.values())), flush=True)
    sys.stdin.read()
"""
    with python("-c", script) as parent:
        assert parent.stdout
        pids = json.loads(parent.stdout.readline())
        parent.kill()
    assert len(pids) == 4
    await_end(pids)


@linux
def test_up_leaves_a_control_plane_running_until_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    try:
        code, first = command("up")
        assert code == 0
        there = Detached.load()
        assert there
        assert first == f"export KUBECONFIG={there.cluster.kubeconfig}\n"
        assert there.cluster.kubectl("get", "nodes", "-o", "name").split() == [
            "node/kind-worker",
            "node/kind-worker2",
            "node/kind-worker3",
        ]
        assert command("status")[0] == 0
        assert command("up") == (0, first), "a second `up` finds the first"
        assert command("kubeconfig", "--service-account=default/default")[0] == 0
    finally:
        down = command("down")
    assert down == (0, "control plane stopped\n")
    await_end(list(there.pids.values()))
    assert not Path(there.directory).exists()
    assert command("down") == (0, "no control plane was running\n")
    assert command("status")[0] == 1


@linux
def test_down_spares_a_stranger_that_got_the_process_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with python("-c", "input()") as stranger:
        there = Detached(str(tmp_path / "gone"), 1, {"etcd": stranger.pid, "kwok": 2**22 + 1})
        assert there.running == {}
        there.stop()
        assert stranger.poll() is None
        stranger.communicate("\n")
