"""VolumeBinding on a cluster of a few nodes, asked point by point, with an API that a test plays."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from pallet.api.codec import decoder, encode
from pallet.api.meta import Object, ObjectMeta, key_of
from pallet.api.node import NODES, Node
from pallet.api.pod import PODS, Pod
from pallet.api.resource import Resource
from pallet.api.storage import (
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    CSIDriver,
    CSIDriverSpec,
    CSINode,
    CSIStorageCapacity,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
)
from pallet.cache.pod_info import PodInfo
from pallet.framework.interface import ALL_ROWS
from pallet.framework.state import CycleState
from pallet.framework.status import Code, Status
from pallet.informers.informer import SharedInformer
from pallet.plugins.scoring_strategy import UtilizationShapePoint
from pallet.plugins.volume_binding import VolumeBinding, VolumeBindingArgs
from pallet.plugins.volumes.provisioning import NO_PROVISIONER
from pallet.runtime.memory import PluginMemory
from pallet.runtime.metrics_recorder import FILTER
from tests.builders import HOSTNAME, make_node, make_pod
from tests.profiles import make_handle
from tests.storage import claimed, make_claim, make_class, make_free_volume

LATE = make_class("late", late=True)
LOCAL = make_class("local", NO_PROVISIONER, late=True)
IMMEDIATE = make_class("immediate")

T = TypeVar("T", bound=Object)

RESOURCES: dict[type[Any], Resource[Any]] = {
    Node: NODES,
    Pod: PODS,
    PersistentVolume: PERSISTENT_VOLUMES,
    PersistentVolumeClaim: PERSISTENT_VOLUME_CLAIMS,
    StorageClass: STORAGE_CLASSES,
    CSIDriver: CSI_DRIVERS,
    CSINode: CSI_NODES,
    CSIStorageCapacity: CSI_STORAGE_CAPACITIES,
}


@dataclass
class Written:
    """Takes patches, applies them to what it was given, and answers with the next version."""

    objects: dict[str, Any] = field(default_factory=dict)
    patches: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    """By key; raised instead of an answer."""

    async def patch(
        self, resource: Resource[T], name: str, namespace: str, patch: dict[str, Any], **_: Any
    ) -> T:
        key = f"{namespace}/{name}" if namespace else name
        self.patches.append((key, patch))
        if key in self.failures:
            raise self.failures[key]
        old = json.loads(encode(self.objects[key]))
        assert old["metadata"]["resourceVersion"] == patch["metadata"].pop("resourceVersion")
        new = merged(old, patch)
        new["metadata"]["resourceVersion"] = str(int(old["metadata"]["resourceVersion"]) + 1)
        decode: Callable[[bytes], T] = decoder(resource.kind)
        self.objects[key] = decoded = decode(encode(new))
        return decoded


def merged(old: Any, patch: Any) -> Any:
    """A JSON merge patch."""
    if not isinstance(patch, dict):
        return patch
    old = old if isinstance(old, dict) else {}
    return {**old, **{key: merged(old.get(key), value) for key, value in patch.items()}}


class Scene:
    """The plugin with nodes `a` and `b`, and the objects of a test; classes LATE, LOCAL and IMMEDIATE."""

    def __init__(
        self,
        *objects: Any,
        nodes: Iterable[Node] | None = None,
        timeout: int = 600,
        shape: Iterable[tuple[int, int]] = (),
    ) -> None:
        self.api = Written()
        self._versions = 0
        handle = make_handle()
        object.__setattr__(handle, "client", self.api)
        self.handle, self.cache, self.informers = handle, handle.cache, handle.informers
        points = tuple(UtilizationShapePoint(*point) for point in shape)
        self.plugin = VolumeBinding(VolumeBindingArgs(timeout, points), handle)
        self._memory = PluginMemory(self.plugin, FILTER)
        self.see(*([make_node("a"), make_node("b")] if nodes is None else nodes))
        self.see(LATE, LOCAL, IMMEDIATE, *objects)

    def see(self, *objects: Any) -> None:
        """Have the informers hear of objects that are new or changed; nodes get their next version."""
        for given in objects:
            each = self._next(given) if isinstance(given, Node) else given
            self.api.objects[key_of(each)] = each
            self._informer(each).put(each)
            if isinstance(each, Node):
                self.cache.put_node(each)

    def lose(self, *objects: Any) -> None:
        """Have the informers hear that objects are gone."""
        for each in objects:
            self._informer(each).remove(each)
            if isinstance(each, Node):
                self.cache.drop_node(each.metadata.name)

    def change(self, kind: type[Any], key: str, **changes: Any) -> Any:
        """Have an object's next version seen, with changes to its metadata, spec or status."""
        found = self.api.objects[key]
        parts = {
            part: msgspec.structs.replace(getattr(found, part), **values) for part, values in changes.items()
        }
        new = msgspec.structs.replace(found, **parts)
        meta = msgspec.structs.replace(
            new.metadata, resource_version=str(int(found.metadata.resource_version) + 1)
        )
        changed = msgspec.structs.replace(new, metadata=meta)
        assert isinstance(changed, kind)
        self.see(changed)
        return changed

    def scores(self, pod: Pod) -> dict[str, int] | None:
        """The score of every node; None where none is scored."""
        state, info, snapshot = CycleState(), PodInfo(pod), self.cache.snapshot
        self.plugin.pre_filter(state, info, snapshot)
        if self.plugin.name in state.skipped["score"] or self.plugin.score_signature(info) is None:
            return None
        rows = snapshot.table.live.nonzero()[0]
        scores = self.plugin.score_rows(state, info, snapshot, rows)
        return {
            snapshot.table.name(row): int(score) for row, score in zip(rows.tolist(), scores, strict=True)
        }

    def pre_filter(self, pod: Pod, state: CycleState | None = None) -> Status:
        """What is said before nodes are looked at."""
        names, status = self.plugin.pre_filter(state or CycleState(), PodInfo(pod), self.cache.snapshot)
        assert names is None
        return status

    def messages(self, pod: Pod) -> dict[str, str]:
        """What is said about each node; empty where the pod may go."""
        state, info, snapshot = CycleState(), PodInfo(pod), self.cache.snapshot
        status = self.pre_filter(pod, state)
        nodes = [snapshot.table.name(row) for row in snapshot.rows()]
        if status.code is Code.SKIP:
            # Left out is as good as passed everywhere.
            assert not self._codes(state, info).any()
            return dict.fromkeys(nodes, "")
        assert status.ok, status
        codes = self._codes(state, info)
        rows = {name: snapshot.table.row_of[name] for name in nodes}
        for row in rows.values():
            alone = self.plugin.filter_rows(state, info, snapshot, slice(row, row + 1))
            assert alone.tolist() == [codes[row]]
            assert self.plugin.filter_row(state, info, snapshot, row) == codes[row]
        live = snapshot.table.live.nonzero()[0]
        assert self._memory.codes(state, info, snapshot, live).tolist() == codes[live].tolist()
        return {name: self._words(info, int(codes[row])) for name, row in rows.items()}

    def reserve(self, pod: Pod, node: str) -> tuple[CycleState, Status]:
        """Choose the volumes of a pod that goes to a node."""
        state = CycleState()
        assert not self.pre_filter(pod, state).rejected
        return state, self.plugin.reserve(state, PodInfo(pod), node)

    def _next(self, node: Node) -> Node:
        self._versions += 1
        metadata = msgspec.structs.replace(node.metadata, resource_version=str(self._versions))
        return msgspec.structs.replace(node, metadata=metadata)

    def _codes(self, state: CycleState, info: PodInfo) -> Any:
        if state.read("VolumeBinding/claims") is None:
            return self.cache.snapshot.table.live & False
        return self.plugin.filter_rows(state, info, self.cache.snapshot, ALL_ROWS)

    def _words(self, info: PodInfo, code: int) -> str:
        if not code:
            return ""
        status = self.plugin.explain(info, code)
        assert status.code is Code.UNSCHEDULABLE_AND_UNRESOLVABLE
        return status.message

    def _informer(self, obj: Object) -> SharedInformer[Any]:
        return self.informers.informer(RESOURCES[type(obj)])


