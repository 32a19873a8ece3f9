"""`python -m tests.in_pod FOLDER …` is `python -m pallet …` with a pod's ServiceAccount files in FOLDER.

The kubelet puts them under /var/run/secrets, which belongs to the machine: this is all that differs.
"""

import sys
from unittest.mock import patch

from pallet.cli.main import main
from pallet.client import credentials

if __name__ == "__main__":
    folder = sys.argv.pop(1)
    token, ca = f"{folder}/token", f"{folder}/ca.crt"
    with patch.multiple(credentials, SERVICE_TOKEN_FILENAME=token, SERVICE_CERT_FILENAME=ca):
        sys.exit(main())
