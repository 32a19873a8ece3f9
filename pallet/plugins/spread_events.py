"""Which events can help a pod that was refused for its topology spread constraints."""

from collections.abc import Iterable

from pallet.api.node import Node
from pallet.api.pod import Pod
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
            EventInterest(ClusterEvent(EventResource.ASSIGNED_POD, pods), self._after_pod),
            EventInterest(ClusterEvent(EventResource.UNSCHEDULED_POD, pods), self._after_pod),
            EventInterest(ClusterEvent(EventResource.NODE, nodes), self._after_node),
        ]

    def _after_pod(self, pod: Pod, old: Pod | None, new: Pod | None) -> Hint:
        """A pod helps when a constraint counts it before or after, but not alike."""
        if any(each is not None and not _involved(each, pod) for each in (old, new)):
            return Hint.SKIP
        constraints = self._reader.read(pod).hard
        if old is None or new is None:
            return _HINTS[any(each.selects(new or old or pod) for each in constraints)]
        itself = new.metadata.uid == pod.metadata.uid
        if itself and new.spec.tolerations != old.spec.tolerations and _mind_taints(constraints):
            return Hint.QUEUE
        return _HINTS[any(each.selects(old) != each.selects(new) for each in constraints)]

    def _after_node(self, pod: Pod, old: Node | None, new: Node | None) -> Hint:
        """A node helps when it has all the topology labels before or after, and something changed."""
        keys = {each.topology_key for each in self._reader.read(pod).hard}
        was, is_now = _labelled(old, keys), _labelled(new, keys)
        if old is None or new is None or was != is_now:
            return _HINTS[was or is_now]
        moved = any(old.metadata.labels.get(key) != new.metadata.labels.get(key) for key in keys)
        return _HINTS[is_now and (moved or old.spec.taints != new.spec.taints)]


def _involved(other: Pod, pod: Pod) -> bool:
    """Whether it is the pod itself, or one with a node (or the promise of one) in the same namespace."""
    if other.metadata.uid == pod.metadata.uid:
        return True
    placed = bool(other.spec.node_name or other.status.nominated_node_name)
    return placed and other.metadata.namespace == pod.metadata.namespace


def _mind_taints(constraints: Iterable[Constraint]) -> bool:
    return any(each.honors_taints for each in constraints)


def _labelled(node: Node | None, keys: Iterable[str]) -> bool:
    return node is not None and all(key in node.metadata.labels for key in keys)
