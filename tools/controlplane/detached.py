"""A control plane that outlives the command which started it: one a user, remembered in a state file."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.controlplane.cluster import Cluster
from tools.controlplane.controlplane import ControlPlane

STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Detached:
    """Where a detached control plane is, and its processes' ids by name."""

    directory: str
    port: int
    pids: dict[str, int]

    @classmethod
    def start(cls, node_names: Iterable[str]) -> "Detached":
        """Starts one with these nodes; the caller has seen that none is there (`load`)."""
        control_plane = ControlPlane(detached=True)
        control_plane.start()
        try:
            control_plane.add_nodes(node_names)
            started = cls(str(control_plane.directory), control_plane.port, control_plane.pids)
            state_file().parent.mkdir(parents=True, exist_ok=True)
            state_file().write_text(json.dumps(asdict(started)))
        except BaseException:
            control_plane.stop()
            raise
        return started

    @classmethod
    def load(cls) -> "Detached | None":
        """The one that was started, even if its processes have ended since; None where there is none."""
        try:
            return cls(**json.loads(state_file().read_text()))
        except FileNotFoundError:
            return None

    @property
    def running(self) -> dict[str, int]:
        """Those of its processes that still run."""
        return _running(self.pids, self.directory)

    @property
    def whole(self) -> bool:
        """Whether all of its processes run."""
        return self.running == self.pids

    @property
    def cluster(self) -> Cluster:
        """Access to it."""
        return Cluster(Path(self.directory), self.port)

    def stop(self) -> None:
        """Ends what still runs of it and forgets it."""
        kill(self.pids, self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)
        state_file().unlink(missing_ok=True)


def kill(pids: Mapping[str, int], directory: str) -> None:
    """Kills those of the processes of a folder that still run. Raises `TimeoutError` where they stay."""
    deadline = time.monotonic() + STOP_SECONDS
    while running := _running(pids, directory):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still running after {STOP_SECONDS:.0f} s: {running}; end them by hand")
        for pid in running.values():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _running(pids: Mapping[str, int], directory: str) -> dict[str, int]:
    # A process id can be given to a stranger; ours name the folder in their arguments.
    return {name: pid for name, pid in pids.items() if directory in _command_line(pid)}


def state_file() -> Path:
    """The file that remembers it."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "pallet" / "controlplane.json"


def _command_line(pid: int) -> str:
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return ""
    shown = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout
