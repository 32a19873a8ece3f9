"""The problem that a set poses at this moment."""

from collections.abc import Iterable, Mapping

from pallet.api.pod import Pod
from pallet.cache.cache import Cache, Hold
from pallet.cache.pod_info import PodInfo
from pallet.framework.profile import Profile
from pallet.planner.interface import Problem


def pose(
    cache: Cache,
    profiles: Mapping[str, Profile],
    namespace: str,
    pod_set: str,
    members: Iterable[Pod],
    *,
    nodes: frozenset[str] | None = None,
    seed: int = 0,
) -> Problem:
    """Pose the problem of placing those members of a set that are neither bound nor about to be.

    Room that is kept for them by an earlier plan is free in the problem's snapshot. Left out are members that
    have finished, are being deleted, or are no business of any profile.
    """
    snapshot = cache.snapshot.copy()
    pods = []
    for pod in members:
        if pod.spec.node_name or pod.finished or pod.terminating or pod.spec.scheduler_name not in profiles:
            continue
        held = cache.placement(pod.metadata.uid)
        if held is None:
            pods.append(PodInfo(pod))
        elif held.hold is Hold.RESERVED:
            row = snapshot.table.row_of.get(held.node)
            if row is not None:
                snapshot.remove(held.info, row)
            pods.append(PodInfo(pod))
    return Problem(namespace, pod_set, tuple(pods), snapshot, profiles, nodes, seed)
