"""What keeps a pod from its planned node, and whether it will pass by itself."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Fork, Snapshot
from pallet.framework.state import CycleState
from pallet.framework.status import PluginError, Status
from pallet.podset.member import Invalidation
from pallet.runtime.evaluator import Evaluator

OVERDUE: Final = timedelta(seconds=30)
"""A pod that is still there this long after its grace period is not waited for."""

_LONGEST_GRACE: Final = timedelta(days=366)
"""A grace period can be any number of seconds, also beyond the end of the calendar."""

NODE_GONE: Final = "NodeGone"


def refusals_of(evaluator: Evaluator, info: PodInfo, node: str) -> list[Status]:
    """Why a pod does not pass every filter on a node. Empty if it does, or if there is no such node."""
    return [refused.status for refused in evaluator.choose(CycleState(), info, frozenset((node,))).refusals]


def fits_after_termination(
    fits: Callable[[Fork], bool], snapshot: Snapshot, info: PodInfo, node: str, now: datetime
) -> datetime | None:
    """Until when to wait for the pods that are being deleted on a node: without them the pod would fit there.

    None where it would not. `fits` says whether the node takes the pod on a fork of the snapshot.
    """
    row = snapshot.table.row_of.get(node)
    if row is None:
        return None
    leaving = {
        other.uid: gone for other in snapshot.pods(row) if (gone := _gone(other.pod, now)) and now < gone
    }
    if not leaving:
        return None
    away = [other for other in snapshot.pods(row) if other.uid in leaving or other.uid == info.uid]
    with snapshot.fork() as fork:
        for other in away:
            fork.remove(other, row)
        try:
            helps = fits(fork)
        except PluginError:
            helps = False
    return min(leaving.values()) if helps else None


def invalidation(pod: Pod, node: str, refusals: Sequence[Status]) -> Invalidation:
    """Why a pod cannot go to its planned node; without refusals the node is gone."""
    place = f'node "{node}", planned for pod {pod.metadata.name},'
    if not refusals:
        return Invalidation(NODE_GONE, f"{place} is gone")
    words = "; ".join(refusal.message for refusal in refusals)
    return Invalidation(refusals[0].plugin, f"{place} is refused: {words}")


def _gone(pod: Pod, now: datetime) -> datetime | None:
    """When a pod that is being deleted is no longer waited for. Its timestamp includes its grace period."""
    deleted = pod.metadata.deletion_timestamp
    return deleted and min(deleted, now + _LONGEST_GRACE) + OVERDUE