def a_pod(*names: str, **fields: Any) -> Pod:
    """A pod with these claims."""
    return make_pod("p", volumes=[claimed(name) for name in names], **fields)


def late(name: str, size: str = "1Gi", storage_class: str = "late", **fields: Any) -> PersistentVolumeClaim:
    """A claim that waits for its first consumer."""
    return make_claim(name, storage_class=storage_class, size=size, **fields)


def bound(name: str, volume: str, **fields: Any) -> PersistentVolumeClaim:
    """A claim that the volume controller is done with."""
    done = {"pv.kubernetes.io/bind-completed": "yes"}
    return make_claim(name, volume=volume, annotations=done, phase="Bound", **fields)


def local(name: str, node: str, size: str = "1Gi", **fields: Any) -> PersistentVolume:
    """A free volume of class `local` on a node."""
    return make_free_volume(name, size=size, storage_class="local", reach={HOSTNAME: node}, **fields)


def full_driver(**capacity: Any) -> list[Any]:
    """A driver that keeps account of its capacity, a class of its volumes, and one capacity if given."""
    there = CSIStorageCapacity(ObjectMeta(name="cap", namespace="kube-system"), "full", **capacity)
    return [
        CSIDriver(ObjectMeta(name="full.example.com"), CSIDriverSpec(storage_capacity=True)),
        make_class("full", "full.example.com", late=True),
        *([there] if capacity else []),
    ]
