"""The shipped roles on a real node: what they allow is used, and nothing else is asked for.

These tests come last: the audit log has the requests of all scenes before them.
"""

import ssl
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import audit
from tests.e2e.storage import Storage, provision, using
from tests.e2e.workload import Workload, eventually
from tests.node.deployment import NAMESPACE, REPLICAS, TARGET, await_rollout, leader, process_of
from tests.running import SCHEDULER
from tools.controlplane import KubectlError
from tools.demo.shell import Shell
from tools.node.kind import AnyCluster
from tools.node.node import NAME

pytestmark = [pytest.mark.time_limit(600), pytest.mark.usefixtures("deployed")]

SLOTS = "example.com/slots"
RBAC = "/apis/rbac.authorization.k8s.io/v1"

AFTER_FAULTS = frozenset(
    {
        ("", "pods", "get"),  # an answer to a binding was lost
        ("planner.ciena.io", "scheduletriggers", "get"),  # somebody else wrote at the same time
        ("planner.ciena.io", "scheduleplans", "get"),
        *((group, resource, verb) for group, resource, verb in audit.granted() if verb == "list"),
    }
)
"""Used after faults, and in place of lists that are streamed; `tests/e2e/test_rbac.py` has them happen."""


@pytest.fixture
def slots(real_cluster: AnyCluster) -> None:
    """Two of a resource that the real node has, and that pods can ask for."""
    two = {SLOTS: "2"}
    status = {"status": {"capacity": two, "allocatable": two}}
    real_cluster.client.request("PATCH", f"/api/v1/nodes/{NAME}/status", status)


def taking(slots: str) -> dict[str, Any]:
    """The part of a pod's spec with a container that takes slots."""
    both = {SLOTS: slots}
    resources = {"requests": both, "limits": both}
    return {"containers": [{"name": "main", "image": "main:1", "resources": resources}]}


@pytest.mark.usefixtures("slots")
def test_a_pod_that_runs_makes_room_for_one_that_is_more_important(workload: Workload) -> None:
    workload.add_pods("victim", **taking("2"))
    workload.await_running(["victim"])
    workload.add_pods("urgent", **taking("1"), priorityClassName="system-cluster-critical")
    workload.await_running(["urgent"])
    assert "victim" not in workload.pods()


def test_volumes_are_kept_and_made_for_pods_that_run(workload: Workload) -> None:
    storage = Storage(workload, workload.namespace)
    storage.add_class("stub.example.com")
    storage.add_claim("made")
    workload.add_pods("made", **using("made"))
    assert provision(storage, "made") == NAME
    storage.await_phase("Available", storage.add_volume("v", NAME))
    storage.add_claim("kept")
    workload.add_pods("kept", **using("kept"))
    workload.await_running(["made", "kept"])


def test_metrics_are_for_callers_with_the_shipped_role(workload: Workload) -> None:
    account = f"/api/v1/namespaces/{workload.namespace}/serviceaccounts/default"
    token = workload.request("POST", f"{account}/token", {"spec": {}})["status"]["token"]
    for given, status in (("", 401), (token, 403)):
        with pytest.raises(OSError, match=str(status)):
            metrics(workload, given)
    binding = {
        "metadata": {"name": workload.namespace},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "podset-planner-metrics-reader",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": workload.namespace}],
    }
    workload.request("POST", f"{RBAC}/clusterrolebindings", binding)
    assert "scheduler_pending_pods" in eventually("the right", lambda: allowed(workload, token), patience=60)


def allowed(workload: Workload, token: str) -> str:
    """The metrics; empty while the caller may not have them."""
    try:
        return metrics(workload, token)
    except OSError:
        return ""


def metrics(workload: Workload, token: str) -> str:
    """Ask the scheduler in its pod."""
    url = f"https://{leader(workload)['status']['podIP']}:10259/metrics"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    context = ssl._create_unverified_context()  # noqa: S323 - a certificate that it made for itself
    with urllib.request.urlopen(request, timeout=5.0, context=context) as answer:  # noqa: S310 - https
        text: str = answer.read().decode()
        return text


@pytest.mark.usefixtures("slots")
def test_every_request_was_allowed_and_every_rule_was_used(
    workload: Workload, shell: Shell, audited: Path
) -> None:
    workload.add_trigger("web", "Planning", quiet_time="1s")
    workload.add_pods("a b", "web", cpu="1m")
    workload.await_plan_as_bound("web", "a b")
    workload.add_pods("c", "web", cpu="1m")
    workload.await_plan_as_bound("web", "a b c")
    workload.add_pods("big", **taking("3"))
    workload.await_reason("big", "Unschedulable")
    eventually("a repeated event", workload.repeats_an_event, patience=90)
    for pod in ("a", "b", "c"):
        workload.delete_pod(pod)
    eventually("the plan to go", lambda: workload.plan_object("web") is None)
    shell.run(f"kubectl scale {TARGET} --replicas=0")  # watches are seen when they end
    await_rollout(workload, shell, 0)
    try:
        audit.await_use(audited, without=AFTER_FAULTS)
        assert not audit.refused(audited)
        print("not used:", sorted(audit.unused(audited)))  # noqa: T201 - pytest shows it
    finally:
        shell.run(f"kubectl scale {TARGET} --replicas={REPLICAS}")
        await_rollout(workload, shell)


def test_it_has_no_capability_and_cannot_write_to_its_root(workload: Workload) -> None:
    pod = leader(workload)
    lines = (line.partition(":") for line in Path(f"/proc/{process_of(pod)}/status").read_text().splitlines())
    status = {key: value.split() for key, _, value in lines}
    for capabilities in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"):
        assert int(status[capabilities][0], 16) == 0
    assert status["Uid"] == ["65532"] * 4
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]  # a filter: the runtime's default profile
    write = ("-n", NAMESPACE, "exec", pod["metadata"]["name"], "--", "python", "-c", "open('/opt/x', 'w')")
    with pytest.raises(KubectlError, match="Read-only file system"):
        workload.control_plane.kubectl(*write)


def test_a_rule_that_was_taken_away_is_named(workload: Workload, shell: Shell) -> None:
    role = f"{RBAC}/clusterroles/{SCHEDULER}-role"
    rules = workload.request("GET", role)["rules"]
    fewer = [rule for rule in rules if rule["resources"] != ["pods/status"]]
    assert len(fewer) == len(rules) - 1
    workload.request("PATCH", role, {"rules": fewer})
    try:
        shell.run(f"kubectl rollout restart {TARGET}")
        await_rollout(workload, shell)
        rule = '{apiGroups: [""], resources: [pods/status], verbs: [patch]}'
        events = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"

        def told() -> bool:
            found = workload.request("GET", events)["items"]
            return any(event["reason"] == "MissingRights" and rule in event["note"] for event in found)

        eventually("the event", told, patience=60)
        log = shell.run(f"kubectl logs {TARGET}")
        assert [line for line in log.splitlines() if '"Rights are missing"' in line and "pods/status" in line]
    finally:
        workload.request("PATCH", role, {"rules": rules})
        shell.run(f"kubectl rollout restart {TARGET}")
        await_rollout(workload, shell)
