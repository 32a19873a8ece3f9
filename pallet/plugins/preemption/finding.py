"""What a search for a node to preempt on comes to, and how candidates are ranked."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pallet.cache.pod_info import PodInfo
from pallet.framework.diagnosis import NodesToStatus
from pallet.framework.status import unresolvable

Rank = tuple[int, int, int, int, float]
"""How good a candidate is; the least is what kube-scheduler would choose.

The fewest broken budgets; the lowest priority of the most important victim; the lowest sum of priorities; the
fewest victims; the latest start of the most important victims (the time as a negative number).
"""

ABOVE_ZERO = 2**31
"""Added to every priority in sums, so that a few victims of negative priority beat many."""

NO_VICTIMS = unresolvable("No preemption victims found for incoming pod")


@dataclass(frozen=True, slots=True)
class Finding:
    """The best row, -1 for none, who has to go there, the most important first, and how many of them although
    a budget forbids it.

    Without one: why not, and rows where the pod fits although nobody goes, which is not to be expected. Or it
    is `unfinished`, as there was not the time to look everywhere.
    """

    row: int = -1
    victims: tuple[PodInfo, ...] = ()
    violations: int = 0
    failures: list[NodesToStatus] = field(default_factory=list)
    idle: tuple[int, ...] = ()
    unfinished: bool = False


def rank_of(victims: Iterable[tuple[int, float]], violations: int) -> Rank:
    """The rank of a candidate with victims of these priorities and starts, the most important first."""
    victims = list(victims)
    highest = victims[0][0]
    start = min(start for priority, start in victims if priority == highest)
    total = sum(priority + ABOVE_ZERO for priority, _ in victims)
    return violations, highest, total, len(victims), -start
