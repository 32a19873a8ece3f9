"""`python -m tools.chaos`: two replicas under faults; ends with status 1 where anything was wrong."""

import argparse
import sys
import tempfile
from pathlib import Path

import anyio
import msgspec

from tools.chaos.report import report
from tools.chaos.run import run
from tools.chaos.timeline import Timeline, draw
from tools.controlplane import ApiError
from tools.controlplane.binaries import MissingBinaryError
from tools.controlplane.build import BuildError
from tools.controlplane.processes import StartError

EXPECTED = (ApiError, StartError, TimeoutError, MissingBinaryError, BuildError, OSError, msgspec.DecodeError)
"""What ends a run with a line that says why, instead of a traceback."""


def main() -> int:
    """Run once and return the exit status."""
    arguments = _parser().parse_args()
    directory = arguments.out or Path(tempfile.mkdtemp(prefix="pallet-chaos-"))
    directory.mkdir(parents=True, exist_ok=True)
    print(f"records and logs: {directory}", flush=True)
    try:
        timeline = (
            Timeline.read(arguments.timeline)
            if arguments.timeline
            else draw(arguments.seed, arguments.minutes, arguments.nodes)
        )
        outcome = anyio.run(run, timeline, directory)
    except Exception as error:
        cause = _cause(error)
        if not isinstance(cause, EXPECTED):
            raise
        print(f"chaos failed: {cause}", file=sys.stderr)
        return 2
    text = report(outcome)
    (directory / "report.txt").write_text(text)
    print(text)
    return 1 if outcome.violations else 0


def _cause(error: BaseException) -> BaseException:
    """The first exception within groups of exceptions."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="of load and faults (default 30)")
    parser.add_argument("--seed", type=int, default=1, help="draws load and faults (default 1)")
    parser.add_argument("--nodes", type=int, default=250, help="(default 250)")
    parser.add_argument("--timeline", type=Path, metavar="FILE", help="replay a timeline.json instead")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="for records and logs (default: a new one)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
