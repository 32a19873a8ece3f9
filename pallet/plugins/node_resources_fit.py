"""NodeResourcesFit: enough of every resource left, and rather where more (or less) is left."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import msgspec
import numpy as np

from pallet.api.names import is_label_key
from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.api.requests import CPU, LARGEST_AMOUNT, PODS, Requests, amount, requests_of
from pallet.cache.pod_info import PodInfo
from pallet.cache.resource_columns import ResourceColumns
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
_MARKS = 29
"""So many resources have a bit of their own in a code: those from 1 on."""
_DIGEST = 1 << 30
"""Set when any of more resources is short: the bits from 1 on are then a digest of which."""
_UNRESOLVABLE = 1 << 31
"""Set when the node is too small for the pod even when empty."""

_NAMED = 3
"""So many resources are named of those of which a pod asks for more than is counted."""


class _Wanted(NamedTuple):
    """What a pod asks for, put so that it can be asked quickly of one node after the other.

    `parts` are name, amount and mark of what some node offers; `nowhere` is the code for what none does, 0
    where there is nothing like that, and `lacking` has its reasons. `flag` stands in the code of every node
    where anything is short.
    """

    requests: Requests
    offered: frozenset[str]
    parts: tuple[tuple[str, int, int], ...]
    nowhere: int
    lacking: tuple[str, ...]
    flag: int


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
    """Refuses nodes without enough left.

    A code has a bit for each resource that is short. Of a pod with more resources than there are bits, it has
    a digest of their names; that any is short is a bit of its own, so that this never depends on the digest.
    """

    name = names.NODE_RESOURCES_FIT
    filter_reads = Reads.LOAD
    score_reads = Reads.LOAD
    filter_reads_sums = True
    args_type = NodeResourcesFitArgs

    def __init__(self, args: NodeResourcesFitArgs, handle: Handle) -> None:
        """Take what to ignore, how to score, and the cache that knows what nodes offer."""
        self._args = args
        self._cache = handle.cache
        self._strategy = Strategy(args.scoring_strategy)
        self._last = _Wanted(Requests(), frozenset(), (), 0, (), 0)

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """The requests."""
        return info.requests

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Too many pods is bit 0, the n-th of the pod's resources bit n+1, while there are bits enough."""
        columns = snapshot.table.resources
        codes: Codes = self._code(
            info.requests,
            columns,
            lambda name: (columns[name].allocatable[rows], columns[name].requested[rows]),
        ).astype(np.uint32)
        return codes

    def filter_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """The same for a single row."""
        columns = snapshot.table.resources
        code: int = self._code(
            info.requests,
            columns,
            lambda name: columns[name].at(row),
        )
        return code

    def explain(self, info: PodInfo, code: int) -> Status:
        """All resources that are short, unless there are so many that the code does not tell."""
        if info.requests.beyond:
            return _beyond_all(info.requests)
        return _refusal(
            code,
            *(
                _insufficient(resource)
                for number, (resource, _) in enumerate(info.requests.amounts)
                if not code & _DIGEST and code & (2 << number)
            ),
        )

    def explain_row(self, info: PodInfo, code: int, snapshot: Snapshot, row: int) -> Status:
        """All resources that are short, however many the pod asks for."""
        if not code & _DIGEST or info.requests.beyond:
            return self.explain(info, code)
        columns = snapshot.table.resources
        wanted, short = self._wanted(info.requests, columns.offered), []
        for resource, amount_wanted, _ in wanted.parts:
            offered, taken = columns[resource].at(row)
            if amount_wanted > min(offered, offered - taken):
                short.append(_insufficient(resource))
        return _refusal(code, *sorted((*short, *wanted.lacking)))

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
        itself = ClusterEvent(EventResource.TARGET_POD, Action.UPDATE_POD_SCALE_DOWN)
        nodes = ClusterEvent(EventResource.NODE, Action.ADD | Action.UPDATE_NODE_ALLOCATABLE)
        return [
            EventInterest(pods, self._frees_what_is_needed),
            EventInterest(itself, _is_itself),
            EventInterest(nodes, self._offers_enough),
        ]

    def _code(
        self,
        requests: Requests,
        columns: ResourceColumns,
        at: Callable[[str], tuple[Any, Any]],
    ) -> Any:
        """The rule, on what is offered and taken of a resource: integers, or arrays of them."""
        asked = self._wanted(requests, columns.offered)
        offered, taken = at(PODS)
        code = (taken >= offered) * _TOO_MANY_PODS | asked.nowhere
        for resource, wanted, mark in asked.parts:
            offered, taken = at(resource)
            too_small = wanted > offered
            short = (wanted > offered - taken) | too_small
            code ^= short * mark
            code |= too_small * _UNRESOLVABLE
            if asked.flag:
                code |= short * asked.flag
        return code

    def _wanted(self, requests: Requests, offered: frozenset[str]) -> _Wanted:
        """What these requests come to where nodes offer this; kept from one call to the next."""
        last = self._last
        if last.requests is not requests or last.offered is not offered:
            last = self._last = self._made(requests, offered)
        return last

    def _made(self, requests: Requests, offered: frozenset[str]) -> _Wanted:
        many = len(requests.amounts) > _MARKS
        flag = _DIGEST if many else 0
        if requests.beyond:
            return _Wanted(requests, offered, (), _UNRESOLVABLE, (), 0)
        parts, nowhere, lacking = [], 0, []
        for number, (resource, wanted) in enumerate(requests.amounts):
            if not self._ignores(resource):
                mark = 2 + 2 * (hash(resource) % (1 << _MARKS - 1)) if many else 2 << number
                if resource in offered:
                    parts.append((resource, wanted, mark))
                else:
                    nowhere = (nowhere ^ mark) | flag | _UNRESOLVABLE
                    lacking.append(_insufficient(resource))
        return _Wanted(requests, offered, tuple(parts), nowhere, tuple(lacking), flag)

    def _ignores(self, resource: str) -> bool:
        if "/" not in resource:
            return False
        group = resource.partition("/")[0]
        return resource in self._args.ignored_resources or group in self._args.ignored_resource_groups

    def _offers_enough(self, info: PodInfo, old: Node | None, new: Node) -> Hint:
        requests = info.requests
        fits = (
            not requests.beyond
            and _offered(new, PODS) > 0
            and all(
                wanted <= _offered(new, resource)
                for resource, wanted in requests.amounts
                if not self._ignores(resource)
            )
        )
        return Hint.QUEUE if fits and (old is None or _grew(requests, old, new)) else Hint.SKIP

    def _frees_what_is_needed(self, info: PodInfo, old: Pod, new: Pod | None) -> Hint:
        """A deleted pod frees at least its place; one that shrinks must give back what this pod asks for.

        Neither helps a pod that asks for more than is counted, or for what no node offers.
        """
        wanted, offered = info.requests, self._cache.snapshot.table.resources.offered
        if wanted.beyond or any(
            resource not in offered and not self._ignores(resource) for resource, _ in wanted.amounts
        ):
            return Hint.SKIP
        if new is None:
            return Hint.QUEUE
        after = dict(requests_of(new).amounts)
        freed = (resource for resource, amount in requests_of(old).amounts if after.get(resource, 0) < amount)
        return Hint.QUEUE if any(map(wanted.of, freed)) else Hint.SKIP


