"""`python -m tools.parity`: compare decisions on random clusters; ends with status 1 where any differ."""

import argparse
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import anyio

from tools.controlplane import ApiError
from tools.controlplane.binaries import MissingBinaryError, version
from tools.controlplane.build import BuildError
from tools.controlplane.processes import StartError
from tools.parity import older
from tools.parity.generate import SUBJECTS, scenario
from tools.parity.match import compare
from tools.parity.report import Report
from tools.parity.scenario import Scenario

PODS_IN_A_CLUSTER = 80
LEFT_OUT = (
    "Not drawn: namespaces whose labels change, claims of dynamic resource allocation, several "
    "CSIDrivers that have to be installed, several capacities of storage for one node, fewer than all nodes "
    "(percentageOfNodesToScore), two pods with one host port on one node (kube-scheduler counts the port as "
    "free when one of them leaves). Beside kube-scheduler 1.36 these subjects are not drawn either, unless "
    f"--only names them: {', '.join(older.SUBJECTS)}; nor is compared what it says of "
    "claims to deallocate, and does not say of the place found by preemption. Not compared: scores "
    "where an extender filters and is sent whole nodes, for kube-scheduler then scores nodes as if they had "
    "no pods; a pod while another one that preempted gets its place; which of several nodes or sets of "
    "victims of the same rank is chosen."
)
EXPECTED = (ApiError, StartError, TimeoutError, MissingBinaryError, BuildError)
"""What ends a run with a line that says why, instead of a traceback."""


def main() -> int:
    """Run the comparison and return its exit status."""
    arguments = _parser().parse_args()
    report = Report(arguments.out)
    try:
        anyio.run(compare, _scenarios(arguments, report), report.take)
    except Exception as error:
        cause = _cause(error)
        if not isinstance(cause, EXPECTED):
            raise
        print(f"comparison failed: {cause}", file=sys.stderr)
        return 1
    print(report.summary())
    return 1 if report.differing else 0


def _cause(error: BaseException) -> BaseException:
    """The first exception within groups of exceptions."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _scenarios(arguments: argparse.Namespace, report: Report) -> Iterator[Scenario]:
    """Those of the files to replay, or else random ones until enough pods were compared."""
    if arguments.replay:
        yield from map(Scenario.read, arguments.replay)
        return
    theirs, among = version("kube-scheduler"), list(SUBJECTS)
    if older.is_older(theirs):
        among = [name for name in SUBJECTS if name not in older.SUBJECTS]
        print(f"kube-scheduler {theirs}: not drawn are {', '.join(older.SUBJECTS)}", flush=True)
    for seed in count(arguments.seed):
        if report.pods >= arguments.pods:
            return
        yield scenario(seed, PODS_IN_A_CLUSTER, arguments.only, among)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.parity", description=__doc__, epilog=LEFT_OUT)
    parser.add_argument("--pods", type=int, default=5000, help="how many to compare at least (default 5000)")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first cluster; the next has the next (default 1)"
    )
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=[],
        metavar="SUBJECTS",
        help=f"subjects of every cluster, with commas between, of {', '.join(SUBJECTS)}",
    )
    parser.add_argument(
        "--replay", type=Path, nargs="+", metavar="FILE", help="only these, written with --out"
    )
    parser.add_argument("--out", type=Path, help="a folder for the states in which decisions differed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
