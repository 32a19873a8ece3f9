"""Whether what keeps a pod from its planned node will pass by itself."""

from datetime import datetime, timedelta
from random import Random
from typing import Final

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.evaluator import Evaluator
from pallet.framework.lift import PluginError
from pallet.framework.profile import Profile
from pallet.framework.state import CycleState
from pallet.planner.interface import HYPOTHESIS

OVERDUE: Final = timedelta(seconds=30)
"""A pod that is still there this long after its grace period is not waited for."""


def passes(profile: Profile, snapshot: Snapshot, info: PodInfo, node: str, now: datetime) -> bool:
    """Whether the pod will fit on the node once the pods that are being deleted there are gone."""
    row = snapshot.table.row_of.get(node)
    if row is None:
        return False
    leaving = [other for other in snapshot.pods(row) if _leaving(other.pod, now)]
    if not leaving:
        return False
    trial = snapshot.copy()
    own = [other for other in snapshot.pods(row) if other.uid == info.uid]
    for other in (*leaving, *own):
        trial.remove(other, row)
    state = CycleState()
    state.write(HYPOTHESIS, value=True)
    try:
        return Evaluator(profile, trial, Random(0)).choose(state, info, frozenset((node,))).node is not None  # noqa: S311 - one node: nothing is drawn
    except PluginError:
        return False


def _leaving(pod: Pod, now: datetime) -> bool:
    """A deletion timestamp is when the pod is to be gone, its grace period included."""
    gone = pod.metadata.deletion_timestamp
    return gone is not None and now < gone + OVERDUE
