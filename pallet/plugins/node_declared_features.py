"""NodeDeclaredFeatures: pods that need a feature of the kubelet go where it is declared.

Of the features that nodes declare in 1.36 only two matter to placement (component-helpers,
nodedeclaredfeatures); the others are about updates of running pods.
"""

from collections.abc import Hashable
from typing import Any

import numpy as np

from pallet.api.node import Node
from pallet.api.pod import Pod, PodSpec
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.handle import Handle
from pallet.framework.interface import Codes, Reads, RowChoice
from pallet.framework.state import CycleState
from pallet.framework.status import Status, unresolvable
from pallet.plugins import names

RESTART_ALL_CONTAINERS = "RestartAllContainersOnContainerExits"
USER_NAMESPACES_ON_HOST_NETWORK = "UserNamespacesHostNetworkSupport"


class NodeDeclaredFeatures:
    """Refuses nodes that do not declare what the pod needs."""

    name = names.NODE_DECLARED_FEATURES
    filter_reads = Reads.NODE

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take nothing."""

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """The features; nothing to say about a pod that needs none."""
        return _needed(info.pod.spec) or None

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Code 1 where a feature is missing."""
        needed, nodes = _needed(info.pod.spec), snapshot.table.nodes
        return np.array(
            [
                (node := nodes[row]) is None or not needed <= set(node.status.declared_features)
                for row in np.arange(len(nodes))[rows].tolist()
            ],
            np.uint32,
        )

    def explain(self, info: PodInfo, code: int) -> Status:
        """The only reason."""
        return unresolvable("node(s) didn't match Pod's required features")

    def events_to_register(self) -> list[EventInterest]:
        """A node that is new or declares something else; the pod's own needs."""
        node = ClusterEvent(EventResource.NODE, Action.ADD | Action.UPDATE_NODE_DECLARED_FEATURE)
        pod = ClusterEvent(EventResource.TARGET_POD, Action.UPDATE)
        return [EventInterest(node, _declares_otherwise), EventInterest(pod, _needs_otherwise)]


def _needed(spec: PodSpec) -> frozenset[str]:
    needed = set()
    for container in (*spec.containers, *spec.init_containers):
        rules = container.restart_policy_rules
        if rules and any(rule.action == "RestartAllContainers" for rule in rules):
            needed.add(RESTART_ALL_CONTAINERS)
    if spec.host_network and spec.host_users is False:
        needed.add(USER_NAMESPACES_ON_HOST_NETWORK)
    return frozenset(needed)


def _declares_otherwise(_: PodInfo, old: Node | None, new: Node) -> Hint:
    same = old is not None and old.status.declared_features == new.status.declared_features
    return Hint.SKIP if same else Hint.QUEUE


def _needs_otherwise(info: PodInfo, old: Pod, new: Pod) -> Hint:
    changed = new.metadata.uid == info.uid and _needed(old.spec) != _needed(new.spec)
    return Hint.QUEUE if changed else Hint.SKIP
