"""TaintToleration: no pod where a taint it does not tolerate is, and rather not where unwelcome."""

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

from pallet.api.node import Node, Taint
from pallet.api.pod import Pod, Toleration
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.handle import Handle
from pallet.framework.interface import Codes, Reads, RowChoice, Scores
from pallet.framework.state import CycleState
from pallet.framework.status import Status, unresolvable
from pallet.plugins import names
from pallet.plugins.normalize import to_reversed_scale
from pallet.plugins.tolerations import NO_EXECUTE, NO_SCHEDULE, PREFER_NO_SCHEDULE, Tolerance, tolerated


class TaintToleration:
    """Refuses nodes by taints NoSchedule and NoExecute, ranks them by taints PreferNoSchedule."""

    name = names.TAINT_TOLERATION
    filter_reads = Reads.NODE
    score_reads = Reads.NODE

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take nothing."""

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """The tolerations."""
        return info.pod.spec.tolerations

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Code 1 where a taint keeps the pod away."""
        table, kept_away = snapshot.table, np.zeros(snapshot.table.capacity, np.bool_)
        tolerance = Tolerance(info.pod.spec.tolerations)
        for taint, present in table.taints.present.items():
            if taint.effect in (NO_SCHEDULE, NO_EXECUTE) and not tolerance.covers(taint):
                kept_away |= present
        return kept_away[rows].astype(np.uint32)

    def filter_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """The same for a single row."""
        node = snapshot.table.nodes[row]
        return int(node is not None and _keeps_away(info.pod, node.spec.taints))

    def explain(self, info: PodInfo, code: int) -> Status:
        """The only reason."""
        return unresolvable("node(s) had untolerated taint(s)")

    def score_signature(self, info: PodInfo) -> Hashable | None:
        """The tolerations that could cover a PreferNoSchedule taint."""
        return _soft(info.pod)

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """How many PreferNoSchedule taints are not tolerated."""
        table, tolerance = snapshot.table, Tolerance(_soft(info.pod))
        counts: Scores = np.zeros(table.capacity, np.int64)
        for taint, present in table.taints.present.items():
            if taint.effect == PREFER_NO_SCHEDULE and not tolerance.covers(taint):
                counts += present
        return counts[rows]

    def normalize(self, scores: Scores, low: int, high: int) -> Scores:
        """The fewer, the better."""
        return to_reversed_scale(scores, high)

    def events_to_register(self) -> list[EventInterest]:
        """A node whose taints kept the pod away, and do no longer; a new toleration of the pod."""
        node = ClusterEvent(EventResource.NODE, Action.ADD | Action.UPDATE_NODE_TAINT)
        pod = ClusterEvent(EventResource.TARGET_POD, Action.UPDATE_POD_TOLERATIONS)
        return [EventInterest(node, _became_tolerable), EventInterest(pod, _is_itself)]


def _soft(pod: Pod) -> tuple[Toleration, ...]:
    return tuple([each for each in pod.spec.tolerations if each.effect in ("", PREFER_NO_SCHEDULE)])


def _keeps_away(pod: Pod, taints: Iterable[Taint]) -> bool:
    return any(_is_in_the_way(taint, pod.spec.tolerations) for taint in taints)


def _is_in_the_way(taint: Taint, tolerations: tuple[Toleration, ...]) -> bool:
    return taint.effect in (NO_SCHEDULE, NO_EXECUTE) and not tolerated(tolerations, taint)


def _became_tolerable(info: PodInfo, old: Node | None, new: Node) -> Hint:
    kept_away = old is None or _keeps_away(info.pod, old.spec.taints)
    return Hint.QUEUE if kept_away and not _keeps_away(info.pod, new.spec.taints) else Hint.SKIP


def _is_itself(info: PodInfo, _: Pod | None, new: Pod) -> Hint:
    return Hint.QUEUE if new.metadata.uid == info.uid else Hint.SKIP
