"""What is set up for a contender's turn, and taken away after it, so that the next one finds the same."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.bench import manifests, volumes
from tools.bench.manifests import Manifest
from tools.bench.workloads import Workload
from tools.controlplane import ApiError, ControlPlane

PATIENCE_SECONDS = 600.0
APISERVER_ARGS = ("--delete-collection-workers=16",)
"""For the cleaning between turns."""
CLUSTER_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
CLUSTER_ROLE_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
POD_SET_API = "/apis/planner.ciena.io/v1alpha1/namespaces"
POD_SET_GROUP = "planner.ciena.io"
ROOT = Path(__file__).parents[2]
POD_SET_LABEL = "planner.ciena.io/pod-set"


@dataclass(frozen=True, slots=True)
class Turn:
    """One contender in front of one workload.

    `in_sets` is for a contender that knows PodSets: its pods get the label, and each set a trigger that says
    Schedule. The others get the same pods without.
    """

    workload: Workload
    nodes: int
    pods: int
    namespace: str
    in_sets: bool = False

    @property
    def standing_namespace(self) -> str:
        """Where the pods are that stand beside the backlog, for all contenders."""
        return f"standing-{self.workload.name}"

    @property
    def storage_class(self) -> str:
        """The class of this turn's volumes, which are all its own."""
        return self.namespace

    def backlog(self) -> list[Manifest]:
        """The pods to schedule."""
        pods = self.workload.backlog(self.pods)
        if self.in_sets:
            for number, pod in enumerate(pods):
                pod["metadata"]["labels"][POD_SET_LABEL] = _set_name(number // self.workload.sets)
        return pods


def furnish(control_plane: ControlPlane, user: str) -> None:
    """Make what all turns share: a priority class, the kinds of pod sets, and a user's right to them."""
    control_plane.client.request(
        "POST",
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        {"metadata": {"name": manifests.HIGH_PRIORITY}, "value": manifests.HIGH_PRIORITY_VALUE},
    )
    control_plane.kubectl("apply", "-k", str(ROOT / "config" / "crd"))
    rights = {"apiGroups": [POD_SET_GROUP], "resources": ["*"], "verbs": ["*"]}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "bench"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    control_plane.client.request("POST", CLUSTER_ROLES, {"metadata": {"name": "bench"}, "rules": [rights]})
    control_plane.client.request(
        "POST", CLUSTER_ROLE_BINDINGS, {"metadata": {"name": "bench"}, "roleRef": role, "subjects": [subject]}
    )


def add_nodes(control_plane: ControlPlane, count: int) -> None:
    """Add the nodes, in their zones."""
    for zone in range(min(manifests.ZONES, count)):
        names = [manifests.node_name(number) for number in range(zone, count, manifests.ZONES)]
        control_plane.add_nodes(names, labels=manifests.node_labels(zone))


def prepare(control_plane: ControlPlane, turn: Turn) -> None:
    """Make everything that a turn needs; the pods of the backlog come last."""
    _let_stand(control_plane, turn)
    control_plane.create_namespace(turn.namespace)
    backlog = turn.backlog()
    if claims := volumes.claims(backlog, turn.storage_class):
        path = f"{volumes.STORAGE}/storageclasses"
        control_plane.client.request("POST", path, volumes.local_class(turn.storage_class))
        path = f"{volumes.CORE}/namespaces/{turn.namespace}/persistentvolumeclaims"
        _create(control_plane, path, claims)
    if turn.in_sets:
        sets = range(-(-turn.pods // turn.workload.sets))
        triggers = (trigger(_set_name(each), "Schedule") for each in sets)
        _create(control_plane, f"{POD_SET_API}/{turn.namespace}/scheduletriggers", triggers)
    create_pods(control_plane, turn.namespace, backlog)


def trigger(pod_set: str, state: str) -> Manifest:
    """The trigger of a set, without a quiet time: it is switched by hand only."""
    return {
        "apiVersion": f"{POD_SET_GROUP}/v1alpha1",
        "kind": "ScheduleTrigger",
        "metadata": {"name": pod_set, "labels": {POD_SET_LABEL: pod_set}},
        "spec": {"state": state},
    }


def create_pods(control_plane: ControlPlane, namespace: str, pods: Iterable[Manifest]) -> None:
    """Create pods, several at a time."""
    _create(control_plane, f"/api/v1/namespaces/{namespace}/pods", pods)


def pods_of(control_plane: ControlPlane, namespace: str) -> list[Manifest]:
    """The pods of a namespace, as the API server has them."""
    return items(control_plane, f"/api/v1/namespaces/{namespace}/pods")


def items(control_plane: ControlPlane, path: str) -> list[Manifest]:
    """The objects of a collection."""
    found: list[Manifest] = control_plane.client.request("GET", path)["items"]
    return found


def planned(control_plane: ControlPlane, namespace: str) -> dict[str, str]:
    """The node of each pod in the plans of a namespace."""
    plans = items(control_plane, f"{POD_SET_API}/{namespace}/scheduleplans")
    return {place["pod"]: place["node"] for plan in plans for place in plan["spec"]["plan"]}


def take_away(control_plane: ControlPlane, turn: Turn) -> None:
    """Remove what a turn made, but not what stands for the next one. Raises TimeoutError."""
    clear(control_plane, turn.namespace)
    path = f"{volumes.CORE}/persistentvolumes?labelSelector=bench%3D{turn.storage_class}"
    if items(control_plane, path):
        control_plane.client.request("DELETE", path)
        control_plane.client.request("DELETE", f"{volumes.STORAGE}/storageclasses/{turn.storage_class}")
        _wait(lambda: not items(control_plane, path), f"deleting the volumes of {turn.namespace}")


def clear(control_plane: ControlPlane, namespace: str) -> None:
    """Delete a namespace and wait until its pods are gone; one that is not there is fine.

    Pods go without grace: there are no kubelets to confirm their end. The namespace itself takes some seconds
    more, which nobody waits for. Raises TimeoutError.
    """
    path = f"/api/v1/namespaces/{namespace}"
    if not _exists(control_plane, path):
        return
    _wait(lambda: _without_pods(control_plane, f"{path}/pods"), f"deleting the pods of {namespace}")
    for collection in ("persistentvolumeclaims", "events"):
        control_plane.client.request("DELETE", f"{path}/{collection}")
    control_plane.client.request("DELETE", path)


def _let_stand(control_plane: ControlPlane, turn: Turn) -> None:
    """Make those of the standing pods that are not there, or not any more."""
    standing = list(turn.workload.standing(turn.nodes, turn.pods))
    if not standing:
        return
    namespace = turn.standing_namespace
    there = set()
    if _exists(control_plane, f"/api/v1/namespaces/{namespace}"):
        there = {pod["metadata"]["name"] for pod in pods_of(control_plane, namespace)}
    else:
        control_plane.create_namespace(namespace)
    create_pods(control_plane, namespace, (pod for pod in standing if pod["metadata"]["name"] not in there))


def _set_name(number: int) -> str:
    return f"set-{number}"


def _create(control_plane: ControlPlane, path: str, objects: Iterable[Manifest]) -> None:
    control_plane.client.request_all("POST", ((path, each) for each in objects))


def _without_pods(control_plane: ControlPlane, path: str) -> bool:
    """Delete the pods of a collection; whether there are none any more."""
    try:
        control_plane.client.request("DELETE", path, {"gracePeriodSeconds": 0})
    except ApiError as error:
        if error.code != 504:  # many pods may take longer than one request may
            raise
    return not items(control_plane, f"{path}?limit=1")


def _wait(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took longer than {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.2)


def _exists(control_plane: ControlPlane, path: str) -> bool:
    try:
        control_plane.client.request("GET", path)
    except ApiError as error:
        if error.code == 404:
            return False
        raise
    return True
