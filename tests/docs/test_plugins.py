"""docs/plugins.md can be followed, from an empty folder and with nothing installed."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.docs.pages import script_of
from tools.controlplane import ControlPlane, binaries, kind_names

pytestmark = pytest.mark.e2e

PAGE = Path("docs/plugins.md")
SHIPPED = ("pallet", "requirements", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a build needs of a checkout; it leaves files there."""
    directory = tmp_path / "checkout"
    directory.mkdir()
    for name in SHIPPED:
        copy = shutil.copytree if Path(name).is_dir() else shutil.copy
        copy(name, directory / name)
    return directory


def as_newcomer(directory: Path, **variables: str) -> dict[str, str]:
    """An environment with Python and kubectl on the path, and nothing of this one but how pip downloads."""
    programs = directory / "bin"
    programs.mkdir()
    python = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    for name, program in {"python3": python, "kubectl": binaries.find("kubectl")}.items():
        (programs / name).symlink_to(program)
    kept = {name: value for name, value in os.environ.items() if name == "HOME" or name.startswith("PIP_")}
    return {
        **kept,
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "KUBECACHEDIR": str(directory / "kubectl-cache"),
        "PIP_NO_COMPILE": "1",  # which takes most of an installation's time
        **variables,
    }


@pytest.mark.time_limit(600)  # it installs everything: some 40 s of CPU with a warm cache
def test_the_page_can_be_followed(tmp_path: Path, checkout: Path) -> None:
    with ControlPlane() as control_plane:
        control_plane.add_nodes(kind_names(3))
        environment = as_newcomer(tmp_path, PALLET=str(checkout), KUBECONFIG=str(control_plane.kubeconfig))
        output = tmp_path / "output"
        with output.open("w") as file:
            shell = subprocess.Popen(
                ["/bin/sh", "-c", script_of(PAGE)],
                cwd=tmp_path,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            status = shell.wait()
        finally:
            if shell.poll() is None or status:
                with suppress(ProcessLookupError):  # the scheduler, where the shell did not come so far
                    os.killpg(shell.pid, signal.SIGKILL)
        said = output.read_text()
    assert status == 0, said[-5000:]
    assert said.count("1 passed") == 3
    assert said.count("2 passed") == 1
    assert "0/3 nodes are available: 3 node(s) had 2 pods already." in said
