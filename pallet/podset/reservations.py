"""Keeping the cache's reservations as the plan has them: room for pods that are planned and not yet bound."""

from collections.abc import Iterable

from pallet.cache.cache import Cache, Hold
from pallet.cache.pod_info import PodInfo
from pallet.podset.model import Lost, Member, PodSet

NODE_GONE = "NodeGone"


def note_in_flight(cache: Cache, pod_set: PodSet) -> None:
    """Note the members whose binding has begun, and is not seen yet."""
    pod_set.in_flight = {
        uid: cache.snapshot.table.name(placement.row)
        for uid, member in pod_set.members.items()
        if not member.pod.spec.node_name
        and (placement := cache.placement(uid)) is not None
        and placement.hold is not Hold.RESERVED
    }


def keep(cache: Cache, pod_set: PodSet, waiting: Iterable[Member]) -> None:
    """Reserve for each waiting member what its plan says, and note those whose node is gone."""
    for member in waiting:
        if not member.planned:
            cache.unreserve(member.uid)
        elif _exists(cache, member.planned):
            _reserve(cache, member)
        else:
            cache.unreserve(member.uid)
            pod_set.lost.setdefault(
                member.uid,
                Lost(NODE_GONE, f'node "{member.planned}", planned for pod {member.name}, is gone'),
            )


def _exists(cache: Cache, node: str) -> bool:
    table = cache.snapshot.table
    row = table.row_of.get(node)
    return row is not None and bool(table.live[row])


def _reserve(cache: Cache, member: Member) -> None:
    placement = cache.placement(member.uid)
    if placement is None or cache.snapshot.table.name(placement.row) != member.planned:
        cache.reserve(PodInfo(member.pod), member.planned)
