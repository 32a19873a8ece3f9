"""`python pallet.py` is `pallet`, from a source tree as it is.

The name `pallet` below is the package beside this file: a package goes before a module of the same name.
"""

import sys

from pallet.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
