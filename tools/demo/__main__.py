"""`python -m tools.demo`: the quickstart on a cluster made for it.

QUIET_TIME (default 10s) is how long the trigger waits after the last pod has come, as a Go duration.
CLUSTER=kind takes a kind cluster, which needs Docker, in place of a control plane without containers.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType

from tools.controlplane.binaries import MissingBinaryError
from tools.controlplane.build import BuildError
from tools.controlplane.processes import StartError
from tools.demo.kind import kind_cluster
from tools.demo.local import local_cluster
from tools.demo.quickstart import check_quiet_time, walk_through
from tools.demo.shell import Shell, StepError

CLUSTERS = {"": local_cluster, "kind": kind_cluster}


def main() -> int:
    """Runs the demo and returns its exit status: 0 if every step went as it should."""
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.monotonic()
    try:
        quiet_time = check_quiet_time(os.environ.get("QUIET_TIME", "10s"))
        with _cluster(os.environ.get("CLUSTER", ""))() as shell:
            walk_through(shell, quiet_time)
            shell.good(f"\nAll steps went as they should, in {time.monotonic() - started:.0f} s.")
    except (StepError, ValueError, MissingBinaryError, BuildError, StartError) as error:
        print(f"\ndemo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo interrupted", file=sys.stderr)
        return 130
    return 0


def _cluster(name: str) -> Callable[[], AbstractContextManager[Shell]]:
    if name not in CLUSTERS:
        raise ValueError(f"CLUSTER={name}: say kind, or nothing")
    return CLUSTERS[name]


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
