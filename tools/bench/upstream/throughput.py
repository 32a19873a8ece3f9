"""SchedulingThroughput as scheduler_perf computes it, from the moments at which pods were seen on nodes."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

SAMPLE_SECONDS: Final = 1.0


def samples(bound: Sequence[float], start: float, stop: float) -> list[float]:
    """Pods per second in each interval; `bound` is sorted.

    The first interval in which a pod is bound is skipped. An interval without a pod is counted together with
    the next one that has some, and those after the last pod are not counted.
    """
    taken: list[float] = []
    before, since, skipped = 0, start, 0
    for number in range(1, math.floor((stop - start) / SAMPLE_SECONDS) + 1):
        tick = start + number * SAMPLE_SECONDS
        seen = bisect_right(bound, tick) - bisect_right(bound, start)
        if not seen:
            continue
        if not before:
            before, since = seen, tick
        elif seen == before:
            skipped += 1
        else:
            taken += [(seen - before) / (tick - since)] * (skipped + 1)
            before, since, skipped = seen, tick, 0
    return taken


def average(taken: Sequence[float]) -> float | None:
    """The Average that thresholds are about; None where the pods were bound too fast for a sample."""
    return math.fsum(taken) / len(taken) if taken else None


def geometric_mean(ratios: Iterable[float]) -> float | None:
    """The geometric mean; None of nothing."""
    logarithms = [math.log(each) for each in ratios]
    return math.exp(math.fsum(logarithms) / len(logarithms)) if logarithms else None
