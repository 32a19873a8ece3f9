"""What the informers tell, brought to the cache and to the queue."""

from collections.abc import Collection

from pallet.api.core import NAMESPACES, Namespace
from pallet.api.node import NODES, Node
from pallet.api.pod import PODS, Pod
from pallet.cache.cache import Cache
from pallet.framework.events import (
    ASSIGNED_POD_ADD,
    ASSIGNED_POD_DELETE,
    NODE_ADD,
    Action,
    ClusterEvent,
    EventResource,
    node_update,
    pod_update,
)
from pallet.informers.factory import InformerFactory
from pallet.informers.informer import Handler
from pallet.scheduler.queue import SchedulingQueue

NAMESPACE_CHANGE = ClusterEvent(EventResource.NAMESPACE, Action.ALL, "NamespaceUpdate")


class ClusterHandlers:
    """Keeps cache and queue in step with the API: the cache hears of everything before the queue does."""

    def __init__(self, cache: Cache, queue: SchedulingQueue, scheduler_names: Collection[str]) -> None:
        self._cache = cache
        self._queue = queue
        self._scheduler_names = frozenset(scheduler_names)

    def register(self, informers: InformerFactory) -> None:
        """Listen to pods, nodes and namespaces."""
        informers.informer(NODES).add_handler(
            Handler(on_add=self.add_node, on_update=self.update_node, on_delete=self.delete_node)
        )
        informers.informer(NAMESPACES).add_handler(
            Handler(on_add=self.add_namespace, on_update=lambda _, new: self.add_namespace(new))
        )
        informers.informer(PODS).add_handler(
            Handler(on_add=self.add_pod, on_update=self.update_pod, on_delete=self.delete_pod)
        )

    def add_node(self, node: Node) -> None:
        """Take in a new node."""
        self._cache.put_node(node)
        self._queue.move(NODE_ADD, None, node)

    def update_node(self, old: Node, new: Node) -> None:
        """Take in a node's newer version."""
        self._cache.put_node(new)
        event = node_update(old, new)
        if event is not None:
            self._queue.move(event, old, new)

    def delete_node(self, node: Node) -> None:
        """Take out a node. Nothing gets easier by that, so the queue is not told."""
        self._cache.drop_node(node.metadata.name)

    def add_namespace(self, namespace: Namespace) -> None:
        """Take in a namespace's labels, which namespace selectors read."""
        self._cache.set_namespace(namespace.metadata.name, namespace.metadata.labels)
        self._queue.move(NAMESPACE_CHANGE, None, namespace)

    def add_pod(self, pod: Pod) -> None:
        """Take in a new pod: with a node it is counted there, without it is scheduled if it is ours."""
        if pod.finished:
            return
        if pod.spec.node_name:
            self._cache.put_pod(pod)
            self._queue.move(ASSIGNED_POD_ADD, None, pod)
        elif self._is_ours(pod):
            self._queue.add(pod)

    def update_pod(self, old: Pod, new: Pod) -> None:
        """Take in a pod's newer version, which may have got a node or have finished."""
        if new.finished:
            if not old.finished:
                self.delete_pod(new)
        elif not new.spec.node_name:
            if self._is_ours(new):
                self._queue.update(old, new)
        elif not old.spec.node_name:
            self._queue.delete(old)
            self._cache.put_pod(new)
            self._queue.move(ASSIGNED_POD_ADD, None, new)
        else:
            self._cache.put_pod(new)
            event = pod_update(old, new)
            if event is not None:
                self._queue.move(event, old, new)

    def delete_pod(self, pod: Pod) -> None:
        """Take out a pod that is gone or has finished; what it held is free."""
        held = self._cache.placement(pod.metadata.uid) is not None
        self._cache.drop_pod(pod)
        if not pod.spec.node_name:
            self._queue.delete(pod)
        if held:
            self._queue.move(ASSIGNED_POD_DELETE, pod, None)

    def _is_ours(self, pod: Pod) -> bool:
        return pod.spec.scheduler_name in self._scheduler_names
