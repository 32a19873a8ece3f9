"""`python -m tools.conformance`: Kubernetes' scheduling tests; status 1 where only pallet fails one."""

import argparse
import subprocess
import sys
from pathlib import Path

from tools.conformance import page
from tools.conformance.comparison import compare
from tools.conformance.junit import ReportError
from tools.conformance.run import run
from tools.conformance.schedulers import KUBE_SCHEDULER, PALLET
from tools.controlplane import ApiError, KubectlError
from tools.controlplane.binaries import MissingBinaryError
from tools.controlplane.build import BuildError
from tools.controlplane.processes import StartError
from tools.installation import ROOT

EXPECTED = (
    ApiError,
    KubectlError,
    StartError,
    TimeoutError,
    MissingBinaryError,
    BuildError,
    ReportError,
    subprocess.CalledProcessError,  # no Go toolchain can be installed
)
"""What ends a run with a line that says why, instead of a traceback."""

PAGE = ROOT / "docs" / "conformance.md"


def main() -> int:
    """Run the tests and return the exit status."""
    arguments = _parser().parse_args()
    try:
        results = run((KUBE_SCHEDULER, PALLET), arguments.focus, arguments.out.resolve())
    except EXPECTED as error:
        print(f"conformance tests failed to run: {error}", file=sys.stderr)
        return 2
    rows = compare(results[KUBE_SCHEDULER.name], results[PALLET.name], arguments.focus)
    text = page.table(rows)
    print(text)
    if not arguments.focus:
        page.keep(PAGE, text)
    lost = [row.name for row in rows if row.lost]
    for name in lost:
        print(f"pallet fails what kube-scheduler passes: {name}", file=sys.stderr)
    return 1 if lost else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.conformance", description=__doc__)
    parser.add_argument(
        "--focus",
        default="",
        metavar="REGEX",
        help="only tests whose names it matches; the page in docs/ then stays as it is",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/conformance"), help="for reports and logs (build/conformance)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
