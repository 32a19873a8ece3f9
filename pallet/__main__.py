"""`python -m pallet` is `pallet`."""

import sys

from pallet.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
