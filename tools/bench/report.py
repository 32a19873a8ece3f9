"""Tables of backlogs: the median of the rounds, lowest and highest; ratios are formed round by round.

The tables are markdown, written so that a terminal shows them as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tools.bench.contenders import BLIND, KUBE_SCHEDULER, PALLET
from tools.bench.measures import Round
from tools.bench.tables import Spread, markdown

NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Metric:
    """A field of `Measures`, how it is called, and how it is shown."""

    field: str
    title: str
    decimals: int = 0
    compared: bool = False
    """Whether a ratio says something."""
    shown: bool = True
    """Whether it has a table, or is only in the JSON file."""


METRICS = (
    Metric("pods_per_second", "pods/s, to the last binding", compared=True),
    Metric("pods_per_second_with_events", "pods/s, to the last event", compared=True),
    Metric("latency_p50_seconds", "latency p50, s", 2),
    Metric("latency_p99_seconds", "latency p99, s", 2),
    Metric("cpu_ms_per_pod", "CPU per pod, ms", 2, compared=True),
    Metric("peak_mib", "peak memory, MiB", compared=True),
    Metric("start_seconds", "start to first sign of work, s", 2),
    Metric("start_cpu_seconds", "CPU of the start, s", 2, shown=False),
    Metric("apiserver_cpu_ms_per_pod", "API server's CPU per pod, ms", 2, shown=False),
    Metric("etcd_cpu_ms_per_pod", "etcd's CPU per pod, ms", 2, shown=False),
    Metric("events", "events seen", shown=False),
    Metric("nodes_used", "nodes used"),
    Metric("cpu_deviation", "balance: deviation of the CPU asked for over all nodes, %", 2),
    Metric("zone_skew", "skew: pods of an app in its fullest zone less its emptiest"),
    Metric("evicted", "pods evicted (preemption needs two for each pod)"),
)
RATIOS = ((PALLET.name, KUBE_SCHEDULER.name), (PALLET.name, BLIND.name))

SETS_NOTE = (
    "In podsets, pallet plans sets of 50 and binds as planned; the others get the same pods without sets, "
    "which is what users would otherwise pick."
)


def line(each: Round) -> str:
    """One turn in one line: how fast it was, and what was wrong."""
    speed = f"{each.measures.pods_per_second:,.0f} pods/s" if each.measures else "nothing"
    title = f"{each.workload}, {each.nodes:,} nodes, {each.pods:,} pods, round {each.number}"
    return "; ".join((f"{title}, {each.contender}: {speed}", *each.faults))


def tables(rounds: Sequence[Round]) -> str:
    """A table for each number of nodes and metric: a line for each workload."""
    parts: list[str] = []
    for nodes in dict.fromkeys(each.nodes for each in rounds):
        here = [each for each in rounds if each.nodes == nodes]
        parts += filter(None, (_table(nodes, here, metric) for metric in METRICS if metric.shown))
    if any(each.workload == "podsets" for each in rounds):
        parts.append(SETS_NOTE)
    return "\n\n".join(parts) + "\n"


def figures(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """The spread of each metric, and of each ratio, by workload, nodes and contender; for the JSON file."""
    found = []
    for workload, nodes in dict.fromkeys((each.workload, each.nodes) for each in rounds):
        here = [each for each in rounds if (each.workload, each.nodes) == (workload, nodes)]
        columns: dict[str, list[tuple[Metric, Spread | None]]] = {
            name: [(metric, spread(here, name, metric)) for metric in METRICS] for name in _contenders(here)
        }
        for pair in _pairs(here):
            compared = (metric for metric in METRICS if metric.compared)
            columns[_ratio_title(pair)] = [(metric, ratio(here, *pair, metric)) for metric in compared]
        found += [
            {
                "workload": workload,
                "nodes": nodes,
                "of": name,
                **{metric.field: asdict(each) for metric, each in column if each},
            }
            for name, column in columns.items()
        ]
    return found


def spread(rounds: Sequence[Round], contender: str, metric: Metric) -> Spread | None:
    """A metric of one contender; None where no round has it."""
    values = _values(rounds, contender, metric)
    return Spread.of(values.values()) if values else None


def ratio(rounds: Sequence[Round], one: str, other: str, metric: Metric) -> Spread | None:
    """One contender's metric divided by another's, in the rounds in which both have it."""
    above, below = _values(rounds, one, metric), _values(rounds, other, metric)
    quotients = [above[number] / below[number] for number in above if below.get(number)]
    return Spread.of(quotients) if quotients else None


def _table(nodes: int, rounds: Sequence[Round], metric: Metric) -> str:
    contenders = _contenders(rounds)
    pairs = _pairs(rounds) if metric.compared else []
    lines = [[f"{metric.title}; {nodes:,} nodes", *contenders, *map(_ratio_title, pairs)]]
    for workload, pods in dict.fromkeys((each.workload, each.pods) for each in rounds):
        here = [each for each in rounds if each.workload == workload]
        cells = [_text(spread(here, name, metric), metric.decimals) for name in contenders]
        cells += [_text(ratio(here, *pair, metric), 2) for pair in pairs]
        if set(cells) != {NOTHING}:
            lines.append([f"{workload} ({pods:,} pods)", *cells])
    return markdown(lines) if len(lines) > 1 else ""


def _text(value: Spread | None, decimals: int) -> str:
    return value.text(decimals) if value else NOTHING


def _contenders(rounds: Sequence[Round]) -> list[str]:
    order = [BLIND.name, KUBE_SCHEDULER.name, PALLET.name]
    return sorted({each.contender for each in rounds}, key=order.index)


def _pairs(rounds: Sequence[Round]) -> list[tuple[str, str]]:
    there = set(_contenders(rounds))
    return [pair for pair in RATIOS if there.issuperset(pair)]


def _ratio_title(pair: tuple[str, str]) -> str:
    return " / ".join(pair)


def _values(rounds: Sequence[Round], contender: str, metric: Metric) -> Mapping[int, float]:
    """A metric of one contender, by round."""
    values = {
        each.number: getattr(each.measures, metric.field)
        for each in rounds
        if each.contender == contender and each.measures
    }
    return {number: value for number, value in values.items() if value is not None}
