"""`python -m tools.bench`: measure, print tables, and with --out write everything as JSON.

Ends with status 1 where a result is wrong: a pod that is not bound, a node with more than fits.
"""

import argparse
import json
import sys
from pathlib import Path

from tools.bench import machine, report
from tools.bench.contenders import CONTENDERS
from tools.bench.observer import ObserverError
from tools.bench.podsets import Latencies, measure_sets
from tools.bench.throughput import Round, run_rounds
from tools.bench.usage import wait_until_quiet
from tools.controlplane import ApiError, ControlPlane, numbered
from tools.controlplane.binaries import MissingBinaryError
from tools.controlplane.build import BuildError
from tools.controlplane.processes import StartError

DELETE_WORKERS = "--delete-collection-workers=16"  # for the cleaning between rounds


def main() -> int:
    """Run the benchmark and return its exit status."""
    arguments = _parser().parse_args()
    described = machine.describe()
    print("\n".join(f"{name}: {value}" for name, value in described.items()), end="\n\n")
    try:
        rounds = [] if arguments.podsets else _throughput(arguments)
        latencies = [] if arguments.throughput else _podsets()
    except (ApiError, StartError, ObserverError, TimeoutError, MissingBinaryError, BuildError) as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    if arguments.out:
        settings = {name: getattr(arguments, name) for name in ("rounds", "nodes", "pods")}
        written = report.document(described, settings, rounds, latencies)
        arguments.out.write_text(json.dumps(written, indent=2) + "\n")
    return 1 if any(each.faults for each in rounds) or any(each.faults for each in latencies) else 0


def _throughput(arguments: argparse.Namespace) -> list[Round]:
    contenders = [CONTENDERS[name] for name in arguments.only]
    rounds = []
    with ControlPlane(kwok=False, apiserver_args=[DELETE_WORKERS]) as control_plane:
        control_plane.add_nodes(numbered("node", arguments.nodes))
        wait_until_quiet(control_plane.pids)
        for each in run_rounds(control_plane, contenders, arguments.rounds, arguments.pods):
            rounds.append(each)
            speed = f"{each.measures.pods_per_second:,.0f} pods/s" if each.measures else "nothing"
            print("; ".join((f"round {each.number}, {each.contender}: {speed}", *each.faults)), flush=True)
    title = f"{arguments.nodes:,} nodes, {arguments.pods:,} plain pods"
    print(f"\n{report.table(title, report.figures(rounds))}")
    if ratios := report.ratios(rounds):
        print(f"\n{report.table('ratio by round', ratios, decimals=2)}")
    print()
    return rounds


def _podsets() -> list[Latencies]:
    latencies = []
    for each in measure_sets():
        latencies.append(each)
        print("; ".join((f"{each.title}: measured", *each.faults)), flush=True)
    print(f"\n{report.latency_table(latencies)}")
    return latencies


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--throughput", action="store_true", help="only the throughput with a backlog")
    part.add_argument("--podsets", action="store_true", help="only the latency of PodSets")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the throughput part (default 3)")
    parser.add_argument("--nodes", type=int, default=5000, help="its nodes (default 5000)")
    parser.add_argument("--pods", type=int, default=3000, help="its pods (default 3000)")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=CONTENDERS,
        default=list(CONTENDERS),
        metavar="NAME",
        help=f"its contenders (default {' '.join(CONTENDERS)})",
    )
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
