"""The API server of a run: puts clusters on it, and clears it for the next."""

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from tools.controlplane import ApiError, Client, ControlPlane
from tools.parity.scenario import Manifest, Scenario, key_of
from tools.parity.subjects import priority, resources

GATE = "parity/not-yet"
SETTLE_SECONDS = 20.0

CONTROLLERS = ("persistentvolume-binder-controller", "serviceaccount-controller")
"""All that may run: no other controller is to create, delete or change what the comparison rests on."""

NO_PROTECTION = "--disable-admission-plugins=StorageObjectInUseProtection"
"""Volumes and claims go when they are told to; no controller has to agree."""

ALWAYS: Sequence[Manifest] = (resources.RUNTIME_CLASS, *priority.CLASSES)
"""Objects that admission reads from caches: there before every cluster."""

_PREFIXES = {
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "PersistentVolume": "/api/v1/persistentvolumes",
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
    "CSINode": "/apis/storage.k8s.io/v1/csinodes",
    "CSIDriver": "/apis/storage.k8s.io/v1/csidrivers",
    "PriorityClass": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "RuntimeClass": "/apis/node.k8s.io/v1/runtimeclasses",
}
_NAMESPACED = {
    "Pod": ("/api/v1", "pods"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "Service": ("/api/v1", "services"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "ReplicationController": ("/api/v1", "replicationcontrollers"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "CSIStorageCapacity": ("/apis/storage.k8s.io/v1", "csistoragecapacities"),
}

_WITH_STATUS = ("Pod", "PodDisruptionBudget")
"""Their status is not taken at creation."""


class World:
    """The cluster as the harness changes it."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._client: Client = control_plane.client
        for manifest in ALWAYS:
            self.create(manifest)

    def put(self, scenario: Scenario) -> None:
        """Create everything, the pods to schedule behind a gate, and wait until all volumes are in order.

        Raises ApiError, and TimeoutError.
        """
        for kind, group in groupby(scenario.objects, lambda manifest: str(manifest["kind"])):
            if kind == "Namespace":
                for namespace in group:
                    self._put_namespace(namespace)
            else:
                self._put_all(list(group))
        self._wait_for_volumes(scenario.objects)
        gated = [
            {**pod, "spec": {**pod["spec"], "schedulingGates": [{"name": GATE}]}} for pod in scenario.pods
        ]
        self._put_all(gated)

    def clear(self, scenario: Scenario) -> None:
        """Delete what the next cluster must not see; wait until nodes and pods are gone."""
        now = {"gracePeriodSeconds": 0}
        kinds = {manifest["kind"] for manifest in scenario.objects} & set(_PREFIXES) - {"Namespace"}
        namespaces = [each["metadata"]["name"] for each in scenario.objects if each["kind"] == "Namespace"]
        collections = [("pods", "/api/v1"), ("persistentvolumeclaims", "/api/v1")]
        collections += [("csistoragecapacities", "/apis/storage.k8s.io/v1")]
        for namespace in namespaces:
            for plural, prefix in collections:
                self._client.request("DELETE", f"{prefix}/namespaces/{namespace}/{plural}", now)
        for kind in sorted(kinds):
            self._client.request("DELETE", _PREFIXES[kind])
        self._wait(lambda: not self._items("/api/v1/pods?limit=1"), "deleting all pods")
        self._wait(lambda: not self._items("/api/v1/nodes?limit=1"), "deleting all nodes")

    def change(self, change: Manifest) -> bool:
        """Make one of the changes of a scenario; tell whether it was one. A pod may be gone meanwhile."""
        target = change["object"]
        match change["action"]:
            case "create":
                self.create(target)
            case "delete":
                self._client.request("DELETE", _path(target))
            case "patch":
                return self._patch(target, change["subresource"], change["patch"])
        return True

    def _patch(self, target: Manifest, subresource: str, patch: Manifest) -> bool:
        """Patch an object; tell whether that changed it."""
        path = "/".join(filter(None, (_path(target), subresource)))
        try:
            before = self._client.request("GET", _path(target))
            after = self._client.request("PATCH", path, patch)
        except ApiError as error:
            if target["kind"] == "Pod" and error.code == 404:
                return False
            raise
        return bool(before["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"])

    def open_gate(self, pod: Manifest) -> None:
        """Let a pod be scheduled."""
        patch = {"spec": {"schedulingGates": None}}
        self._client.request("PATCH", _path(pod), patch)

    def bind(self, asked: Manifest) -> None:
        """Bind a pod for an extender that was asked to (ExtenderBindingArgs)."""
        namespace, name = asked["PodNamespace"], asked["PodName"]
        target = {"apiVersion": "v1", "kind": "Node", "name": asked["Node"]}
        metadata = {"name": name, "namespace": namespace, "uid": asked["PodUID"]}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        self._client.request("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/binding", binding)

    def delete_pod(self, key: str) -> None:
        """Delete a pod, given as namespace/name, at once; nothing happens where it is gone."""
        namespace, name = key.split("/")
        try:
            self._client.request(
                "DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", {"gracePeriodSeconds": 0}
            )
        except ApiError as error:
            if error.code != 404:
                raise

    def versions(self, kind: str) -> dict[str, str]:
        """The resource versions of all objects of a kind by namespace/name, or name."""
        return {key_of(each): each["metadata"]["resourceVersion"] for each in self.items(kind)}

    def create(self, manifest: Manifest) -> None:
        """Create an object, unless it is there."""
        try:
            self._client.request("POST", _collection(manifest), manifest)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise

    def set_status(self, manifest: Manifest, status: Manifest) -> None:
        """Merge into the status of an object."""
        self._client.request("PATCH", f"{_path(manifest)}/status", {"status": status})

    def items(self, kind: str) -> list[Manifest]:
        """All objects of a kind, in all namespaces."""
        return self._items(_PREFIXES.get(kind) or "/".join(_NAMESPACED[kind]))

    def _put_namespace(self, namespace: Manifest) -> None:
        name = namespace["metadata"]["name"]
        self.create(namespace)
        # Pods are taken once it is there; kube-controller-manager may be faster.
        self.create({"kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}})

    def _put_all(self, manifests: Sequence[Manifest]) -> None:
        created = ((_collection(each), _without_deletion(each)) for each in manifests)
        self._client.request_all("POST", created)
        with_status = [each for each in manifests if each["kind"] in _WITH_STATUS and "status" in each]
        statuses = ((f"{_path(each)}/status", {"status": each["status"]}) for each in with_status)
        self._client.request_all("PATCH", statuses)
        deleted = [each for each in manifests if "deletionTimestamp" in each["metadata"]]
        self._client.request_all("DELETE", ((_path(each), None) for each in deleted))

    def _wait_for_volumes(self, objects: Iterable[Manifest]) -> None:
        """Wait until claims that name a volume are bound, and until other volumes are available."""
        claims = sum(
            each["kind"] == "PersistentVolumeClaim" and "volumeName" in each["spec"] for each in objects
        )
        if claims:
            self._wait(lambda: self._count("PersistentVolumeClaim", "Bound") >= claims, "binding claims")
        self._wait(lambda: not self._count("PersistentVolume", "Pending"), "volumes becoming available")

    def _count(self, kind: str, phase: str) -> int:
        return sum(each["status"].get("phase") == phase for each in self.items(kind))

    def _items(self, path: str) -> list[Manifest]:
        items: list[Manifest] = self._client.request("GET", path)["items"]
        return items

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} took longer than {SETTLE_SECONDS:.0f} s")
            time.sleep(0.02)


def _without_deletion(manifest: Manifest) -> Manifest:
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "deletionTimestamp"}
    return {**manifest, "metadata": metadata}


def _collection(manifest: Manifest) -> str:
    kind = manifest["kind"]
    if kind in _PREFIXES:
        return _PREFIXES[kind]
    prefix, plural = _NAMESPACED[kind]
    return f"{prefix}/namespaces/{manifest['metadata']['namespace']}/{plural}"


def _path(manifest: Manifest) -> str:
    return f"{_collection(manifest)}/{manifest['metadata']['name']}"
