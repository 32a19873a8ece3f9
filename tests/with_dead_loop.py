"""`python -m tests.with_dead_loop …` is `python -m pallet …` whose event loop stops for good on SIGUSR1."""

import signal
import sys
import time

from pallet.cli.main import main


def hold_for_good(*_: object) -> None:
    """Python runs it in the main thread, on top of whatever the loop does there."""
    while True:
        time.sleep(1)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, hold_for_good)
    sys.exit(main())
