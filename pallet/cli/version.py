"""Which pallet this is, and what it runs on."""

import json
import os
import platform

import pallet

COMMIT_VARIABLE = "PALLET_COMMIT"
"""The environment variable that the image's build sets to its git commit."""


def version(*, as_json: bool) -> str:
    """Return a line for people, or an object with the same facts. A commit that is not known is empty."""
    commit = os.environ.get(COMMIT_VARIABLE, "")
    facts = {
        "version": pallet.__version__,
        "commit": commit,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    if as_json:
        return json.dumps(facts)
    built = f" ({commit})" if commit else ""
    return f"pallet {facts['version']}{built}, Python {facts['python']} on {facts['platform']}"
