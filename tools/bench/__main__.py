"""`python -m tools.bench`: measure, print tables, and with --out write everything as JSON.

Ends with status 1 where a result is wrong: a pod that is not bound, a rule that is broken.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.bench import callbacks, churn, decide, drain, machine, memory, objects, switch, withstand
from tools.bench.contenders import CONTENDERS
from tools.bench.siege import ATTACKS
from tools.bench.spawned import ObserverError
from tools.bench.upstream import run as upstream
from tools.bench.upstream.workloads import UpstreamError
from tools.bench.workloads import WORKLOADS
from tools.controlplane import ApiError
from tools.controlplane.binaries import MissingBinaryError
from tools.controlplane.build import BuildError
from tools.controlplane.processes import StartError

Outcome = tuple[dict[str, Any], list[str]]
"""What a part found, for the JSON file, and what was wrong, which it has printed."""


def main() -> int:
    """Run the parts asked for and return the exit status."""
    arguments = _parser().parse_args()
    document: dict[str, Any] = {}
    faults: list[str] = []
    try:
        described = document["machine"] = machine.describe()
        print("\n".join(f"{name}: {value}" for name, value in described.items()), end="\n\n", flush=True)
        for part in _parts(arguments):
            found, wrong = part(arguments)
            document.update(found)
            faults += wrong
    except (
        ApiError,
        StartError,
        ObserverError,
        TimeoutError,
        MissingBinaryError,
        BuildError,
        UpstreamError,
    ) as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        faults.append(str(error))
    if arguments.out:
        arguments.out.write_text(json.dumps({**document, "faults": faults}, indent=2) + "\n")
    return 1 if faults else 0


def _parts(arguments: argparse.Namespace) -> list[Callable[[argparse.Namespace], Outcome]]:
    only = {
        "throughput": drain.run,
        "podsets": switch.run,
        "decide": decide.run,
        "memory": memory.run,
        "churn": churn.run,
        "withstand": withstand.run,
        "objects": objects.run,
        "callbacks": callbacks.run,
        "upstream": upstream.run,
    }
    asked = [part for name, part in only.items() if getattr(arguments, name) not in (None, False)]
    return asked or [drain.run, switch.run]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--throughput", action="store_true", help="only the backlogs")
    part.add_argument("--podsets", action="store_true", help="only the latency of a pod set's switch")
    part.add_argument("--decide", action="store_true", help="only the decision alone, in this process")
    part.add_argument("--memory", action="store_true", help="only memory and start, with many bound pods")
    part.add_argument("--churn", action="store_true", help="only memory while pods and sets come and go")
    part.add_argument("--objects", action="store_true", help="only what one large pod costs")
    part.add_argument("--callbacks", action="store_true", help="only how long callbacks hold the loop")
    part.add_argument(
        "--upstream",
        nargs="*",
        metavar="WORKLOAD",
        help="only scheduler_perf's workloads, named as TestCase/Workload (default: one of each test case)",
    )
    part.add_argument("--withstand", action="store_true", help="only ordinary pods beside attacks")
    parser.add_argument(
        "--attacks",
        nargs="+",
        choices=ATTACKS,
        metavar="NAME",
        help=f"of {' '.join(ATTACKS)}",
    )
    parser.add_argument("--checkout", type=Path, help="the folder of another version, to be attacked")
    parser.add_argument("--minutes", type=float, help="how long the churn takes (default 60)")
    parser.add_argument(
        "--workloads", nargs="+", choices=WORKLOADS, metavar="NAME", help=f"of {' '.join(WORKLOADS)}"
    )
    parser.add_argument("--nodes", nargs="+", type=int, help="one number or several (default 5000)")
    parser.add_argument("--pods", type=int, help="the size of each backlog (default: each workload's own)")
    parser.add_argument("--rounds", type=int, help="how often each is repeated (default 1, decisions 3)")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=CONTENDERS,
        metavar="NAME",
        help=f"contenders of {' '.join(CONTENDERS)} (default all)",
    )
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    parser.add_argument("--plot", type=Path, help="an SVG file to write, of the backlogs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
