"""Finds Prometheus and promtool: on PATH, else in Debian's package, unpacked into the user's cache.

Nothing is installed and no root is needed: apt downloads the package and checks where it comes from.
"""

import fcntl
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.controlplane import build

PACKAGE = "prometheus"


class NoPrometheusError(Exception):
    """A program is not there and cannot be fetched; the message says why, and what to do."""


def find(name: str) -> Path:
    """The path of `prometheus` or `promtool`; the first call may download 20 to 50 MB.

    Safe to interrupt, and to run twice at once. Raises `NoPrometheusError`.
    """
    on_path = shutil.which(name)
    if on_path is not None:
        return Path(on_path)
    unpacked = folder()
    if not unpacked.exists():
        unpacked.parent.mkdir(parents=True, exist_ok=True)
        with unpacked.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not unpacked.exists():
                _fetch(unpacked, name)
    return unpacked / "usr" / "bin" / name


def folder() -> Path:
    """Where the package is, or will be, unpacked."""
    return build.cache() / PACKAGE


def _fetch(unpacked: Path, name: str) -> None:
    print(f"{name} is not on PATH: unpacking Debian's package into {unpacked}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=unpacked.parent) as workspace:
        root = Path(workspace, "root")
        try:
            _run(["dpkg-deb", "-x", _download(Path(workspace)), root])
        except (OSError, subprocess.CalledProcessError) as error:
            said = str(getattr(error, "stderr", None) or error).strip()
            raise NoPrometheusError(
                f"{name} is not on PATH, and Debian's package {PACKAGE} cannot be had: {said}\n"
                "Install Prometheus so that `prometheus` and `promtool` are on PATH "
                f"(as root on Debian or Ubuntu: apt-get update && apt-get install {PACKAGE})."
            ) from error
        root.replace(unpacked)


def _download(workspace: Path) -> Path:
    """The package as the machine's package lists name it, or, where they are missing or old, newly read ones.

    The machine's own lists are root's; new ones are read into a folder of ours.
    """
    download = ["download", PACKAGE]
    try:
        _run(["apt-get", "--quiet=2", *download], workspace)
    except subprocess.CalledProcessError:
        lists, cache = workspace / "lists", workspace / "cache"
        for place in (lists / "partial", cache / "archives" / "partial"):
            place.mkdir(parents=True)
        options = {"Dir::State::lists": lists, "Dir::Cache": cache, "APT::Sandbox::User": "root"}
        apt_get = ["apt-get", "--quiet=2", *(f"--option={name}={value}" for name, value in options.items())]
        _run([*apt_get, "update"], workspace)
        _run([*apt_get, *download], workspace)
    [package] = workspace.glob("*.deb")
    return package


def _run(command: Sequence[str | Path], where: Path | None = None) -> None:
    subprocess.run(command, cwd=where, check=True, capture_output=True, text=True)
