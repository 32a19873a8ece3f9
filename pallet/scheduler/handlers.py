"""What the informers tell, brought to the cache and to the queue."""

from collections.abc import Callable, Collection, Mapping
from time import perf_counter
from typing import Any

from pallet.api.core import NAMESPACES, Namespace
from pallet.api.labels import NO_LABELS
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
    VOLUME_ATTACHMENTS,
)
from pallet.cache.cache import Cache, Hold
from pallet.framework.events import (
    ASSIGNED_POD_ADD,
    ASSIGNED_POD_DELETE,
    NODE_ADD,
    NODE_DELETE,
    POD_ADD,
    POD_DELETE,
    POD_UPDATE,
    Action,
    ClusterEvent,
    EventResource,
    node_update,
    pod_update,
)
from pallet.framework.metrics import Metrics
from pallet.framework.waiting import WaitingPods
from pallet.informers.factory import InformerFactory
from pallet.informers.informer import Handler
from pallet.scheduler.conditions import ConditionWriter
from pallet.scheduler.queue import SchedulingQueue

NAMESPACE_CHANGE = ClusterEvent(EventResource.NAMESPACE, Action.ALL, "NamespaceUpdate")

WATCHED_FOR_HINTS: Mapping[EventResource, Resource[Any]] = {
    EventResource.PERSISTENT_VOLUME: PERSISTENT_VOLUMES,
    EventResource.PERSISTENT_VOLUME_CLAIM: PERSISTENT_VOLUME_CLAIMS,
    EventResource.STORAGE_CLASS: STORAGE_CLASSES,
    EventResource.CSI_NODE: CSI_NODES,
    EventResource.CSI_DRIVER: CSI_DRIVERS,
    EventResource.CSI_STORAGE_CAPACITY: CSI_STORAGE_CAPACITIES,
    EventResource.VOLUME_ATTACHMENT: VOLUME_ATTACHMENTS,
}
"""Collections that the cache does not hold: the queue hears of them where a plugin asks for it."""


