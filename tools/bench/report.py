"""Tables of figures: the median of the rounds, lowest and highest; ratios are formed by round."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tools.bench.contenders import BLIND, KUBE_SCHEDULER, PALLET
from tools.bench.podsets import Latencies
from tools.bench.throughput import Round

NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Metric:
    """A field of `Measures`, how it is called and how many decimals it has."""

    field: str
    title: str
    decimals: int = 0


METRICS = (
    Metric("pods_per_second", "pods/s, first to last binding"),
    Metric("pods_per_second_with_events", "pods/s, to the last event"),
    Metric("last_event_seconds", "first binding to last event, s", 2),
    Metric("cpu_ms_per_pod", "CPU per pod, ms", 2),
    Metric("peak_mib", "peak memory, MiB"),
    Metric("start_seconds", "start to first binding, s", 2),
    Metric("start_cpu_seconds", "CPU of the start, s", 2),
    Metric("apiserver_cpu_ms_per_pod", "API server's CPU per pod, ms", 2),
    Metric("etcd_cpu_ms_per_pod", "etcd's CPU per pod, ms", 2),
    Metric("events", "events written"),
    Metric("nodes_used", "nodes used"),
    Metric("most_pods_on_a_node", "most pods on a node"),
)
COMPARED = METRICS[:7]
RATIOS = ((PALLET.name, KUBE_SCHEDULER.name), (PALLET.name, BLIND.name))


@dataclass(frozen=True, slots=True)
class Spread:
    """What several rounds gave."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread | None":
        """Sum values up; None where there are none."""
        values = list(values)
        return cls(statistics.median(values), min(values), max(values)) if values else None

    def text(self, decimals: int) -> str:
        """Write it as `312 (294-313)`, or as one number where all are the same."""
        median, lowest, highest = (
            f"{value:,.{decimals}f}" for value in (self.median, self.lowest, self.highest)
        )
        return median if lowest == highest else f"{median} ({lowest}-{highest})"


Columns = Mapping[str, Mapping[str, Spread]]
"""For each contender, or each pair of them, the spread of each metric by its field."""


def figures(rounds: Sequence[Round]) -> Columns:
    """What each contender did, in the order of the first round."""
    names = dict.fromkeys(each.contender for each in rounds)
    return {name: _column(METRICS, [_values(rounds, name, metric) for metric in METRICS]) for name in names}


def ratios(rounds: Sequence[Round]) -> Columns:
    """How the contenders compare, in the rounds in which both have figures."""
    names = {each.contender for each in rounds}
    return {
        f"{one} / {other}": _column(COMPARED, [_quotients(rounds, one, other, metric) for metric in COMPARED])
        for one, other in RATIOS
        if {one, other} <= names
    }


def table(head: str, columns: Columns, decimals: int | None = None) -> str:
    """A line for each metric; with as many decimals as given, or else as the metric has."""
    lines = [[head, *columns]]
    for metric in METRICS:
        spreads = [column.get(metric.field) for column in columns.values()]
        if any(spreads):
            places = metric.decimals if decimals is None else decimals
            lines.append([metric.title, *(each.text(places) if each else NOTHING for each in spreads)])
    return _aligned(lines)


def latency_table(latencies: Sequence[Latencies]) -> str:
    """A line for each kind of set: milliseconds from the trigger's switch to the last binding."""
    lines = [["switch to last binding, ms", "median (lowest-highest)", "repetitions"]]
    for each in latencies:
        spread = Spread.of(each.milliseconds)
        lines.append([each.title, spread.text(0) if spread else NOTHING, str(len(each.milliseconds))])
    return _aligned(lines)


def document(
    machine: Mapping[str, str],
    settings: Mapping[str, int],
    rounds: Sequence[Round],
    latencies: Sequence[Latencies],
) -> dict[str, Any]:
    """Everything, for a JSON file."""
    return {
        "machine": dict(machine),
        "settings": dict(settings),
        "rounds": [asdict(each) for each in rounds],
        "figures": _plain(figures(rounds)),
        "ratios": _plain(ratios(rounds)),
        "podsets": [asdict(each) for each in latencies],
    }


def _column(metrics: Sequence[Metric], values: Sequence[Mapping[int, float]]) -> dict[str, Spread]:
    spreads = ((metric, Spread.of(each.values())) for metric, each in zip(metrics, values, strict=True))
    return {metric.field: spread for metric, spread in spreads if spread}


def _values(rounds: Sequence[Round], contender: str, metric: Metric) -> dict[int, float]:
    """A metric of one contender, by round."""
    return {
        each.number: getattr(each.measures, metric.field)
        for each in rounds
        if each.contender == contender and each.measures
    }


def _quotients(rounds: Sequence[Round], one: str, other: str, metric: Metric) -> dict[int, float]:
    """One contender's metric divided by another's, by round."""
    above, below = _values(rounds, one, metric), _values(rounds, other, metric)
    return {number: above[number] / below[number] for number in above if below.get(number)}


def _plain(columns: Columns) -> dict[str, dict[str, dict[str, float]]]:
    return {
        name: {field: asdict(spread) for field, spread in column.items()} for name, column in columns.items()
    }


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first one to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
