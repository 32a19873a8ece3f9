"""What a user does with pod sets, in one namespace and on one pool of nodes, and what can be seen of it."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pallet.api.plan_name import plan_name
from pallet.api.podset import POD_SET_LABEL, QUIET_TIME_LABEL
from tests.running import SCHEDULER
from tools.controlplane import ApiError, Cluster
from tools.controlplane.pytest_plugin import NodePool

Document = dict[str, Any]
T = TypeVar("T")

PATIENCE = 20.0
"""Seconds until something that should take much less is given up."""

TRIGGERS = "/apis/planner.ciena.io/v1alpha1/namespaces/{}/scheduletriggers"
PLANS = "/apis/planner.ciena.io/v1alpha1/namespaces/{}/scheduleplans"


def eventually(what: str, look: Callable[[], T | None], patience: float = PATIENCE) -> T:
    """What `look` returns as soon as it is true; fails after a while, showing what it was last."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited in vain for {what}: {found!r}"
        time.sleep(0.02)
    return found


def is_ready(found: Document) -> bool:
    """Whether a pod or a node says that it is Ready."""
    conditions = found["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@dataclass(frozen=True)
class Workload:
    """Pods, triggers and plans of a test, by name."""

    control_plane: Cluster
    namespace: str
    pool: NodePool

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Ask the API server, as admin."""
        return self.control_plane.client.request(method, path, body)

    @property
    def pods_path(self) -> str:
        """Where the pods are."""
        return f"/api/v1/namespaces/{self.namespace}/pods"

    @property
    def triggers_path(self) -> str:
        """Where the triggers are."""
        return TRIGGERS.format(self.namespace)

    @property
    def plans_path(self) -> str:
        """Where the plans are."""
        return PLANS.format(self.namespace)

    def add_pods(
        self,
        names: str | Iterable[str],
        pod_set: str = "",
        *,
        cpu: str = "100m",
        annotations: Mapping[str, str] | None = None,
        **spec: Any,
    ) -> None:
        """Create pods on the pool, of a set if it is given; `spec` goes into theirs."""
        labels = {POD_SET_LABEL: pod_set} if pod_set else {}
        container = {"name": "main", "image": "main:1", "resources": {"requests": {"cpu": cpu}}}
        for name in names.split() if isinstance(names, str) else names:
            pod = {
                "metadata": {
                    "name": name,
                    "labels": {"app": name, **labels},
                    "annotations": dict(annotations or {}),
                },
                "spec": {
                    "schedulerName": SCHEDULER,
                    "terminationGracePeriodSeconds": 0,
                    "containers": [container],
                    **self.pool.placement,
                    **spec,
                },
            }
            self.request("POST", self.pods_path, pod)

    def delete_pod(self, name: str) -> None:
        """Delete a pod, and wait until it is gone."""
        self.request("DELETE", f"{self.pods_path}/{name}")
        eventually(f"pod {name} to go", lambda: name not in self.pods())

    def add_trigger(self, pod_set: str, state: str, *, name: str = "trigger", quiet_time: str = "") -> None:
        """Create a trigger."""
        labels = {POD_SET_LABEL: pod_set, **({QUIET_TIME_LABEL: quiet_time} if quiet_time else {})}
        self.request(
            "POST",
            self.triggers_path,
            {
                "apiVersion": "planner.ciena.io/v1alpha1",
                "kind": "ScheduleTrigger",
                "metadata": {"name": name, "labels": labels},
                "spec": {"state": state},
            },
        )

    def switch(self, state: str, name: str = "trigger") -> None:
        """Switch a trigger by hand."""
        self.request("PATCH", f"{self.triggers_path}/{name}", {"spec": {"state": state}})

    def trigger(self, name: str = "trigger") -> Document:
        """A trigger as it is."""
        found: Document = self.request("GET", f"{self.triggers_path}/{name}")
        return found

    def state(self, name: str = "trigger") -> str:
        """What a trigger says."""
        state: str = self.trigger(name)["spec"]["state"]
        return state

    def annotations(self, name: str = "trigger") -> Mapping[str, str]:
        """What is kept on a trigger."""
        found: Mapping[str, str] = self.trigger(name)["metadata"].get("annotations", {})
        return found

    def status(self, name: str = "trigger") -> Document:
        """The status of a trigger, its conditions by type."""
        status: Document = self.trigger(name).get("status", {})
        return {**status, "conditions": {each["type"]: each for each in status.get("conditions", ())}}

    def await_status(self, name: str = "trigger", **counts: int) -> None:
        """Wait until a trigger's status has these counts."""
        eventually(f"status {counts}", lambda: {key: self.status(name).get(key) for key in counts} == counts)

    def pods(self) -> dict[str, Document]:
        """All pods, by name."""
        return {pod["metadata"]["name"]: pod for pod in self.request("GET", self.pods_path)["items"]}

    def bindings(self, pod_set: str = "") -> dict[str, str]:
        """The node of each pod that has one; only those of a set, if it is given."""
        return {
            name: pod["spec"]["nodeName"]
            for name, pod in self.pods().items()
            if "nodeName" in pod["spec"]
            and (not pod_set or pod["metadata"]["labels"].get(POD_SET_LABEL) == pod_set)
        }

    def await_bound(self, names: str) -> dict[str, str]:
        """Wait until pods have nodes; returns the nodes of all pods."""

        def look() -> dict[str, str] | None:
            bindings = self.bindings()
            return bindings if set(names.split()) <= bindings.keys() else None

        return eventually(f"{names} to be bound", look)

    def await_running(self, names: Iterable[str]) -> None:
        """Wait until the containers of pods run, which on a real node takes its time."""

        def are_running() -> bool:
            pods = self.pods()
            return all(name in pods and pods[name]["status"]["phase"] == "Running" for name in names)

        eventually("pods to run", are_running, patience=60)

    def reason(self, pod: str) -> str:
        """The reason in a pod's condition PodScheduled; empty when it has none."""
        return self.condition(pod).get("reason", "")

    def condition(self, pod: str) -> Mapping[str, str]:
        """A pod's condition PodScheduled."""
        conditions = self.pods()[pod]["status"].get("conditions", ())
        return next((each for each in conditions if each["type"] == "PodScheduled"), {})

    def await_reason(self, pods: str, reason: str) -> None:
        """Wait until pods are pending for this reason."""
        for pod in pods.split():
            eventually(f"{pod} to say {reason}", lambda pod=pod: self.reason(pod) == reason)  # type: ignore[misc]

    def events(self, name: str) -> dict[str, str]:
        """The last event on an object of each reason: its note."""
        path = f"/api/v1/namespaces/{self.namespace}/events?fieldSelector=involvedObject.name%3D{name}"
        return {event["reason"]: event["message"] for event in self.request("GET", path)["items"]}

    def repeats_an_event(self) -> bool:
        """Have the pods that do not fit tried again, and look for an event that says so."""
        self.let_a_plain_pod_pass("small")
        self.delete_pod("small")
        events = self.request("GET", f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")["items"]
        return any(event.get("series") for event in events)

    def plan_object(self, pod_set: str) -> Document | None:
        """The stored plan of a set, if there is one."""
        try:
            found: Document = self.request("GET", f"{self.plans_path}/{plan_name(self.namespace, pod_set)}")
        except ApiError as error:
            if error.code != 404:
                raise
            return None
        return found

    def plan(self, pod_set: str) -> dict[str, str]:
        """The nodes in the stored plan of a set, by pod; empty where there is none."""
        found = self.plan_object(pod_set)
        return {each["pod"]: each["node"] for each in found["spec"]["plan"]} if found else {}

    def write_plan(self, pod_set: str, nodes: Mapping[str, str]) -> None:
        """Write a set's plan by hand."""
        spec = {"plan": [{"pod": pod, "node": node} for pod, node in nodes.items()]}
        name = plan_name(self.namespace, pod_set)
        if self.plan_object(pod_set) is not None:
            self.request("PATCH", f"{self.plans_path}/{name}", {"spec": spec})
            return
        document = {
            "apiVersion": "planner.ciena.io/v1alpha1",
            "kind": "SchedulePlan",
            "metadata": {"name": name, "labels": {POD_SET_LABEL: pod_set}},
            "spec": spec,
        }
        self.request("POST", self.plans_path, document)

    def await_plan_as_bound(self, pod_set: str, names: str, patience: float = PATIENCE) -> dict[str, str]:
        """Wait until these pods, and no others of the set, are bound, and the plan says the same."""

        def look() -> dict[str, str] | None:
            bindings = self.bindings(pod_set)
            at_rest = bindings.keys() == set(names.split()) and self.plan(pod_set) == bindings
            return bindings if at_rest else None

        return eventually(f"the plan of {pod_set} to be that of {names}, and as bound", look, patience)

    def cordon(self, node: str) -> None:
        """Let a node take no more pods."""
        self.request("PATCH", f"/api/v1/nodes/{node}", {"spec": {"unschedulable": True}})

    def uncordon(self, node: str) -> None:
        """Let a node take pods again."""
        self.request("PATCH", f"/api/v1/nodes/{node}", {"spec": {"unschedulable": None}})

    def let_a_plain_pod_pass(self, name: str) -> None:
        """Have a pod without a set created and bound: whatever came before it has had its chance too."""
        self.add_pods(name)
        self.await_bound(name)
