"""The metrics of a workqueue, by client-go's names. Durations are in seconds."""

from collections.abc import Callable
from typing import Final

from pallet.framework.instruments import Instruments, exponential

_FROM_10_NANOSECONDS: Final = exponential(1e-8, 10, 10)


class WorkqueueMetrics:
    """What is counted and timed about the workqueue of this name.

    depth: how many keys are due and wait
    working: for how long each key that was taken has been worked on
    """

    def __init__(
        self,
        instruments: Instruments,
        name: str,
        depth: Callable[[], int],
        working: Callable[[], list[float]],
    ) -> None:
        gauge, histogram = instruments.gauge, instruments.histogram
        gauge("workqueue_depth", "Keys that are due and wait.", "name")[name].follow(depth)
        self.adds_total = instruments.counter("workqueue_adds_total", "Keys that were added.", "name")[name]
        self.queue_duration = histogram(
            "workqueue_queue_duration_seconds",
            "Time from when a key is due until it is taken.",
            "name",
            bounds=_FROM_10_NANOSECONDS,
        )[name]
        self.work_duration = histogram(
            "workqueue_work_duration_seconds",
            "Time from when a key is taken until it is done.",
            "name",
            bounds=_FROM_10_NANOSECONDS,
        )[name]
        gauge(
            "workqueue_unfinished_work_seconds",
            "How long the keys that are not done yet have been worked on, in sum.",
            "name",
        )[name].follow(lambda: sum(working()))
        gauge(
            "workqueue_longest_running_processor_seconds",
            "How long the longest of them has been worked on.",
            "name",
        )[name].follow(lambda: max(working(), default=0.0))
