"""`python -m tools.fuzz`: random inputs for every parser; ends with status 1 where any crashes or differs."""

import argparse
import logging
import sys
import time

from tools.controlplane.build import BuildError
from tools.fuzz.oracle import build
from tools.fuzz.run import Finding, run
from tools.fuzz.targets import TARGETS, Target

_SHOWN = 5
_WIDTH = 400


def main() -> int:
    """Run the targets and return the exit status."""
    arguments = _parser().parse_args()
    logging.disable()  # objects that are left out are logged
    try:
        oracle = build()
    except BuildError as error:
        print(f"fuzzing failed: {error}", file=sys.stderr)
        return 1
    found = 0
    for target in TARGETS:
        if arguments.only and target.name not in arguments.only:
            continue
        started, tried, wrong = time.monotonic(), 0, list[Finding]()
        for count, findings in run(target, arguments.seed, arguments.inputs, oracle):
            tried += count
            wrong += findings
        found += len(wrong)
        _report(target, tried, wrong, time.monotonic() - started)
    return 1 if found else 0


def _report(target: Target, tried: int, wrong: list[Finding], seconds: float) -> None:
    compared = "compared with Go's parser" if target.oracle else "crashes only"
    print(
        f"{target.name}: {tried:,} inputs in {seconds:.0f} s, {compared}: {len(wrong)} findings", flush=True
    )
    for finding in sorted(wrong, key=lambda finding: len(finding.data))[:_SHOWN]:
        print(
            f"  {_shortened(repr(finding.data))}: {_shortened(finding.ours)}"
            + (f", Go: {_shortened(finding.theirs)}" if target.oracle else "")
        )


def _shortened(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH // 2]} ... {text[-_WIDTH // 2 :]}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each parser (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random inputs (default %(default)s)")
    names = [target.name for target in TARGETS]
    parser.add_argument("--only", nargs="+", choices=names, help="the parsers to try (default all)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
