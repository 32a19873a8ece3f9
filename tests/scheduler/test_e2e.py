"""What is said about pods, word for word as the real kube-scheduler says it, on the same API server."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.running import Pallet, running
from tools.controlplane import ControlPlane
from tools.controlplane.nodes import Taint

pytestmark = [pytest.mark.e2e, pytest.mark.time_limit(120)]

OURS, THEIRS = "ours", "theirs"
WAIT_SECONDS = 60.0

Document = dict[str, Any]


def configuration(name: str) -> Document:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": name}],
    }


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A control plane of its own, for it must begin without nodes, and no other test's may be counted."""
    with ControlPlane(kwok=False) as created:
        yield created


@pytest.fixture(scope="module")
def schedulers(cluster: ControlPlane) -> Iterator[Pallet]:
    """Both schedulers, each with its name, as users of the same rights."""
    theirs = cluster.start_kube_scheduler(configuration(THEIRS))
    kubeconfig = cluster.kubeconfig_for("pallet", ["system:masters"])
    with running(cluster, configuration(OURS), kubeconfig=kubeconfig) as pallet:
        yield pallet
    theirs.kill()


def wait_for(what: str, find: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := find()):
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.05)
    return found


class Pair:
    """The same pod twice, one for each scheduler, and what was said about each."""

    def __init__(self, cluster: ControlPlane, name: str, spec: Mapping[str, Any], **metadata: Any) -> None:
        self._client = cluster.client
        self._names = {scheduler: f"{name}-{scheduler}" for scheduler in (OURS, THEIRS)}
        for scheduler, pod in self._names.items():
            self._client.request(
                "POST",
                "/api/v1/namespaces/default/pods",
                {
                    "metadata": {"name": pod, **metadata},
                    "spec": {
                        "schedulerName": scheduler,
                        "terminationGracePeriodSeconds": 0,
                        "containers": [{"name": "main", "image": "pause"}],
                        **copy.deepcopy(dict(spec)),
                    },
                },
            )

    def delete(self) -> None:
        for pod in self._names.values():
            self._client.request("DELETE", f"/api/v1/namespaces/default/pods/{pod}")

    def patch(self, change: Document) -> None:
        for pod in self._names.values():
            self._client.request("PATCH", f"/api/v1/namespaces/default/pods/{pod}", change)

    def events(self, reason: str) -> tuple[Document, Document]:
        """The first event of each, without what must differ."""
        return self._event(OURS, reason), self._event(THEIRS, reason)

    def conditions(self) -> tuple[Document, Document]:
        """The condition PodScheduled of each."""
        return self._condition(OURS), self._condition(THEIRS)

    def pod(self, scheduler: str) -> Document:
        path = f"/api/v1/namespaces/default/pods/{self._names[scheduler]}"
        found: Document = self._client.request("GET", path)
        return found

    def _event(self, scheduler: str, reason: str) -> Document:
        name = self._names[scheduler]
        path = f"/apis/events.k8s.io/v1/namespaces/default/events?fieldSelector=reason%3D{reason}"

        def find() -> list[Document]:
            events = self._client.request("GET", path)["items"]
            return [event for event in events if event["regarding"]["name"] == name]

        event: Document = min(
            wait_for(f"an event {reason} of {name}", find), key=lambda event: str(event["eventTime"])
        )
        assert event["metadata"].pop("name").startswith(f"{name}.")
        assert event["reportingController"] == scheduler
        assert event["reportingInstance"].startswith(f"{scheduler}-")
        pod = self.pod(scheduler)
        assert event["regarding"].pop("uid") == pod["metadata"]["uid"]
        assert event["regarding"].pop("resourceVersion")
        for passing in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            event["metadata"].pop(passing)
        for passing in ("eventTime", "reportingInstance"):
            event.pop(passing)
        alike: Document = _named_alike(event, pod)
        return alike

    def _condition(self, scheduler: str) -> Document:
        def find() -> list[Document]:
            conditions = self.pod(scheduler)["status"].get("conditions", [])
            return [each for each in conditions if each["type"] == "PodScheduled"]

        condition: Document = wait_for(f"the condition of {self._names[scheduler]}", find)[0]
        assert condition.pop("lastTransitionTime")
        return condition


def _named_alike(value: Any, pod: Document) -> Any:
    """The same with the names of pod, scheduler and node replaced."""
    if isinstance(value, dict):
        return {key: _named_alike(inner, pod) for key, inner in value.items()}
    if isinstance(value, str):
        value = value.replace(pod["metadata"]["name"], "POD")
        if node := pod["spec"].get("nodeName"):
            value = value.replace(node, "NODE")
        return "SCHEDULER" if value == pod["spec"]["schedulerName"] else value
    return value


def requests(**amounts: str) -> Document:
    resources = {key.replace("_", "/"): amount for key, amount in amounts.items()}
    return {
        "containers": [
            {
                "name": "main",
                "image": "pause",
                "resources": {"requests": resources, "limits": resources},
            }
        ]
    }


