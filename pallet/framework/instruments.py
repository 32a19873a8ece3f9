"""Counters, gauges and histograms that a hot path can afford, shown through prometheus_client.

prometheus_client's own take a lock for each update, 0.7 to 1.5 µs. These are for one thread, the event
loop's, which also collects them: 0.1 to 0.2 µs. Those with labels are families, and a family is a mapping
from the labels' values to the instrument:

    attempts = instruments.counter("attempts_total", "Attempts.", "result", "profile")
    attempts["scheduled", "default-scheduler"].inc()
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate, repeat
from operator import mul
from typing import Final, Generic, Protocol, TypeVar

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Values = str | tuple[str, ...]
"""The values of a family's labels: a string for one label, a tuple for several."""


def exponential(start: float, factor: float, count: int) -> tuple[float, ...]:
    """Give the upper bounds of `count` buckets, each `factor` times the one before."""
    return tuple(accumulate(repeat(factor, count - 1), mul, initial=start))


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Add to it."""
        self.value += amount


class Gauge:
    """A number that goes up and down."""

    __slots__ = ("_read", "_value")

    def __init__(self) -> None:
        self._value = 0.0
        self._read: Callable[[], float] | None = None

    @property
    def value(self) -> float:
        """The number of now."""
        return self._value if self._read is None else self._read()

    def set(self, value: float) -> None:
        """Replace it."""
        self._value = value

    def inc(self, amount: float = 1.0) -> None:
        """Add to it."""
        self._value += amount

    def dec(self, amount: float = 1.0) -> None:
        """Take from it."""
        self._value -= amount

    def follow(self, read: Callable[[], float]) -> None:
        """Ask `read` for the number whenever it is wanted."""
        self._read = read


class Histogram:
    """How often which amounts were seen: a count for each bucket, and their sum."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    @property
    def count(self) -> int:
        """How many amounts were seen."""
        return sum(self.counts)

    def observe(self, amount: float) -> None:
        """Add an amount to the bucket with the smallest bound that is not below it."""
        self.counts[bisect_left(self._bounds, amount)] += 1
        self.sum += amount

    def buckets(self) -> list[tuple[str, float]]:
        """Give each bound with the count of all amounts up to it."""
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        return list(zip(names, accumulate(map(float, self.counts)), strict=True))


T = TypeVar("T")


class Family(dict[Values, T], Generic[T]):
    """The instruments of one name by the values of their labels; each is made when first asked for."""

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...], make: Callable[[], T]) -> None:
        super().__init__()
        self.name = name
        self.documentation = documentation
        self.labels = labels
        self._make = make

    def __missing__(self, values: Values) -> T:
        if len(_as_tuple(values)) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {', '.join(self.labels) or 'none'}, got {values!r}")
        made = self[values] = self._make()
        return made

    def rows(self) -> Iterator[tuple[tuple[str, ...], T]]:
        """Give the instruments with the values of their labels."""
        for values, instrument in self.items():
            yield _as_tuple(values), instrument


def _as_tuple(values: Values) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else values


NO_LABELS: Final = ()
"""The key of the only member of a family without labels."""


class Show(Protocol):
    """Gives a metric as prometheus_client wants it."""

    def __call__(self) -> Metric:
        """Read the instruments."""
        ...


class Instruments(Collector):
    """All instruments of a process, and those of the process itself (CPU, memory, garbage collection).

    `registry` is what the metrics endpoint shows. Nothing is global: each test has its own.
    """

    def __init__(self) -> None:
        self._shows: list[Show] = []
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def counter(self, name: str, documentation: str, *labels: str) -> Family[Counter]:
        """Make a family of counters; the name ends in `_total`."""
        family = Family(name, documentation, labels, Counter)
        self._shows.append(lambda: _show_counters(family))
        return family

    def gauge(self, name: str, documentation: str, *labels: str) -> Family[Gauge]:
        """Make a family of gauges."""
        family = Family(name, documentation, labels, Gauge)
        self._shows.append(lambda: _show_gauges(family))
        return family

    def histogram(
        self, name: str, documentation: str, *labels: str, bounds: tuple[float, ...]
    ) -> Family[Histogram]:
        """Make a family of histograms with these upper bounds of their buckets, in ascending order."""
        family = Family(name, documentation, labels, lambda: Histogram(bounds))
        self._shows.append(lambda: _show_histograms(family))
        return family

    def follow(
        self, name: str, documentation: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """Show gauges by the value of a label, all of them read whenever they are wanted."""

        def show() -> Metric:
            metric = GaugeMetricFamily(name, documentation, labels=(label,))
            for value, number in read().items():
                metric.add_metric((value,), number)
            return metric

        self._shows.append(show)

    def collect(self) -> Iterable[Metric]:
        """Give all of them as prometheus_client wants them, each read when its turn comes."""
        return (show() for show in self._shows)


def _show_counters(family: Family[Counter]) -> Metric:
    metric = CounterMetricFamily(family.name, family.documentation, labels=family.labels)
    for values, counter in family.rows():
        metric.add_metric(values, counter.value)
    return metric


def _show_gauges(family: Family[Gauge]) -> Metric:
    metric = GaugeMetricFamily(family.name, family.documentation, labels=family.labels)
    for values, gauge in family.rows():
        metric.add_metric(values, gauge.value)
    return metric


def _show_histograms(family: Family[Histogram]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.documentation, labels=family.labels)
    for values, histogram in family.rows():
        metric.add_metric(values, histogram.buckets(), histogram.sum)
    return metric
