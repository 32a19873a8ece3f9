"""Asking extenders whether they agree to a preemption, beside the loop (kube-scheduler's `callExtenders`).

What they agree to is kept for the next cycle of the preemptor, which is kept out of the queue until then.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from pallet.api.pod import Pod
from pallet.bounded_cache import MIB, BoundedCache
from pallet.framework.extender_result import Victims
from pallet.framework.handle import Handle
from pallet.framework.status import Status, unschedulable
from pallet.plugins.preemption.importance import by_importance
from pallet.plugins.preemption.ranking import pick_one_node, rank_of

ANSWERS_BYTES: Final = 4 * MIB
"""Of answers that were not asked for again yet; of more the oldest are forgotten."""

_VICTIM_BYTES = 4096
"""Of a pod that may be kept by an answer alone."""

NO_CANDIDATE: Final = unschedulable("no candidate node for preemption")

Answer = tuple[str, Victims] | Status
"""The best of the nodes that the extenders agree to and the victims there, or why they agree to none."""


class ExtenderCalls:
    """The preemptors about which extenders are being asked, and what was answered."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._running: set[str] = set()
        self._answers: BoundedCache[str, Answer] = BoundedCache("extender_answers", ANSWERS_BYTES, _size)

    def are_needed(self, preemptor: Pod) -> bool:
        """Whether a pod may preempt only where extenders agree."""
        extenders = self._handle.extenders
        return extenders is not None and extenders.are_asked_to_preempt(preemptor)

    def is_running(self, preemptor: Pod) -> bool:
        """Whether extenders are being asked about a pod."""
        return preemptor.metadata.uid in self._running

    def start(self, preemptor: Pod, candidates: Mapping[str, Victims]) -> None:
        """Have extenders asked, and the preemptor tried again when they have answered."""
        self._running.add(preemptor.metadata.uid)
        self._handle.tasks.start(self._call, preemptor, candidates)

    def answer(self, preemptor: Pod) -> Answer | None:
        """What the extenders answered, told once; None if they were not asked."""
        return self._answers.pop(preemptor.metadata.uid)

    async def _call(self, preemptor: Pod, candidates: Mapping[str, Victims]) -> None:
        uid, extenders = preemptor.metadata.uid, self._handle.extenders
        try:
            left = await extenders.preempt(preemptor, candidates) if extenders else candidates
            self._answers[uid] = left if isinstance(left, Status) else self._best(left)
        finally:
            self._running.discard(uid)
        self._handle.activate((uid,))

    def _best(self, candidates: Mapping[str, Victims]) -> Answer:
        if not candidates:
            return NO_CANDIDATE
        ranks = np.hstack([rank_of(victims.pods, victims.violations) for victims in candidates.values()])
        best = pick_one_node(ranks, np.arange(len(candidates)), self._handle.rng)
        node, victims = list(candidates.items())[best]
        pods = sorted(victims.pods, key=lambda info: by_importance(info.pod))
        return node, Victims(tuple(pods), victims.violations)


def _size(uid: str, answer: Answer) -> int:
    victims = 1 if isinstance(answer, Status) else len(answer[1].pods)
    return len(uid) + victims * _VICTIM_BYTES
