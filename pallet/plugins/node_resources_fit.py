"""NodeResourcesFit: enough of every resource left, and rather where more (or less) is left."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import msgspec
import numpy as np

from pallet.api.names import is_label_key
from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.api.requests import PODS, Requests, amount, requests_of
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.handle import Handle
from pallet.framework.interface import Codes, Reads, RowChoice, Scores
from pallet.framework.state import CycleState
from pallet.framework.status import Status, unresolvable, unschedulable
from pallet.plugins import names
from pallet.plugins.resource_shares import ARRAYS, NUMBERS, shares_of
from pallet.plugins.scoring_strategy import ScoringStrategy, Strategy

_TOO_MANY_PODS = 1
_UNRESOLVABLE = 1 << 31
"""Set when the node is too small for the pod even when empty."""


class NodeResourcesFitArgs(msgspec.Struct, frozen=True, rename="camel"):
    """Extended resources that others look after are ignored, by name or by the part before the slash."""

    ignored_resources: tuple[str, ...] = ()
    ignored_resource_groups: tuple[str, ...] = ()
    scoring_strategy: ScoringStrategy = ScoringStrategy()

    def __post_init__(self) -> None:
        for number, name in enumerate(self.ignored_resources):
            if not is_label_key(name):
                raise ValueError(f'ignoredResources[{number}]: "{name}" is not the name of a resource')
        for number, name in enumerate(self.ignored_resource_groups):
            if "/" in name or not is_label_key(name):
                raise ValueError(f'ignoredResourceGroups[{number}]: "{name}" is not the part before a slash')


class NodeResourcesFit:
    """Refuses nodes without enough left; a code has a bit for each resource that is short."""

    name = names.NODE_RESOURCES_FIT
    reads = Reads.LOAD
    reads_sums = True
    args_type = NodeResourcesFitArgs

    def __init__(self, args: NodeResourcesFitArgs, handle: Handle) -> None:
        """Take what to ignore and how to score."""
        self._args = args
        self._strategy = Strategy(args.scoring_strategy)

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """The requests."""
        return info.requests

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Too many pods is bit 0, the n-th of the pod's resources bit n+1."""
        table = snapshot.table
        offered, taken = table.allocatable[:, rows], table.requested[:, rows]
        codes: Codes = self._code(info, table.resources, offered.__getitem__, taken.__getitem__).astype(
            np.uint32
        )
        return codes

    def filter_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """The same for a single row."""
        table = snapshot.table
        offered, taken = table.allocatable.item, table.requested.item
        code: int = self._code(
            info, table.resources, lambda index: offered(index, row), lambda index: taken(index, row)
        )
        return code

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
        """What the configured strategy makes of the resources that the node offers."""
        shares = shares_of(self._strategy.resources, info, snapshot.table, rows, minimum=True)
        scores: Scores = np.zeros(snapshot.table.live[rows].shape, np.int64)
        scores += self._strategy.score(shares, ARRAYS)
        return scores

    def score_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """The same for a single row."""
        shares = shares_of(self._strategy.resources, info, snapshot.table, row, minimum=True)
        return int(self._strategy.score(shares, NUMBERS))

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

    def _code(
        self,
        info: PodInfo,
        resources: Mapping[str, int],
        offered_of: Callable[[int], Any],
        taken_of: Callable[[int], Any],
    ) -> Any:
        """The rule, on what is offered and taken of a resource: integers, or arrays of them."""
        pods = resources[PODS]
        code = (taken_of(pods) >= offered_of(pods)) * _TOO_MANY_PODS
        for bit, (resource, wanted) in enumerate(info.requests.amounts, start=1):
            if self._ignores(resource):
                continue
            index = resources.get(resource)
            if index is None:
                code |= _UNRESOLVABLE | 1 << bit
                continue
            offered = offered_of(index)
            code |= (wanted > offered - taken_of(index)) * (1 << bit)
            code |= (wanted > offered) * (_UNRESOLVABLE | 1 << bit)
        return code

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
