"""Timing filter and score plugins from outside, for the metrics.

Since verdicts are remembered, a plugin is asked far less often than there are pods and nodes: what is timed
is each time it is asked, about however many rows.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final, Protocol, TypeVar

from pallet.framework.metrics import Metrics

Asked = TypeVar("Asked", bound=Callable[..., Any])

FILTER: Final = "Filter"
SCORE: Final = "Score"


class Timed(Protocol):
    """Gives a plugin's method back, timed or as it is."""

    def __call__(self, point: str, plugin: str, method: Asked, /) -> Asked:
        """The method of a plugin at an extension point."""
        ...


def untimed(_point: str, _plugin: str, method: Asked, /) -> Asked:
    """Give the method as it is."""
    return method


class Stopwatch:
    """Times the plugins of one profile."""

    def __init__(self, metrics: Metrics, profile: str, clock: Callable[[], float] = perf_counter) -> None:
        self._metrics = metrics
        self._profile = profile
        self._clock = clock
        self._spent = {FILTER: 0.0, SCORE: 0.0}

    def timed(self, point: str, plugin: str, method: Asked) -> Asked:
        """Give the method with each of its calls counted and timed."""
        execution = self._metrics.plugin_execution_duration_seconds[plugin, point, "Success"]
        evaluations = self._metrics.plugin_evaluation_total[plugin, point, self._profile]
        spent, clock = self._spent, self._clock

        def call(*args: object) -> object:
            started = clock()
            answer = method(*args)
            seconds = clock() - started
            execution.observe(seconds)
            evaluations.inc()
            spent[point] += seconds
            return answer

        return call  # type: ignore[return-value]  # it takes and gives what the method does

    def end_cycle(self, status: str) -> None:
        """Note how long the plugins of each extension point took since the last cycle, and how it ended."""
        for point, seconds in self._spent.items():
            self._metrics.framework_extension_point_duration_seconds[point, status, self._profile].observe(
                seconds
            )
            self._spent[point] = 0.0
