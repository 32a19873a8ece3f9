"""NodeResourcesFit: enough of every resource left, and rather where more (or less) is left."""

from collections.abc import Hashable
from typing import Literal

import msgspec
import numpy as np

from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.api.requests import CPU, MEMORY, PODS, Requests, amount, requests_of
from pallet.cache.node_table import Amounts
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.handle import Handle
from pallet.framework.interface import MAX_SCORE, Codes, Reads, RowChoice, Scores
from pallet.framework.state import CycleState
from pallet.framework.status import Status, unresolvable, unschedulable
from pallet.plugins import names
from pallet.plugins.resource_shares import ResourceSpec, Shares, shares_of

_TOO_MANY_PODS = 1
_UNRESOLVABLE = 1 << 31
"""Set when the node is too small for the pod even when empty."""


class ScoringStrategy(msgspec.Struct, frozen=True, rename="camel"):
    """Which resources count how much, and whether free or used ones are better."""

    type: Literal["LeastAllocated", "MostAllocated"] = "LeastAllocated"
    resources: tuple[ResourceSpec, ...] = (ResourceSpec(CPU), ResourceSpec(MEMORY))


class NodeResourcesFitArgs(msgspec.Struct, frozen=True, rename="camel"):
    """Extended resources that others look after are ignored, by name or by the part before the slash."""

    ignored_resources: tuple[str, ...] = ()
    ignored_resource_groups: tuple[str, ...] = ()
    scoring_strategy: ScoringStrategy = ScoringStrategy()


class NodeResourcesFit:
    """Refuses nodes without enough left; a code has a bit for each resource that is short."""

    name = names.NODE_RESOURCES_FIT
    reads = Reads.LOAD
    args_type = NodeResourcesFitArgs

    def __init__(self, args: NodeResourcesFitArgs, handle: Handle) -> None:
        """Take what to ignore and how to score."""
        self._args = args

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """The requests."""
        return info.requests

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Too many pods is bit 0, the n-th of the pod's resources bit n+1."""
        table = snapshot.table
        pods = table.resources[PODS]
        codes = (table.requested[pods, rows] >= table.allocatable[pods, rows]).astype(np.uint32)
        for bit, (resource, wanted) in enumerate(info.requests.amounts, start=1):
            if self._ignores(resource):
                continue
            index = table.resources.get(resource)
            if index is None:
                codes |= np.uint32(_UNRESOLVABLE | 1 << bit)
                continue
            offered = table.allocatable[index, rows]
            short = wanted > offered - table.requested[index, rows]
            if short.any():
                codes |= short * np.uint32(1 << bit)
                codes |= (wanted > offered) * np.uint32(_UNRESOLVABLE)
        return codes

    def explain(self, info: PodInfo, code: int) -> Status:
        """All resources that are short."""
        reasons = ["Too many pods"] if code & _TOO_MANY_PODS else []
        for bit, (resource, _) in enumerate(info.requests.amounts, start=1):
            if code & 1 << bit:
                reasons.append(f"Insufficient {resource}")
        return (unresolvable if code & _UNRESOLVABLE else unschedulable)(*reasons)

    def score_signature(self, info: PodInfo) -> Hashable | None:
        """The requests, containers without any counted at a minimum."""
        return info.requests

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """The weighted mean of the resources' scores, each resource that the node offers."""
        resources = self._args.scoring_strategy.resources
        shares = shares_of(resources, info, snapshot.table, rows, minimum=True)
        weights = shares.weights @ (shares.allocatable > 0)
        total: Scores = shares.weights @ self._scores(shares) // np.maximum(weights, 1)
        return total

    def events_to_register(self) -> list[EventInterest]:
        """Room that grows: a pod that goes or shrinks, the pod itself shrinking, a new or larger node."""
        pods = ClusterEvent(EventResource.ASSIGNED_POD, Action.DELETE | Action.UPDATE_POD_SCALE_DOWN)
        itself = ClusterEvent(EventResource.UNSCHEDULED_POD, Action.UPDATE_POD_SCALE_DOWN)
        nodes = ClusterEvent(EventResource.NODE, Action.ADD | Action.UPDATE_NODE_ALLOCATABLE)
        return [
            EventInterest(pods, _frees_what_is_needed),
            EventInterest(itself, _is_itself),
            EventInterest(nodes, self._offers_enough),
        ]

    def _scores(self, shares: Shares) -> Amounts:
        """Parts per hundred that would be free, or used, rounded down; of no resource more than there is."""
        requested = np.minimum(shares.requested + shares.wanted, shares.allocatable)
        least = self._args.scoring_strategy.type == "LeastAllocated"
        part = shares.allocatable - requested if least else requested
        scores: Amounts = part * MAX_SCORE // np.maximum(shares.allocatable, 1)
        return scores

    def _ignores(self, resource: str) -> bool:
        if "/" not in resource:
            return False
        group = resource.partition("/")[0]
        return resource in self._args.ignored_resources or group in self._args.ignored_resource_groups

    def _offers_enough(self, pod: Pod, old: Node | None, new: Node) -> Hint:
        requests = requests_of(pod)
        fits = _offered(new, PODS) > 0 and all(
            wanted <= _offered(new, resource)
            for resource, wanted in requests.amounts
            if not self._ignores(resource)
        )
        return Hint.QUEUE if fits and (old is None or _grew(requests, old, new)) else Hint.SKIP


def _offered(node: Node, resource: str) -> int:
    quantity = node.status.allocatable.get(resource)
    return amount(resource, quantity) if quantity is not None else 0


def _grew(requests: Requests, old: Node, new: Node) -> bool:
    resources = (PODS, *(resource for resource, _ in requests.amounts))
    return any(_offered(new, resource) > _offered(old, resource) for resource in resources)


def _frees_what_is_needed(pod: Pod, old: Pod, new: Pod | None) -> Hint:
    """A deleted pod frees at least its place; one that shrinks must give back what this pod asks for."""
    if new is None:
        return Hint.QUEUE
    before, after = dict(requests_of(old).amounts), dict(requests_of(new).amounts)
    wanted = (resource for resource, _ in requests_of(pod).amounts)
    freed = any(after.get(resource, 0) < before.get(resource, 0) for resource in wanted)
    return Hint.QUEUE if freed else Hint.SKIP


def _is_itself(pod: Pod, _: Pod, new: Pod) -> Hint:
    return Hint.QUEUE if new.metadata.uid == pod.metadata.uid else Hint.SKIP
