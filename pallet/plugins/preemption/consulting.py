"""Asking extenders whether they agree to a preemption, beside the loop.

What they agree to is kept for the next cycle of the preemptor, which is kept out of the queue until then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pallet.api.pod import Pod
from pallet.bounded_cache import MIB, BoundedCache
from pallet.cache.pod_info import PodInfo
from pallet.framework.extender_result import Victims
from pallet.framework.handle import Handle
from pallet.framework.status import Status, unschedulable
from pallet.plugins.preemption.finding import rank_of
from pallet.plugins.preemption.importance import by_importance, started

ANSWERS_BYTES: Final = 4 * MIB
"""Of answers that were not asked for again yet; of more the oldest are forgotten."""

_VICTIM_BYTES = 4096
"""Of a pod that may be kept by an answer alone."""

NO_CANDIDATE: Final = unschedulable("no candidate node for preemption")


@dataclass(frozen=True, slots=True)
class Agreement:
    """The best of the nodes that the extenders agree to, and who has to go there."""

    node: str
    victims: tuple[PodInfo, ...]


class Consultations:
    """The preemptors about which extenders are being asked, and what was answered."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._under_way: set[str] = set()
        self._answers: BoundedCache[str, Agreement | Status] = BoundedCache(
            "extender_answers", ANSWERS_BYTES, _size
        )

    def are_needed(self, preemptor: Pod) -> bool:
        """Whether a pod may preempt only where extenders agree."""
        extenders = self._handle.extenders
        return extenders is not None and extenders.are_asked_to_preempt(preemptor)

    def under_way(self, preemptor: Pod) -> bool:
        """Whether extenders are being asked about a pod."""
        return preemptor.metadata.uid in self._under_way

    def start(self, preemptor: Pod, candidates: Mapping[str, Victims]) -> None:
        """Have extenders asked, and the preemptor tried again when they have answered."""
        self._under_way.add(preemptor.metadata.uid)
        self._handle.tasks.start(self._consult, preemptor, candidates)

    def answer(self, preemptor: Pod) -> Agreement | Status | None:
        """What the extenders agreed to, or why to nothing, told once; None if they were not asked."""
        return self._answers.pop(preemptor.metadata.uid)

    async def _consult(self, preemptor: Pod, candidates: Mapping[str, Victims]) -> None:
        uid, extenders = preemptor.metadata.uid, self._handle.extenders
        try:
            left = await extenders.preempt(preemptor, candidates) if extenders else candidates
            self._answers[uid] = left if isinstance(left, Status) else self._best(left)
        finally:
            self._under_way.discard(uid)
        self._handle.activate((uid,))

    def _best(self, candidates: Mapping[str, Victims]) -> Agreement | Status:
        """The best candidate; chance decides between equals."""
        ranked = []
        for node, victims in candidates.items():
            pods = sorted(victims.pods, key=lambda info: by_importance(info.pod))
            rank = rank_of(((each.pod.spec.priority, started(each.pod)) for each in pods), victims.violations)
            ranked.append((rank, self._handle.rng.random(), Agreement(node, tuple(pods))))
        return min(ranked, key=lambda each: each[:2])[2] if ranked else NO_CANDIDATE


def _size(uid: str, answer: Agreement | Status) -> int:
    victims = len(answer.victims) if isinstance(answer, Agreement) else 1
    return len(uid) + victims * _VICTIM_BYTES
