"""Timing plugins from outside, for the metrics.

As in kube-scheduler an extension point is timed in every cycle, a single plugin in one cycle of ten. Since
results are kept, filter and score plugins are asked far less often than there are pods and nodes:
what is counted and timed is each time one is asked, about however many rows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import cycle
from time import perf_counter
from typing import Any, Final, Protocol, TypeVar

from pallet.framework.instruments import Counter, Histogram
from pallet.framework.metrics import Metrics
from pallet.framework.status import Code, Status

Asked = TypeVar("Asked", bound=Callable[..., Any])

T = TypeVar("T")

Timed = tuple[str, Callable[..., T], Counter]
"""A plugin's name, its method, and the counter of its evaluations."""

PRE_FILTER: Final = "PreFilter"
FILTER: Final = "Filter"
PRE_SCORE: Final = "PreScore"
SCORE: Final = "Score"
POST_FILTER: Final = "PostFilter"
_SUCCEEDED: Final = Code.SUCCESS.label


def samples() -> Iterator[bool]:
    """Whether single plugins are timed, cycle by cycle."""
    return cycle((True, *[False] * 9))


class MetricsRecorder(Protocol):
    """What an evaluator has its plugins timed by."""

    def judged(self, point: str, plugin: str, method: Asked) -> Asked:
        """The method of a plugin at Filter or Score."""
        ...

    def executed(self, point: str, plugin: str, method: Asked) -> Asked:
        """The method of a plugin at any other point, for a cycle that is sampled."""
        ...

    def evaluations(self, point: str, plugin: str) -> Counter:
        """What counts that a plugin did not skip the pod, at PreFilter or PreScore."""
        ...

    def begin(self) -> None:
        """PreFilter or PreScore begins."""
        ...

    def pre_filtered(self, status: Status) -> None:
        """PreFilter has ended like this."""
        ...

    def pre_scored(self) -> None:
        """PreScore has ended."""
        ...


class NoRecorder:
    """Leaves everything as it is."""

    def judged(self, _point: str, _plugin: str, method: Asked) -> Asked:
        """The method itself."""
        return method

    def executed(self, _point: str, _plugin: str, method: Asked) -> Asked:
        """The method itself."""
        return method

    def evaluations(self, _point: str, _plugin: str) -> Counter:
        """A counter that is not shown."""
        return Counter()

    def begin(self) -> None:
        """Do nothing."""

    def pre_filtered(self, _status: Status) -> None:
        """Do nothing."""

    def pre_scored(self) -> None:
        """Do nothing."""


UNRECORDED: Final = NoRecorder()


def timed(
    point: str, methods: Iterable[tuple[str, Callable[..., T]]], recorder: MetricsRecorder
) -> Mapping[bool, list[Timed[T]]]:
    """The methods of some plugins at PreFilter or PreScore, by whether the cycle is sampled."""
    plain = [(name, method, recorder.evaluations(point, name)) for name, method in methods]
    sampled = [(name, recorder.executed(point, name, method), counter) for name, method, counter in plain]
    return {False: plain, True: sampled}


class PrometheusRecorder:
    """Times the plugins of one profile."""

    def __init__(self, metrics: Metrics, profile: str, clock: Callable[[], float] = perf_counter) -> None:
        self._evaluations = metrics.plugin_evaluation_total
        self._executions = metrics.plugin_execution_duration_seconds
        self._durations = metrics.framework_extension_point_duration_seconds
        self._profile = profile
        self._clock = clock
        self._begun = 0.0
        self._pre_filtered, *points = (
            self._durations[point, _SUCCEEDED, profile] for point in (PRE_FILTER, FILTER, PRE_SCORE, SCORE)
        )
        self._filter, self._pre_score, self._score = map(_Point, points)

    def judged(self, point: str, plugin: str, method: Asked) -> Asked:
        """The method with each of its calls counted and timed for the point, and in some cycles for itself.

        Its first argument is the cycle's state.
        """
        execution = self._executions[plugin, point, _SUCCEEDED]
        evaluations = self.evaluations(point, plugin)
        whole, clock = self._filter if point == FILTER else self._score, self._clock

        def call(*args: Any) -> object:
            started = clock()
            answer = method(*args)
            seconds = clock() - started
            whole.seconds += seconds
            evaluations.inc()
            if args[0].sampled:
                execution.observe(seconds)
            return answer

        return call  # type: ignore[return-value]  # it takes and gives what the method does

    def executed(self, point: str, plugin: str, method: Asked) -> Asked:
        """The method with each of its calls timed. Its answer is a status, or ends with one."""

        def call(*args: Any) -> object:
            started = self._clock()
            answer = method(*args)
            seconds = self._clock() - started
            status: Status = answer[-1] if isinstance(answer, tuple) else answer
            self._executions[plugin, point, status.code.label].observe(seconds)
            return answer

        return call  # type: ignore[return-value]  # it takes and gives what the method does

    def evaluations(self, point: str, plugin: str) -> Counter:
        """The counter for a plugin at a point."""
        return self._evaluations[plugin, point, self._profile]

    def begin(self) -> None:
        """Start."""
        self._begun = self._clock()

    def pre_filtered(self, status: Status) -> None:
        """Note the time since the start."""
        seconds = self._clock() - self._begun
        if status.ok:
            self._pre_filtered.observe(seconds)
        else:
            self._durations[PRE_FILTER, status.code.label, self._profile].observe(seconds)

    def pre_scored(self) -> None:
        """Keep the time since the start for the end of the cycle."""
        self._pre_score.seconds += self._clock() - self._begun

    def end_cycle(self, *, scored: bool) -> None:
        """Note how long the other points took since noted last; `scored`: whether it came to PreScore."""
        self._filter.note()
        if scored:
            self._pre_score.note()
            self._score.note()


class _Point:
    """An extension point, with the time that it took since that was noted last."""

    __slots__ = ("_duration", "seconds")

    def __init__(self, duration: Histogram) -> None:
        self._duration = duration
        self.seconds = 0.0

    def note(self) -> None:
        """Note the time, and begin at nothing again."""
        self._duration.observe(self.seconds)
        self.seconds = 0.0
