"""How good candidates are, and which one is picked: kube-scheduler's `pickOneNodeForPreemption`."""

from collections.abc import Sequence
from random import Random

import numpy as np
import numpy.typing as npt

from pallet.cache.changes import Rows
from pallet.cache.columns import Mask
from pallet.cache.pod_info import PodInfo
from pallet.plugins.preemption.importance import started

Ranks = npt.NDArray[np.float64]
"""A column for each candidate, (5, candidates). The first difference decides, the least is the best.

The victims whose preemption violates a budget; the priority of the most important victim; the sum of the
priorities; the number of victims; the earliest start of the most important victims, as a negative number.
"""

_ABOVE_ZERO = 2**31
"""Added to every priority in sums, so that a few victims of negative priority are better than many."""


def ranks_of(
    priority: npt.NDArray[np.int64], start: npt.NDArray[np.float64], victims: Mask, violations: Rows
) -> Ranks:
    """The ranks of candidates: `priority` and `start` of their pods, of which some are `victims`.

    priority: int64, start: float64, victims: bool, (pods, candidates); violations: (candidates,)
    """
    highest = np.where(victims, priority, -np.inf).max(axis=0, initial=-np.inf)
    total = np.where(victims, priority + _ABOVE_ZERO, 0).sum(axis=0)
    most_important = victims & (priority == highest)
    earliest = np.where(most_important, start, np.inf).min(axis=0, initial=np.inf)
    return np.array((violations, highest, total, np.count_nonzero(victims, axis=0), -earliest))


def rank_of(victims: Sequence[PodInfo], violations: int) -> Ranks:
    """The same for one candidate: (5, 1)."""
    priority = np.array([[info.pod.spec.priority] for info in victims])
    start = np.array([[started(info.pod)] for info in victims])
    return ranks_of(priority, start, np.ones_like(priority, np.bool_), np.array([violations]))


def pick_one_node(ranks: Ranks, candidates: Rows, rng: Random) -> int:
    """The best of some columns; chance decides between equals."""
    for rank in ranks:
        values = rank.take(candidates)
        best = values == values.min()
        if not best.all():
            candidates = candidates[best]
    return candidates.item(rng.randrange(candidates.size))


def by_rank(ranks: Ranks, candidates: Rows) -> Rows:
    """Some columns in the order of their rank, the best first."""
    order: Rows = candidates[np.lexsort(ranks[::-1, candidates])]
    return order
