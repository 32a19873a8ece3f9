"""Which events can help a pod that was refused for its topology spread constraints."""

from collections.abc import Iterable

from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.plugins.spread_constraints import Constraint, SpreadReader

_HINTS = {True: Hint.QUEUE, False: Hint.SKIP}


class SpreadHints:
    """The interests of the plugin, with hints as in kube-scheduler."""

    def __init__(self, reader: SpreadReader) -> None:
        self._reader = reader

    def interests(self) -> list[EventInterest]:
        """A pod that comes, goes or changes its labels, or is the pod itself; a node that changes."""
        pods = Action.ADD | Action.DELETE | Action.UPDATE_POD_LABEL | Action.UPDATE_POD_TOLERATIONS
        nodes = Action.ADD | Action.DELETE | Action.UPDATE_NODE_LABEL | Action.UPDATE_NODE_TAINT
        return [
            EventInterest(ClusterEvent(EventResource.ASSIGNED_POD, pods), self._after_neighbour),
            EventInterest(ClusterEvent(EventResource.TARGET_POD, pods), self._after_itself),
            EventInterest(ClusterEvent(EventResource.NODE, nodes), self._after_node),
        ]

    def _after_neighbour(self, info: PodInfo, old: Pod | None, new: Pod | None) -> Hint:
        """Pods of the same namespace are counted where they were, or were to be."""
        near = (new or old or info.pod).metadata.namespace == info.pod.metadata.namespace
        return self._after_pod(info.pod, old, new) if near else Hint.SKIP

    def _after_itself(self, info: PodInfo, old: Pod | None, new: Pod | None) -> Hint:
        """Of the pods without a node only the pod itself counts."""
        itself = (new or old or info.pod).metadata.uid == info.uid
        return self._after_pod(info.pod, old, new) if itself else Hint.SKIP

    def _after_pod(self, pod: Pod, old: Pod | None, new: Pod | None) -> Hint:
        """A pod helps when a constraint counts it before or after, but not alike."""
        constraints = self._reader.read(pod).hard
        if old is None or new is None:
            return _HINTS[any(each.selects(new or old or pod) for each in constraints)]
        itself = new.metadata.uid == pod.metadata.uid
        if itself and new.spec.tolerations != old.spec.tolerations and _mind_taints(constraints):
            return Hint.QUEUE
        return _HINTS[any(each.selects(old) != each.selects(new) for each in constraints)]

    def _after_node(self, info: PodInfo, old: Node | None, new: Node | None) -> Hint:
        """A node helps when it has all the topology labels before or after, and something changed."""
        keys = {each.topology_key for each in self._reader.read(info.pod).hard}
        was, is_now = _labelled(old, keys), _labelled(new, keys)
        if old is None or new is None or was != is_now:
            return _HINTS[was or is_now]
        moved = any(old.metadata.labels.get(key) != new.metadata.labels.get(key) for key in keys)
        return _HINTS[is_now and (moved or old.spec.taints != new.spec.taints)]


def _mind_taints(constraints: Iterable[Constraint]) -> bool:
    return any(each.honors_taints for each in constraints)


def _labelled(node: Node | None, keys: Iterable[str]) -> bool:
    return node is not None and all(key in node.metadata.labels for key in keys)