def near(kind: str, **labels: str) -> Document:
    term = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def node_affinity(**term: Any) -> Document:
    terms = {"nodeSelectorTerms": [term]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}


TOLERATES = {"tolerations": [{"key": "dedicated", "operator": "Exists"}]}
PORT = {"name": "main", "image": "pause", "ports": [{"containerPort": 80, "hostPort": 8080}]}
"""A pod that takes this port stands on every node."""

REFUSED: Mapping[str, Document] = {
    "cpu": requests(cpu="100"),
    "cpu-and-memory": requests(cpu="100", memory="1Ti"),
    "cpu-despite-taint": {**requests(cpu="100"), **TOLERATES},
    "cpu-of-some": {**requests(cpu="3"), "nodeSelector": {"disk": "ssd"}},
    "extended-resource": {
        "containers": [
            {"name": "main", "image": "pause", "resources": {"limits": {"example.com/gpu": "1"}}},
        ]
    },
    "selector": {"nodeSelector": {"disk": "none"}},
    "affinity": node_affinity(matchExpressions=[{"key": "disk", "operator": "In", "values": ["tape"]}]),
    "field": node_affinity(matchFields=[{"key": "metadata.name", "operator": "In", "values": ["nowhere"]}]),
    "field-of-a-cordoned-node": node_affinity(
        matchFields=[{"key": "metadata.name", "operator": "In", "values": ["cordoned"]}]
    ),
    "taint": {"nodeSelector": {"kubernetes.io/hostname": "tainted"}},
    "port": {"containers": [PORT], **TOLERATES},
    "near-nobody": near("podAffinity", app="nobody"),
    "away-from-all": {**near("podAntiAffinity", app="everywhere"), **TOLERATES},
}


@pytest.fixture(scope="module")
def nodes(cluster: ControlPlane, schedulers: Pallet) -> None:
    """Four nodes with a reason to refuse each, and a pod on each."""
    cluster.add_nodes(["tainted"], taints=[Taint("dedicated", "NoSchedule", "x")])
    cluster.add_nodes(["ssd"], labels={"disk": "ssd"}, capacity={"cpu": "2"})
    cluster.add_nodes(["full"], capacity={"pods": "1"})
    cluster.add_nodes(["cordoned"])
    cluster.client.request("PATCH", "/api/v1/nodes/cordoned", {"spec": {"unschedulable": True}})
    for node in ("tainted", "ssd", "full", "cordoned"):
        cluster.client.request(
            "POST",
            "/api/v1/namespaces/default/pods",
            {
                "metadata": {"name": f"on-{node}", "labels": {"app": "everywhere"}},
                "spec": {"nodeName": node, "containers": [PORT]},
            },
        )
    # Both have seen everything once they say the same about a pod that only the last of it refuses.
    for attempt in range(100):
        pair = Pair(cluster, f"settled-{attempt}", {"containers": [PORT], **TOLERATES})
        ours, theirs = pair.events("FailedScheduling")
        pair.delete()
        if ours["note"] == theirs["note"] and "3 node(s) didn't have free ports" in ours["note"]:
            return
        time.sleep(0.1)
    raise AssertionError(f"they do not agree: {ours['note']} / {theirs['note']}")


# First in the file: it must run before there are nodes.
def test_without_nodes_the_same_is_said(cluster: ControlPlane, schedulers: Pallet) -> None:
    pair = Pair(cluster, "no-nodes", {})
    ours, theirs = pair.events("FailedScheduling")
    assert theirs["note"] == "no nodes available to schedule pods"
    assert ours == theirs
    ours, theirs = pair.conditions()
    assert ours == theirs
    pair.delete()


@pytest.mark.usefixtures("nodes")
@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_told_in_the_same_words(cluster: ControlPlane, name: str) -> None:
    pair = Pair(cluster, name, REFUSED[name])
    ours, theirs = pair.events("FailedScheduling")
    assert ours == theirs
    ours, theirs = pair.conditions()
    assert ours == theirs
    pair.delete()


@pytest.mark.usefixtures("nodes")
def test_a_binding_is_told_in_the_same_words(cluster: ControlPlane) -> None:
    pair = Pair(cluster, "fits", requests(cpu="100m"))
    ours, theirs = pair.events("Scheduled")
    assert ours == theirs
    ours, theirs = pair.conditions()
    assert ours == theirs
    assert ours["status"] == "True"
    pair.delete()


@pytest.mark.usefixtures("nodes")
def test_a_pod_that_is_deleted_is_skipped_with_the_same_words(cluster: ControlPlane) -> None:
    gates = {"schedulingGates": [{"name": "example.com/hold"}]}
    pair = Pair(cluster, "leaving", gates, finalizers=["example.com/hold"])
    pair.delete()
    pair.patch({"spec": {"schedulingGates": []}})
    ours, theirs = pair.events("FailedScheduling")
    assert theirs["note"] == "skip schedule deleting pod: default/POD"
    assert ours == theirs
    pair.patch({"metadata": {"finalizers": []}})
