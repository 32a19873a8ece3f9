"""`python -m tools.bench --decide`: what the decision costs for each workload, by number of nodes."""

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pallet.plugins.registry import BUILT_IN
from tools.bench.decisions import Decider, Run
from tools.bench.tables import Spread, aligned
from tools.bench.workloads import WORKLOADS, Workload

SAME_AS_PLAIN = frozenset(("gated", "podsets"))
"""To the decision these are plain pods: what sets them apart happens before it."""

DECIDED = tuple(name for name in WORKLOADS if name not in SAME_AS_PLAIN)
NODES = (500, 1000, 5000, 15000)
RUNS = 3
AIM_PLAIN, AIM = 50.0, 200.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What the decisions of one workload took, in microseconds of CPU time a pod, over several runs."""

    workload: str
    nodes: int
    pods: int
    placed: int
    """Pods that were given a node, in the last run."""
    fitting: int
    """Pods that should have been."""
    mean: Spread
    p50: float
    p99: float
    missing: str = ""
    """The plugin that the workload is about and that this version lacks."""


def run(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The part of the command line: print a table, return it for the JSON file, and the faults.

    A pod that fits somewhere and got no place is one.
    """
    names = [name for name in arguments.workloads or DECIDED if name in DECIDED]
    costs = []
    for each in measure(names, arguments.nodes or NODES, arguments.pods, arguments.rounds or RUNS):
        costs.append(each)
        print(f"{each.workload}, {each.nodes:,} nodes: {each.mean.text(0)} µs", file=sys.stderr, flush=True)
    print(table(costs))
    faults = [
        f"{each.workload}, {each.nodes:,} nodes: {each.placed:,} pods were placed, and {each.fitting:,} fit"
        for each in costs
        if each.placed != each.fitting and not each.missing
    ]
    print("\n".join(faults))
    return {"decisions": [asdict(each) for each in costs]}, faults


def measure(names: Sequence[str], node_counts: Sequence[int], pods: int | None, runs: int) -> Iterator[Cost]:
    """Decide each workload's pods several times, each time from the same fresh state."""
    for name in names:
        for node_count in node_counts:
            yield _measure(WORKLOADS[name], node_count, pods, runs)


def _measure(workload: Workload, node_count: int, pods: int | None, runs: int) -> Cost:
    size = workload.size(node_count, pods)
    done = [Decider(workload, node_count, size).run() for _ in range(runs)]
    missing = "" if workload.needs in ("", *BUILT_IN) else workload.needs
    return cost(workload.name, node_count, done, missing)


def cost(workload: str, nodes: int, runs: Sequence[Run], missing: str = "") -> Cost:
    """Sum up runs: the mean of each run and their spread, the quantiles over all pods of all runs."""
    mean = Spread.of(statistics.fmean(run.microseconds) for run in runs)
    p50, p99 = np.percentile([each for run in runs for each in run.microseconds], (50, 99))
    last = runs[-1]
    return Cost(
        workload,
        nodes,
        pods=len(last.microseconds),
        placed=last.placed,
        fitting=last.fitting,
        mean=mean,
        p50=float(p50),
        p99=float(p99),
        missing=missing,
    )


HEAD = ("decision, µs a pod", "nodes", "pods", "placed", "mean (lowest-highest)", "p50", "p99", "aim", "")


def table(costs: Sequence[Cost]) -> str:
    """A line for each workload and number of nodes."""
    return aligned([HEAD, *map(_line, costs)])


def _line(each: Cost) -> tuple[str, ...]:
    aim = AIM_PLAIN if each.workload == "plain" else AIM
    verdict = f"without {each.missing}" if each.missing else "" if each.mean.median <= aim else "above"
    return (
        each.workload,
        f"{each.nodes:,}",
        f"{each.pods:,}",
        f"{each.placed:,}",
        each.mean.text(0),
        f"{each.p50:.0f}",
        f"{each.p99:.0f}",
        f"{aim:.0f}",
        verdict,
    )