def _offered(node: Node, resource: str) -> int:
    quantity = node.status.allocatable.get(resource)
    return min(amount(resource, quantity), LARGEST_AMOUNT) if quantity is not None else 0


def _grew(requests: Requests, old: Node, new: Node) -> bool:
    resources = (PODS, *(resource for resource, _ in requests.amounts))
    return any(_offered(new, resource) > _offered(old, resource) for resource in resources)


def _insufficient(resource: str) -> str:
    return f"Insufficient {resource}"


def _refusal(code: int, *insufficient: str) -> Status:
    """What a code means, given what it says of resources other than pods."""
    reasons = (*(("Too many pods",) if code & _TOO_MANY_PODS else ()), *insufficient)
    if not reasons:  # loads were supposed that are gone
        reasons = ("Insufficient resources",)
    return (unresolvable if code & _UNRESOLVABLE else unschedulable)(*reasons)


def _beyond_all(requests: Requests) -> Status:
    """What is said of a pod that asks for more than is counted."""
    limits = (f"{LARGEST_AMOUNT}{'m' if name == CPU else ''} of {name}" for name in requests.beyond[:_NAMED])
    left = len(requests.beyond) - _NAMED
    others = f" and {left} other {'resource' if left == 1 else 'resources'}" if left > 0 else ""
    return unresolvable(f"node(s) cannot be asked for more than {', '.join(limits)}{others}")


def _is_itself(info: PodInfo, _: Pod, new: Pod) -> Hint:
    return Hint.QUEUE if new.metadata.uid == info.uid else Hint.SKIP
