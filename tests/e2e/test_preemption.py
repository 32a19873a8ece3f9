"""Preemption on a real cluster: the same with this scheduler and with the real kube-scheduler."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.workload import Document, Workload, eventually
from tests.running import running
from tools.controlplane import ControlPlane
from tools.controlplane.nodes import Taint, manifest, takes_pods
from tools.controlplane.pytest_plugin import NodePool

pytestmark = pytest.mark.e2e

PRIORITIES = {"low": 1, "middle": 10, "high": 100}

CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"


@pytest.fixture(scope="module")
def classes(control_plane: ControlPlane) -> dict[str, str]:
    """The names of priority classes, by what they are here."""
    names = {name: f"{name}-{secrets.token_hex(4)}" for name in PRIORITIES}
    for name, value in PRIORITIES.items():
        control_plane.client.request("POST", CLASSES, {"metadata": {"name": names[name]}, "value": value})
    return names


@pytest.fixture(scope="module", params=["pallet", "kube-scheduler"])
def scheduler(request: pytest.FixtureRequest, control_plane: ControlPlane) -> Iterator[str]:
    """The name of a scheduler that runs, with kube-scheduler's rights."""
    name = f"{request.param}-preempts"
    config = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": name}],
    }
    if request.param == "pallet":
        kubeconfig = control_plane.kubeconfig_for("system:kube-scheduler")
        with running(control_plane, config, kubeconfig=kubeconfig):
            yield name
        return
    process = control_plane.start_kube_scheduler(config)
    try:
        yield name
    finally:
        process.terminate()


@dataclass(frozen=True)
class Preemption:
    """A workload whose pods have priorities, and its scheduler."""

    workload: Workload
    scheduler: str
    classes: dict[str, str]

    def add_slow_node(self, cpu: str) -> str:
        """Create a node whose pods neither start nor end by themselves, as with a long grace period."""
        pool = self.workload.pool
        node = manifest(
            f"{pool.name}-slow",
            labels={"pool": pool.name},
            taints=[Taint("pool", "NoSchedule", pool.name)],
            capacity={"cpu": cpu},
            ready=True,
        )
        node["metadata"]["annotations"] = {}
        name: str = node["metadata"]["name"]
        self.workload.request("POST", "/api/v1/nodes", node)
        path = f"/api/v1/nodes/{name}"
        eventually("a ready node", lambda: takes_pods(self.workload.request("GET", path)))
        return name

    def add(self, name: str, priority: str, *, cpu: str = "2", node: str = "", **metadata: Any) -> None:
        """Create a pod, bound already where a node is given; `metadata` goes into its own."""
        container = {"name": "main", "image": "main:1", "resources": {"requests": {"cpu": cpu}}}
        pod = {
            "metadata": {"name": name, **metadata},
            "spec": {
                "schedulerName": self.scheduler,
                "priorityClassName": self.classes[priority],
                "containers": [container],
                **self.workload.pool.placement,
                **({"nodeName": node} if node else {}),
            },
        }
        self.workload.request("POST", self.workload.pods_path, pod)

    def pod(self, name: str) -> Document:
        """A pod as it is."""
        return self.workload.pods()[name]

    def let_go(self, name: str) -> None:
        """End a pod, as its kubelet does after its grace period."""
        self.workload.request("DELETE", f"{self.workload.pods_path}/{name}?gracePeriodSeconds=0")

    def await_nomination(self, name: str, node: str) -> Document:
        """Wait until a pod's status names its node."""

        def look() -> Document | None:
            pod = self.pod(name)
            return pod if pod["status"].get("nominatedNodeName") == node else None

        return eventually(f"{name} to be nominated", look)

    def await_event(self, reason: str) -> Document:
        """Wait for an event."""
        path = f"/apis/events.k8s.io/v1/namespaces/{self.workload.namespace}/events"

        def look() -> Document | None:
            events = self.workload.request("GET", path)["items"]
            return next((each for each in events if each["reason"] == reason), None)

        return eventually(f"event {reason}", look)


