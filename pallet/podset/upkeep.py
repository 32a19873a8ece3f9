"""What follows from a set without asking anybody: reservations, gates, and the words for those that wait."""

from collections.abc import Callable, Iterable

from pallet.cache.cache import Cache
from pallet.podset import reservations
from pallet.podset.explain import Explainer
from pallet.podset.gate import gate_of
from pallet.podset.model import Member, PodSet
from pallet.podset.turns import Turns, parts


class Upkeep:
    """Makes cache, queue and conditions follow what is known of a set, in turns: a set may be large.

    Between two turns anything may change. Each member is taken as it is in its turn, and whatever changed
    after that has marked the set, so that it is looked at again.
    """

    def __init__(
        self,
        cache: Cache,
        turns: Turns,
        explainer: Explainer,
        activate: Callable[[Iterable[str]], object],
        regate: Callable[[Iterable[str]], object],
    ) -> None:
        self._cache = cache
        self._turns = turns
        self._explainer = explainer
        self._activate = activate
        self._regate = regate

    async def reserve(self, pod_set: PodSet) -> None:
        """Reserve what the plan says, and nothing else."""
        for uids in parts(list(pod_set.members)):
            await self._turns.take(len(uids))
            self._reserve(pod_set, uids)

    async def follow(self, pod_set: PodSet) -> None:
        """Reserve what the plan says, close gates and tell why, then open those that may be opened."""
        opening: list[Member] = []
        for uids in parts(list(pod_set.members)):
            await self._turns.take(len(uids))
            opening += self._close(pod_set, self._reserve(pod_set, uids))
        opening.sort(key=lambda member: (-member.pod.spec.priority, member.rank))
        for members in parts([member.uid for member in opening]):
            await self._turns.take(len(members))
            self._open(pod_set, members)

    def _reserve(self, pod_set: PodSet, uids: Iterable[str]) -> list[Member]:
        """Reserve for some members, and give those that wait."""
        waiting = []
        for uid in uids:
            member = pod_set.members.get(uid)
            if member is not None:
                reservations.note_in_flight(self._cache, pod_set, member)
                if not pod_set.node(member):
                    reservations.keep(self._cache, pod_set, member)
                    waiting.append(member)
        return waiting

    def _close(self, pod_set: PodSet, waiting: Iterable[Member]) -> list[Member]:
        """Tell the queue whose gate has closed, and them why they wait; give those whose gate has opened."""
        opening, closed = [], []
        for member in waiting:
            gate, was_open = gate_of(pod_set.key, pod_set, member.uid), member.uid in pod_set.open
            if not gate.open:
                self._explainer.explain(member.pod, gate)
                if was_open:
                    closed.append(member.uid)
            elif not was_open:
                opening.append(member)
        pod_set.open.difference_update(closed)
        if closed:
            self._regate(closed)
        return opening

    def _open(self, pod_set: PodSet, uids: Iterable[str]) -> None:
        """Let members into the queue, as far as their gate is still open."""
        opened = []
        for uid in uids:
            member = pod_set.members.get(uid)
            if member is not None and not pod_set.node(member) and gate_of(pod_set.key, pod_set, uid).open:
                self._explainer.forget(member.pod)
                opened.append(uid)
        pod_set.open.update(opened)
        self._activate(opened)
