"""Tables of figures: the median of the rounds, with the lowest and the highest; ratios are formed by round."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from tools.bench.contenders import BLIND, KUBE_SCHEDULER, PALLET
from tools.bench.throughput import Round

Table = list[list[str]]


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
RATIOS = ((PALLET, KUBE_SCHEDULER), (PALLET, BLIND))


def figures(rounds: Sequence[Round]) -> Table:
    """A line for each metric, a column for each contender."""
    names = list(dict.fromkeys(each.contender for each in rounds))
    return [
        ["", *names],
        *(
            [metric.title, *(spread(_values(rounds, name, metric).values(), metric.decimals) for name in names)]
            for metric in METRICS
        ),
    ]


def ratios(rounds: Sequence[Round]) -> Table:
    """A line for each metric, a column for each pair that was measured."""
    there = {each.contender for each in rounds}
    pairs = [(one.name, other.name) for one, other in RATIOS if {one.name, other.name} <= there]
    return [
        ["ratio by round", *(f"{one} / {other}" for one, other in pairs)],
        *(
            [metric.title, *(spread(_quotients(rounds, one, other, metric), 2) for one, other in pairs)]
            for metric in COMPARED
        ),
    ]


def spread(values: "Sequence[float] | object", decimals: int) -> str:
    raise NotImplementedError
