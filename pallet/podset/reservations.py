"""Keeping the cache's reservations as the plan has them: room for pods that are planned and not yet bound."""

from pallet.cache.cache import Cache, Hold
from pallet.cache.pod_info import PodInfo
from pallet.podset.model import Lost, Member, PodSet

NODE_GONE = "NodeGone"


def note_in_flight(cache: Cache, pod_set: PodSet, member: Member) -> None:
    """Note whether a member's binding has begun, and is not seen yet."""
    placement = None if member.pod.spec.node_name else cache.placement(member.uid)
    if placement is None or placement.hold is Hold.RESERVED:
        pod_set.in_flight.pop(member.uid, None)
    else:
        pod_set.in_flight[member.uid] = placement.node


def keep(cache: Cache, pod_set: PodSet, member: Member) -> None:
    """Reserve for a waiting member what its plan says, or note that its node is gone."""
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
    if placement is None or placement.node != member.planned:
        cache.reserve(PodInfo(member.pod), member.planned)
