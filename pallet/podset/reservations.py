"""Reserving room for members of sets: for those that are planned, could be bound now, and pass every filter.

The filters are asked when room is reserved, with the reservations of the members before it in place. Where a
node is taken by pods that are being deleted, room is reserved as if they were gone, but only for a time.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Final, Literal

from pallet.api.duration import format_duration
from pallet.api.pod import Pod
from pallet.cache.cache import Cache, Hold
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Fork
from pallet.framework.events import ASSIGNED_POD_DELETE
from pallet.framework.state import CycleState
from pallet.framework.status import PluginError, Status
from pallet.loop_budget import LoopBudget
from pallet.podset.gates import Gates
from pallet.podset.member import Invalidation, Member, Planned
from pallet.podset.metrics import PodSetMetrics
from pallet.podset.model import PodSet
from pallet.podset.queue import Queue
from pallet.podset.states import expire, invalidate, note_binding, note_reserved
from pallet.podset.termination import fits_after_termination, invalidation, refusals_of
from pallet.runtime.counting import Counting
from pallet.runtime.evaluator import Evaluator
from pallet.runtime.profile import Profile

EXPIRED: Final = "Expired"

Cause = Literal["withdrawn", "refused", "outranked", "expired"]


class Reservations:
    """Keeps the cache's reservations as the plans have them.

    profiles: by scheduler name
    now: the API server's time
    """

    def __init__(
        self,
        cache: Cache,
        profiles: Mapping[str, Profile],
        gates: Gates,
        queue: Queue,
        metrics: PodSetMetrics,
        now: Callable[[], datetime],
    ) -> None:
        self._cache = cache
        self._profiles = profiles
        self._gates = gates
        self._queue = queue
        self._metrics = metrics
        self._now = now
        self._evaluators: dict[str, Evaluator] = {}
        metrics.reserved_pods.follow(lambda: cache.count(Hold.RESERVED))

    def note_binding(self, pod_set: PodSet, uid: str) -> None:
        """Note whether a member is being bound."""
        placement = self._cache.location(uid)
        begun = placement is not None and placement.hold is not Hold.RESERVED
        note_binding(pod_set, uid, placement.node if placement and begun else "")

    async def count(self, pod_set: PodSet, member: Member, budget: LoopBudget) -> None:
        """Count in slices what the filters count by, if room is to be reserved for a member."""
        place = _may_hold(pod_set, member)
        if place is not None and not self._is_held(pod_set, member.uid, place):
            profile = self._profiles[member.pod.spec.scheduler_name]
            await Counting(profile, self._cache.snapshot).finish(PodInfo(member.pod), budget)

    def keep(self, pod_set: PodSet, member: Member) -> None:
        """Reserve for a waiting member what its plan says, or note that the node refuses it.

        What was reserved stays without asking the filters again, but for room that waits for pods to leave.
        """
        place = _may_hold(pod_set, member)
        if place is None:
            self.release(member.pod, "refused" if member.uid in pod_set.invalidated else "withdrawn")
        elif not self._is_held(pod_set, member.uid, place):
            self._reserve(pod_set, member, place.node)

    def expire(self, pod_set: PodSet, timeout: timedelta, replan_at: datetime) -> str:
        """Release what a set has reserved, have it re-planned after a time, and return the event's words."""
        reserved = list(pod_set.room.reserved.values())
        waited = format_duration(timeout.total_seconds())
        words = f"no pod was bound for {waited}: the room reserved for {len(reserved)} pods is released"
        for reservation in reserved:
            self.release(reservation.info.pod, "expired")
        uids = [reservation.info.uid for reservation in reserved]
        expire(pod_set, uids, Invalidation(EXPIRED, words), replan_at)
        return words

    def release(self, pod: Pod, cause: Cause) -> None:
        """Give up what is reserved for a pod, if anything is."""
        if self._cache.unreserve(pod.metadata.uid) is not None:
            self._count_release(pod, cause)

    def _is_held(self, pod_set: PodSet, uid: str, place: Planned) -> bool:
        held, until = pod_set.room.reserved.get(uid), place.until
        if held is None or held.node != place.node or (until is not None and self._now() >= until):
            return False
        return self._exists(held.node)

    def _exists(self, node: str) -> bool:
        return node in self._cache.snapshot.table.row_of

    def _reserve(self, pod_set: PodSet, member: Member, node: str) -> None:
        before, info = self._cache.unreserve(member.uid), PodInfo(member.pod)
        evaluator = self._evaluator(member.pod.spec.scheduler_name)
        until, refusals = None, list[Status]()

        def fits(fork: Fork) -> bool:
            return evaluator.fits(CycleState(), info, node, fork)

        try:
            if not evaluator.fits(CycleState(), info, node) and not self._outranks(evaluator, info, node):
                until = fits_after_termination(fits, self._cache.snapshot, info, node, self._now())
                refusals = [] if until else refusals_of(evaluator, info, node)
        except PluginError:
            return  # its own cycle will tell
        if refusals or not self._exists(node):
            invalidate(pod_set, member.uid, invalidation(member.pod, node, refusals))
            if before is not None:
                self._count_release(member.pod, "refused")
            return
        self._cache.reserve(info, node, pod_set.room)
        pod_set.room.outranked = self._outranked
        note_reserved(pod_set, member.uid, until, self._now())

    def _outranks(self, evaluator: Evaluator, info: PodInfo, node: str) -> bool:
        """Take reservations away that do not count against a pod's priority, if it fits on the node then."""
        yielding = [each for each in self._cache.yielding(info.pod.spec.priority) if each.node == node]
        if not yielding:
            return False
        with self._cache.snapshot.fork() as fork:
            for each in yielding:
                fork.remove_from(each.info, node)
            helps = evaluator.fits(CycleState(), info, node, fork)
        if helps:
            self._cache.outrank(yielding)
        return helps

    def _outranked(self, pod: Pod) -> None:
        self._metrics.reservations_released_total["outranked"].inc()
        self._gates.look_at(pod)

    def _count_release(self, pod: Pod, cause: Cause) -> None:
        self._metrics.reservations_released_total[cause].inc()
        self._queue.move(ASSIGNED_POD_DELETE, pod, None)

    def _evaluator(self, scheduler_name: str) -> Evaluator:
        found = self._evaluators.get(scheduler_name)
        if found is None:
            profile, rng = self._profiles[scheduler_name], Random(0)  # noqa: S311 - one node: nothing is drawn
            found = self._evaluators[scheduler_name] = Evaluator(
                profile.for_planning(), self._cache.snapshot, rng
            )
        return found


def _may_hold(pod_set: PodSet, member: Member) -> Planned | None:
    """The place of a waiting member, if room may be reserved for it there: it could be bound now.

    A plan that is about to be stored counts; one that could not be stored does not, until it is.
    """
    place = member.state
    if not isinstance(place, Planned) or not pod_set.let_go:
        return None
    return place if place.stored or not pod_set.written.unstored else None
