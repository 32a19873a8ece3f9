"""What follows from a set without asking anybody: reservations, gates, and the words for those that wait."""

from collections.abc import Callable, Iterable

from pallet.loop_budget import LoopBudget
from pallet.podset.events import Explainer
from pallet.podset.model import Member, PodSet
from pallet.podset.reservations import Reservations
from pallet.podset.states import keep_out, let_in, start


class Reconciler:
    """Makes cache, queue and conditions follow what is known of a set, in slices: it may be large.

    During a pause anything may change. Each member is taken as it is at that moment, and whatever changed
    after that has marked the set, so that it is looked at again.
    """

    def __init__(
        self,
        reservations: Reservations,
        budget: LoopBudget,
        explainer: Explainer,
        activate: Callable[[Iterable[str]], object],
        regate: Callable[[Iterable[str]], object],
    ) -> None:
        self._reservations = reservations
        self._budget = budget
        self._explainer = explainer
        self._activate = activate
        self._regate = regate

    async def reserve(self, pod_set: PodSet) -> None:
        """Reserve what the plan says, and nothing else."""
        for uid in _in_order(pod_set):
            if self._budget.exhausted:
                await self._budget.pause()
            await self._reserve(pod_set, uid)

    async def follow(self, pod_set: PodSet) -> None:
        """Reserve what the plan says, close gates and tell why, then open those that may be opened."""
        opening: list[Member] = []
        for uid in _in_order(pod_set):
            if self._budget.exhausted:
                await self._budget.pause()
            member = await self._reserve(pod_set, uid)
            if member is not None and self._may_open(pod_set, member):
                opening.append(member)
        opening.sort(key=lambda member: (-member.pod.spec.priority, member.rank))
        for member in opening:
            if self._budget.exhausted:
                await self._budget.pause()
            self._open(pod_set, member.uid)

    async def _reserve(self, pod_set: PodSet, uid: str) -> Member | None:
        """Reserve for a member, and give it if it waits."""
        if uid in pod_set.members:
            await self._reservations.count(pod_set, pod_set.members[uid], self._budget)
        if uid not in pod_set.members:
            return None
        self._reservations.note_binding(pod_set, uid)
        if not pod_set.members[uid].waits:
            start(pod_set)
            return None
        self._reservations.keep(pod_set, pod_set.members[uid])
        return pod_set.members[uid]

    def _may_open(self, pod_set: PodSet, member: Member) -> bool:
        """Whether the gate of a waiting member has opened. If it is closed, tell the member why it waits, and
        the queue where it has just been closed."""
        gate = pod_set.gate_of(member.uid)
        if gate.open:
            return member.uid not in pod_set.let_in
        self._explainer.explain(member.pod, gate)
        if out := keep_out(pod_set, (member.uid,)):
            self._regate(out)
        return False

    def _open(self, pod_set: PodSet, uid: str) -> None:
        """Let a member into the queue, if its gate is still open."""
        member = pod_set.members.get(uid)
        if member is not None and member.waits and pod_set.gate_of(uid).open:
            self._explainer.forget(member.pod)
            let_in(pod_set, uid)
            self._activate((uid,))


def _in_order(pod_set: PodSet) -> list[str]:
    """The members' UIDs in the order of binding, in which each step is legal."""
    return sorted(pod_set.members, key=lambda uid: pod_set.members[uid].rank)
