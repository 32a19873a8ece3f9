"""Preemption by the book: every node tried on a copy of the cluster, with no thought of speed."""

import math
from collections import Counter
from typing import TYPE_CHECKING

from pallet.api.pod import Pod
from pallet.api.workloads import PodDisruptionBudget
from pallet.cache.cache import Hold
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Fork, Snapshot
from pallet.framework.state import CycleState
from pallet.framework.status import Code
from pallet.runtime.evaluator import Choice
from tests.plugins.preemption.scene import Scene

if TYPE_CHECKING:
    from pallet.cache.changes import Rows

Rank = tuple[float, ...]
Candidates = dict[str, tuple[Rank, set[str]]]


def candidates(
    scene: Scene,
    snapshot: Snapshot,
    state: CycleState,
    pod: Pod,
    choice: Choice,
    budgets: list[PodDisruptionBudget],
) -> Candidates:
    """The nodes where preemption helps: how good each is, the least being the best, and its victims."""
    found: Candidates = {}
    for refused in choice.refusals:
        if refused.status.code is Code.UNSCHEDULABLE:
            for row in refused.rows.tolist():
                with snapshot.fork() as fork:
                    outcome = _Trial(scene, fork, state, PodInfo(pod), row).outcome(budgets)
                if outcome is not None:
                    found[snapshot.table.name(row)] = outcome
    return found


class _Trial:
    def __init__(self, scene: Scene, fork: Fork, state: CycleState, info: PodInfo, row: int) -> None:
        self.scene, self.snapshot, self.state, self.info, self.row = scene, fork, state, info, row
        self.name = self.snapshot.table.name(row)

    def outcome(self, budgets: list[PodDisruptionBudget]) -> tuple[Rank, set[str]] | None:
        weaker = [each for each in self.snapshot.pods(self.row) if self.may_go(each)]
        weaker.sort(key=lambda each: (-each.pod.spec.priority, started(each.pod)))
        for each in weaker:
            self.snapshot.remove(each, self.row)
        if not weaker or not self.fits():
            return None
        breaking, harmless = split(weaker, budgets)
        broken = [each for each in breaking if not self.comes_back(each)]
        victims = broken + [each for each in harmless if not self.comes_back(each)]
        if not victims:
            return None
        priorities = [each.pod.spec.priority for each in victims]
        foremost = [each for each in victims if each.pod.spec.priority == max(priorities)]
        rank = (
            len(broken),
            max(priorities),
            sum(priority + 2**31 for priority in priorities),
            len(victims),
            -min(started(each.pod) for each in foremost),
        )
        return rank, {each.uid for each in victims}

    def may_go(self, other: PodInfo) -> bool:
        placement = self.scene.cache.location(other.uid)
        assert placement is not None
        return other.pod.spec.priority < self.info.pod.spec.priority and placement.hold is not Hold.RESERVED

    def comes_back(self, other: PodInfo) -> bool:
        self.snapshot.place(other, self.name)
        if self.fits():
            return True
        self.snapshot.remove(other, self.row)
        return False

    def fits(self) -> bool:
        ahead = [
            each
            for each in self.scene.handle.nominator.on(self.name)
            if each.pod.spec.priority >= self.info.pod.spec.priority
            and each.uid != self.info.uid
            and not self.snapshot.is_placed(each.uid, self.row)
        ]
        for each in ahead:
            self.snapshot.place(each, self.name)
        passes = self.passes()
        for each in ahead:
            self.snapshot.remove(each, self.row)
        return passes and self.passes()

    def passes(self) -> bool:
        rows: Rows = self.scene.cache.snapshot.table.live.nonzero()[0]
        here = rows[rows == self.row]
        return all(
            not plugin.filter_rows(self.state, self.info, self.snapshot, here).any()
            for plugin in self.scene.profile.filter
            if plugin.name not in self.state.skipped["filter"]
            and plugin.filter_signature(self.info) is not None
        )


def started(pod: Pod) -> float:
    moment = pod.status.start_time
    return math.inf if moment is None else moment.timestamp()


def split(pods: list[PodInfo], budgets: list[PodDisruptionBudget]) -> tuple[list[PodInfo], list[PodInfo]]:
    left = Counter({each.metadata.name: each.status.disruptions_allowed for each in budgets})
    breaking: list[PodInfo] = []
    harmless: list[PodInfo] = []
    for info in pods:
        breaks = False
        for budget in budgets:
            selector, meta = budget.spec.selector, info.pod.metadata
            if (
                selector is not None
                and selector.match_labels
                and budget.metadata.namespace == meta.namespace
                and selector.matches(meta.labels)
                and meta.name not in budget.status.disrupted_pods
            ):
                left[budget.metadata.name] -= 1
                breaks |= left[budget.metadata.name] < 0
        (breaking if breaks else harmless).append(info)
    return breaking, harmless
