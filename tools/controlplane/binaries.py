"""Finds the control plane's programs.

`KUBEBUILDER_ASSETS`, if set, names a folder with etcd, kube-apiserver and kubectl (a convention of the
Kubernetes world). Without it, everything is built once into the user's cache.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tools.controlplane import build


class MissingBinaryError(Exception):
    """A program is nowhere to be found; the message says where it was looked for and what to do."""


def find(name: str) -> Path:
    """The path of the program `name`; with `KUBEBUILDER_ASSETS` set nothing is ever built.

    What that folder lacks is looked for in the cache of built programs, then on PATH.
    Raises `MissingBinaryError`, or `build.BuildError`.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        return build.build() / name
    built = build.folder()
    path = shutil.which(name, path=os.pathsep.join((assets, str(built)))) or shutil.which(name)
    if path is None:
        raise MissingBinaryError(
            f"{name} is neither in KUBEBUILDER_ASSETS={assets}, nor in {built}, nor on PATH: "
            "put it there, or run `python -m tools.controlplane build`"
        )
    return Path(path)


def version(name: str) -> str:
    """The version that the program `name` itself tells: `v1.37.2`. Raises as `find` does."""
    told = subprocess.run([find(name), "--version"], capture_output=True, text=True, check=True)
    return told.stdout.splitlines()[0].split()[-1]
