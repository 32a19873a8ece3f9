"""Placing pods one by one on a hypothetical snapshot: what making and checking a plan have in common."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from random import Random

import numpy as np

from pallet.cache.columns import Mask
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.state import CycleState
from pallet.framework.status import PluginError
from pallet.loop_budget import LoopBudget
from pallet.planner.interface import Problem
from pallet.runtime.counting import Counting
from pallet.runtime.evaluator import Evaluator
from pallet.runtime.incremental_totals import INFEASIBLE
from pallet.runtime.pod_limits import large_part

_SHARE = 3
"""Slices that others get for each one that a large pod takes."""


@dataclass(slots=True)
class Placed:
    """How far a set has come: pods placed and refused, by name, and the sum of the chosen nodes' totals."""

    assignments: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    score: int = 0


async def place(
    problem: Problem, pods: Iterable[PodInfo], budget: LoopBudget, planned: Mapping[str, str] | None = None
) -> Placed:
    """Place pods on the problem's snapshot: on the best node each, or where a plan says (node by pod name).

    The planned nodes must exist. A refused pod is tried again once others have found their places, for it may
    have to be near to one of them, until a whole round brings nothing new.
    """
    trial, placed = _Trial(problem), Placed()
    waiting, progress = await placing_order(pods, problem.snapshot, budget, problem.eligible), True
    while waiting and progress:
        left = []
        for info in waiting:
            if budget.exhausted:
                await budget.pause()
            name = info.pod.metadata.name
            await trial.prepare(info, budget)
            node, score, reason = trial.choose(info, planned[name] if planned is not None else None)
            if node is None:
                left.append(info)
                placed.refused[name] = reason
            else:
                trial.place(info, node)
                placed.refused.pop(name, None)
                placed.assignments[name] = node
                placed.score += score
        progress = len(left) < len(waiting)
        waiting = left
    return placed


async def eligible_rows(problem: Problem, budget: LoopBudget) -> dict[bytes, list[PodInfo]]:
    """The problem's pods by the rows of the nodes that each could go to as things stand.

    The rows are a mask of the node table, packed (see `eligible_names`). A pod that could go nowhere is under
    the mask without a row.
    """
    trial = _Trial(problem)
    groups: dict[bytes, list[PodInfo]] = {}
    for info in problem.pods:
        if budget.exhausted:
            await budget.pause()
        await trial.prepare(info, budget)
        groups.setdefault(np.packbits(trial.feasible(info)).tobytes(), []).append(info)
    return groups


def eligible_names(snapshot: Snapshot, rows: bytes) -> list[str]:
    """The names of the nodes in a packed mask of rows."""
    mask = np.unpackbits(np.frombuffer(rows, np.uint8))
    return sorted(snapshot.table.name(row) for row in mask.nonzero()[0].tolist())


async def placing_order(
    pods: Iterable[PodInfo], snapshot: Snapshot, budget: LoopBudget, limited: Container[str] = ()
) -> list[PodInfo]:
    """The order in which to place pods.

    Higher priorities first. Within one, pods that need no other pod near to them, so that those that do can
    follow; then those that are limited to some nodes; then the larger share of the cluster, since what is
    large is hard to fit in last; then the name.
    """
    table = snapshot.table
    offered = {name: float(column.allocatable.sum(dtype=float)) for name, column in table.resources.items()}

    def key(info: PodInfo) -> tuple[int, int, bool, float, str]:
        share = max(
            (asked / max(offered.get(name, 0.0), 1.0) for name, asked in info.requests.amounts), default=0.0
        )
        name = info.pod.metadata.name
        return -info.pod.spec.priority, _dependence(info, snapshot), name not in limited, -share, name

    keyed = []
    for info in pods:
        if budget.exhausted:
            await budget.pause()
        keyed.append((key(info), info))
    return [info for _, info in sorted(keyed, key=itemgetter(0))]


def _dependence(info: PodInfo, snapshot: Snapshot) -> int:
    """Whether a pod needs no pod near to it (0), or only pods like itself (1), or different ones (2)."""
    near = info.terms.near
    if near is None:
        return 0
    return 1 if snapshot.counters.weight(near, info.pod) else 2


class _Trial:
    """The evaluators of a problem, one for each scheduler name, all on its snapshot."""

    def __init__(self, problem: Problem) -> None:
        rng = Random(problem.seed)  # noqa: S311  # breaks ties
        self._eligible = problem.eligible
        self._snapshot = problem.snapshot
        self._supposing = {
            name: [plugin.suppose for plugin in profile.plugins.values() if hasattr(plugin, "suppose")]
            for name, profile in problem.profiles.items()
        }
        self._evaluators = {
            name: Evaluator(profile.for_planning(), problem.snapshot, rng)
            for name, profile in problem.profiles.items()
        }
        self._countings = {
            name: Counting(profile, problem.snapshot) for name, profile in problem.profiles.items()
        }

    async def prepare(self, info: PodInfo, budget: LoopBudget) -> None:
        """Count what the decision on a pod counts by; before a large one's, give others more slices."""
        await self._countings[info.pod.spec.scheduler_name].finish(info, budget)
        part = large_part(info)
        for _ in range(int(_SHARE * part.times_as_costly) if part else 0):
            await budget.pause()

    def place(self, info: PodInfo, node: str) -> None:
        """Suppose a pod on a node, with all that it takes there."""
        self._snapshot.place(info, node)
        for suppose in self._supposing[info.pod.spec.scheduler_name]:
            suppose(info, self._snapshot, node)

    def choose(self, info: PodInfo, planned: str | None) -> tuple[str | None, int, str]:
        """The planned or else the best node, and its total; or None, and why the pod cannot go there."""
        evaluator = self._evaluators[info.pod.spec.scheduler_name]
        only = self._eligible.get(info.pod.metadata.name)
        try:
            if planned is not None:
                only = frozenset((planned,)) if only is None else only & {planned}
                total = int(evaluator.totals(CycleState(), info)[self._snapshot.table.row_of[planned]])
                if only and total != INFEASIBLE:
                    return planned, total, ""
            choice = evaluator.choose(CycleState(), info, only)
        except PluginError as error:
            return None, 0, str(error)
        return choice.node, choice.score, choice.message

    def feasible(self, info: PodInfo) -> Mask:
        """The rows that a pod can go to."""
        evaluator = self._evaluators[info.pod.spec.scheduler_name]
        try:
            mask: Mask = evaluator.totals(CycleState(), info) != INFEASIBLE
        except PluginError:
            return np.zeros(self._snapshot.table.capacity, np.bool_)
        only = self._eligible.get(info.pod.metadata.name)
        if only is not None:
            named = np.zeros_like(mask)
            named[
                [self._snapshot.table.row_of[name] for name in only if name in self._snapshot.table.row_of]
            ] = True
            mask = mask & named
        return mask
