"""Pods for which room was made on a node, and which are not there yet.

A pod is nominated when preemption has chosen its node, or when its status says so already. Until it is
assumed, others of its priority or below treat it as if it were placed.
"""

from collections.abc import Collection, Iterator

from pallet.api.pod import Pod
from pallet.cache.changes import ChangeLog
from pallet.cache.pod_info import PodInfo

_NOBODY: dict[str, PodInfo] = {}


class Nominator:
    """The nominated pods by node. `changes` logs the nodes to which others are nominated than before.

    What is known here may be ahead of the pod's status: the patch that says so is still under way.
    """

    def __init__(self, limit: int = 8192) -> None:
        self.changes: ChangeLog[str] = ChangeLog(limit)
        self._node_of: dict[str, str] = {}
        self._by_node: dict[str, dict[str, PodInfo]] = {}
        self._limit = limit

    def fork(self) -> "Nominator":
        """Nominations that can be changed without changing these."""
        twin = Nominator(self._limit)
        twin._node_of = dict(self._node_of)
        twin._by_node = {name: dict(nominated) for name, nominated in self._by_node.items()}
        return twin

    def __len__(self) -> int:
        return len(self._node_of)

    def __iter__(self) -> Iterator[str]:
        """The nodes to which pods are nominated."""
        return iter(self._by_node)

    def nominate(self, info: PodInfo, node_name: str) -> None:
        """Nominate a pod to this node and no other; the empty name takes its nomination away."""
        self.drop(info.uid)
        if node_name:
            self._node_of[info.uid] = node_name
            self._by_node.setdefault(node_name, {})[info.uid] = info
            self.changes.record(node_name)

    def update(self, old: Pod, info: PodInfo) -> None:
        """Take in a newer version of a pending pod. Where both name the same node, or none, what is known
        here stands.
        """
        node_name = info.pod.status.nominated_node_name
        if node_name == old.status.nominated_node_name:
            node_name = self.node_of(info.uid)
        self.nominate(info, node_name)

    def drop(self, uid: str) -> None:
        """A pod is assumed or gone: it is nominated no longer."""
        node_name = self._node_of.pop(uid, None)
        if node_name is not None:
            nominated = self._by_node[node_name]
            del nominated[uid]
            if not nominated:
                del self._by_node[node_name]
            self.changes.record(node_name)

    def node_of(self, uid: str) -> str:
        """The node to which a pod is nominated; empty for none."""
        return self._node_of.get(uid, "")

    def on(self, node_name: str) -> Collection[PodInfo]:
        """The pods nominated to a node."""
        return self._by_node.get(node_name, _NOBODY).values()

    def ahead_of(self, pod: Pod, node_name: str) -> list[PodInfo]:
        """The pods nominated to a node to which this one has to yield: of its priority or above."""
        uid, priority = pod.metadata.uid, pod.spec.priority
        return [info for info in self.on(node_name) if info.uid != uid and info.pod.spec.priority >= priority]