@pytest.fixture
def preemption(
    control_plane: ControlPlane,
    namespace: str,
    node_pool: NodePool,
    scheduler: str,
    classes: dict[str, str],
) -> Preemption:
    """The means of a test."""
    return Preemption(Workload(control_plane, namespace, node_pool), scheduler, classes)


def test_the_least_important_pod_goes_and_the_preemptor_takes_its_place(preemption: Preemption) -> None:
    here, (there,) = preemption.add_slow_node("2"), preemption.workload.pool.add(1, capacity={"cpu": "2"})
    preemption.add("victim", "low", node=here)
    preemption.add("other", "middle", node=there)
    preemption.add("preemptor", "high", cpu="1")

    preemptor = preemption.await_nomination("preemptor", here)
    condition = next(each for each in preemptor["status"]["conditions"] if each["type"] == "PodScheduled")
    assert (condition["reason"], condition["status"]) == ("Unschedulable", "False")
    refused, _, found = condition["message"].partition(" preemption: ")
    assert refused.endswith(" 2 Insufficient cpu.") or ", 2 Insufficient cpu" in refused
    assert found == f"found a potential placement for pod on node {here}, preempting 1 victims"

    eventually(
        "the victim to be deleted", lambda: "deletionTimestamp" in preemption.pod("victim")["metadata"]
    )
    victim = preemption.pod("victim")
    target = next(each for each in victim["status"]["conditions"] if each["type"] == "DisruptionTarget")
    assert (target["status"], target["reason"], target["message"]) == (
        "True",
        "PreemptionByScheduler",
        f"{preemption.scheduler}: preempting to accommodate a higher priority pod",
    )
    event = preemption.await_event("Preempted")
    assert event["regarding"]["name"] == "victim"
    assert {key: event.get(key) for key in ("note", "action", "type", "reportingController", "related")} == {
        "note": f"Preempted by pod {preemptor['metadata']['uid']} on node {here}",
        "action": "Preempting",
        "type": "Normal",
        "reportingController": preemption.scheduler,
        "related": None,
    }

    preemption.let_go("victim")
    assert preemption.workload.await_bound("preemptor")["preemptor"] == here
    assert "deletionTimestamp" not in preemption.pod("other")["metadata"]


def test_a_pod_yields_to_one_that_is_nominated(preemption: Preemption) -> None:
    node = preemption.add_slow_node("3")
    preemption.add("victim", "low", node=node)
    preemption.add("preemptor", "high", cpu="3")
    preemption.await_nomination("preemptor", node)
    preemption.add("small", "middle", cpu="1")
    condition = eventually("a refusal", lambda: preemption.workload.condition("small"))
    assert "Insufficient cpu" in condition["message"]
    preemption.let_go("victim")
    assert "preemptor" in preemption.workload.await_bound("preemptor")
    assert "small" not in preemption.workload.bindings()


def test_a_disruption_budget_is_kept_where_it_can_be(preemption: Preemption) -> None:
    guarded, free = preemption.workload.pool.add(2, capacity={"cpu": "2"})
    budgets = f"/apis/policy/v1/namespaces/{preemption.workload.namespace}/poddisruptionbudgets"
    budget = {
        "metadata": {"name": "guard"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"guarded": "yes"}}},
    }
    preemption.workload.request("POST", budgets, budget)
    preemption.add("guarded", "low", node=guarded, labels={"guarded": "yes"})
    preemption.add("free", "middle", node=free)
    preemption.add("preemptor", "high")
    assert preemption.workload.await_bound("preemptor")["preemptor"] == free
    assert "guarded" in preemption.workload.bindings()
    assert "free" not in preemption.workload.bindings()


def test_a_pod_that_may_not_preempt_is_told_so(preemption: Preemption) -> None:
    (node,) = preemption.workload.pool.add(1, capacity={"cpu": "2"})
    preemption.add("victim", "high", node=node)
    preemption.add("weaker", "low")
    condition = eventually("a refusal", lambda: preemption.workload.condition("weaker"))
    assert condition["message"].partition(" preemption: ")[2].startswith("0/")
    assert "1 No preemption victims found for incoming pod" in condition["message"]
