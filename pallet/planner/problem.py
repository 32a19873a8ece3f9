"""The problem that a set poses at this moment."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from pallet.api.pod import Pod
from pallet.cache.cache import Cache, Hold
from pallet.cache.pod_info import PodInfo
from pallet.loop_budget import LoopBudget
from pallet.planner.interface import Problem
from pallet.runtime.profile import Profile

NO_LIMITS: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})


def pose(
    cache: Cache,
    profiles: Mapping[str, Profile],
    namespace: str,
    pod_set: str,
    members: Iterable[PodInfo],
    *,
    eligible: Mapping[str, frozenset[str]] = NO_LIMITS,
    seed: int = 0,
) -> Problem:
    """Pose the problem of placing those members of a set that are neither bound nor about to be.

    Room that is reserved for them by an earlier plan is free in the problem's snapshot, and so is what is
    reserved for others without counting against the priority of any of them. Left out are members that have
    finished, are being deleted, or are no business of any profile. The caller closes the problem's snapshot.
    """
    snapshot = cache.snapshot.fork()
    pods = [info for info in members if waits(info.pod, cache, profiles)]
    for info in pods:
        held = cache.location(info.uid)
        if held is not None:
            snapshot.remove_from(held.info, held.node)
    own = {info.uid for info in pods}
    for reservation in cache.yielding(min((info.pod.spec.priority for info in pods), default=0)):
        if reservation.info.uid not in own:
            snapshot.remove_from(reservation.info, reservation.node)
    return Problem(namespace, pod_set, tuple(pods), snapshot, profiles, eligible, seed)


async def pod_infos(pods: Iterable[Pod], budget: LoopBudget) -> list[PodInfo]:
    """What is derived from pods, for `pose`: of a problem's making, the part that takes long."""
    infos = []
    for pod in pods:
        if budget.exhausted:
            await budget.pause()
        infos.append(PodInfo(pod))
    return infos


def waits(pod: Pod, cache: Cache, profiles: Mapping[str, Profile]) -> bool:
    """Whether a pod needs a place: one that is kept for it by an earlier plan is none yet."""
    if pod.spec.node_name or pod.finished or pod.terminating or pod.spec.scheduler_name not in profiles:
        return False
    held = cache.location(pod.metadata.uid)
    return held is None or held.hold is Hold.RESERVED
