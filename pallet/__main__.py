"""`python -m pallet` is `pallet`: the first step of the process."""

import signal
import sys


def main() -> int:
    """Do what the command line says; asked to end while the program still loads, end at once.

    A container's first process ignores a signal that it has no handler for, and would stay until the time
    that its pod has to end is over.
    """
    signal.signal(signal.SIGTERM, _end)
    from pallet.cli.main import main as run  # noqa: PLC0415 - loading it takes the time that this is about

    return run()


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