class ClusterHandlers:
    """Keeps cache and queue in step with the API: the cache hears of everything before the queue does.

    Each handler gives the event that it told the queue of, for the metrics; None when it did nothing.
    """

    def __init__(
        self,
        cache: Cache,
        queue: SchedulingQueue,
        waiting: WaitingPods,
        conditions: ConditionWriter,
        metrics: Metrics,
        scheduler_names: Collection[str],
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._waiting = waiting
        self._conditions = conditions
        self._durations = metrics.event_handling_duration_seconds
        self._scheduler_names = frozenset(scheduler_names)

    def register(self, informers: InformerFactory, asked_for: Collection[EventResource] = ()) -> None:
        """Listen to pods, nodes and namespaces, and to those of the other resources that are asked for."""
        for resource, collection in WATCHED_FOR_HINTS.items():
            if resource in asked_for:
                informers.informer(collection).add_handler(self._mover(resource))
        informers.informer(NODES).add_handler(
            Handler(
                on_add=self._timed(self.add_node),
                on_update=self._timed(self.update_node),
                on_delete=self._timed(self.delete_node),
            )
        )
        informers.informer(NAMESPACES).add_handler(
            Handler(
                on_add=self._timed(self.add_namespace),
                on_update=self._timed(self.update_namespace),
                on_delete=self.delete_namespace,
            )
        )
        informers.informer(PODS).add_handler(
            Handler(
                on_add=self._timed(self.add_pod),
                on_update=self._timed(self.update_pod),
                on_delete=self._timed(self.delete_pod),
            )
        )

    def add_node(self, node: Node) -> ClusterEvent:
        """Take in a new node."""
        self._cache.put_node(node)
        self._queue.move(NODE_ADD, None, node)
        return NODE_ADD

    def update_node(self, old: Node, new: Node) -> ClusterEvent | None:
        """Take in a node's newer version."""
        self._cache.put_node(new)
        event = node_update(old, new)
        if event is not None:
            self._queue.move(event, old, new)
        return event

    def delete_node(self, node: Node) -> ClusterEvent:
        """Take out a node. That can help pods that are spread over topology domains."""
        self._cache.drop_node(node.metadata.name)
        self._queue.move(NODE_DELETE, node, None)
        return NODE_DELETE

    def add_namespace(self, namespace: Namespace) -> ClusterEvent:
        """Take in a namespace's labels, which namespace selectors read."""
        self._cache.set_namespace(namespace.metadata.name, namespace.metadata.labels)
        self._queue.move(NAMESPACE_CHANGE, None, namespace)
        return NAMESPACE_CHANGE

    def update_namespace(self, old: Namespace, new: Namespace) -> ClusterEvent | None:
        """Take in a namespace's new labels."""
        return None if old.metadata.labels is new.metadata.labels else self.add_namespace(new)

    def delete_namespace(self, namespace: Namespace) -> None:
        """Forget a namespace's labels. Its pods are gone, and nobody waits for it to go."""
        self._cache.set_namespace(namespace.metadata.name, NO_LABELS)

    def add_pod(self, pod: Pod) -> ClusterEvent | None:
        """Take in a new pod: with a node it is counted there, without it is scheduled if it is ours."""
        if pod.finished:
            return None
        if pod.spec.node_name:
            return self._assigned(pod)
        if not self._is_ours(pod):
            return None
        self._queue.add(pod)
        return POD_ADD

    def update_pod(self, old: Pod, new: Pod) -> ClusterEvent | None:
        """Take in a pod's newer version, which may have got a node or have finished."""
        if new.finished:
            return None if old.finished else self.delete_pod(new)
        if not new.spec.node_name:
            return self._update_pending(old, new) if self._is_ours(new) else None
        if not old.spec.node_name:
            return self._assigned(new)
        self._cache.put_pod(new)
        event = pod_update(old, new)
        self._queue.move(event, old, new)
        return event

    def delete_pod(self, pod: Pod) -> ClusterEvent:
        """Take out a pod that is gone or has finished; what it held is free."""
        held = self._cache.location(pod.metadata.uid) is not None
        self._cache.drop_pod(pod)
        self._queue.delete(pod)
        self._let_go(pod, "the pod is gone")
        if held:
            self._queue.move(ASSIGNED_POD_DELETE, pod, None)
            return ASSIGNED_POD_DELETE
        if pod.status.nominated_node_name:
            self._give_room_back(pod)
        return POD_DELETE

    def _assigned(self, pod: Pod) -> ClusterEvent:
        """A pod has a node, from this scheduler or another one."""
        self._cache.put_pod(pod)
        self._queue.delete(pod)
        self._let_go(pod, "the pod was given a node by somebody else")
        self._queue.move(ASSIGNED_POD_ADD, None, pod)
        return ASSIGNED_POD_ADD

    def _update_pending(self, old: Pod, new: Pod) -> ClusterEvent | None:
        """An assumed pod that is no longer in flight is bound, which this version does not show yet."""
        uid = new.metadata.uid
        held = self._cache.location(uid)
        if held is not None and held.hold is Hold.ASSUMED and not self._queue.is_in_flight(uid):
            return None
        self._queue.update(old, new)
        if old.status.nominated_node_name not in ("", new.status.nominated_node_name):
            self._give_room_back(old)
        if new.terminating and not old.terminating:
            self._let_go(new, "the pod is being deleted")
        return POD_UPDATE

    def _give_room_back(self, pod: Pod) -> None:
        """A pod is nominated no longer; those that had to yield to it may go there as if it had left."""
        self._queue.move(ASSIGNED_POD_DELETE, pod, None, up_to=pod.spec.priority)

    def _let_go(self, pod: Pod, why: str) -> None:
        """A pod needs no place any more: nobody need wait for it, or write on it."""
        waiting = self._waiting.get(pod.metadata.uid)
        if waiting is not None:
            waiting.reject("", why)
        self._conditions.forget(pod)

    def _is_ours(self, pod: Pod) -> bool:
        return pod.spec.scheduler_name in self._scheduler_names

    def _mover(self, resource: EventResource) -> Handler[Any]:
        """Handlers that tell the queue of what happens to the objects of one resource."""
        name = resource.value
        added = ClusterEvent(resource, Action.ADD, f"{name}Add")
        updated = ClusterEvent(resource, Action.UPDATE, f"{name}Update")
        deleted = ClusterEvent(resource, Action.DELETE, f"{name}Delete")

        def move(event: ClusterEvent, old: object, new: object) -> ClusterEvent:
            self._queue.move(event, old, new)
            return event

        return Handler(
            on_add=self._timed(lambda new: move(added, None, new)),
            on_update=self._timed(lambda old, new: move(updated, old, new)),
            on_delete=self._timed(lambda old: move(deleted, old, None)),
        )

    def _timed(self, handle: Callable[..., ClusterEvent | None]) -> Callable[..., None]:
        def timed(*objects: Any) -> None:
            started = perf_counter()
            event = handle(*objects)
            if event is not None:
                self._durations[event.label].observe(perf_counter() - started)

        return timed
