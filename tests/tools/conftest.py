"""A compiler that costs nothing, and a cache of a test's own."""

import os
from pathlib import Path

import pytest

FAKE_GO = """#!/bin/sh
if [ "$1" = env ]; then echo {version}; exit; fi
verb="$1"
for argument; do package="$argument"; done
while [ "$1" != -o ]; do shift; done
if [ "$package" = "{refused}" ]; then echo "it does not compile"; exit 1; fi
echo "$verb $package" > "$2"; chmod +x "$2"; echo "$package" >> "{calls}"
"""


class Compiler:
    """A `go` on PATH that writes its command and the package's name, and remembers the packages."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self.program = folder / "go"
        self.calls = folder / "calls"
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        self.behave()

    def behave(self, *, version: str = "go1.99.0", refused: str = "") -> None:
        executable(self.program, FAKE_GO.format(version=version, refused=refused, calls=self.calls))


def executable(path: Path, content: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o755)
    return path


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compiler:
    return Compiler(tmp_path / "compiler", monkeypatch)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the default release, for which nothing is asked of a site."""
    for variable in ("KUBEBUILDER_ASSETS", "KUBERNETES_VERSION"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("KUBERNETES_DOWNLOADS", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pallet" / "controlplane"
