"""A real cluster that outlives the command which started it: one a machine, remembered in a state file."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from tools.controlplane import Cluster, detached
from tools.node import machine, node
from tools.node.cluster import RealCluster


@dataclass(frozen=True, slots=True)
class Detached:
    """Where it is, the ids of its processes by name, and what was on the machine before."""

    directory: str
    port: int
    pids: dict[str, int]
    before: machine.Before

    @classmethod
    def start(cls, fake: int) -> Self:
        """Start one; the caller has seen that none is there (`load`)."""
        cluster = RealCluster(fake=fake, detached=True)
        cluster.start()
        try:
            started = cls(str(cluster.directory), cluster.port, cluster.pids, cluster.before)
            state_file().parent.mkdir(parents=True, exist_ok=True)
            state_file().write_text(json.dumps(asdict(started)))
        except BaseException:
            cluster.stop()
            raise
        return started

    @classmethod
    def load(cls) -> Self | None:
        """The one that was started, even if its processes have ended since; None where there is none."""
        try:
            document = json.loads(state_file().read_text())
        except FileNotFoundError:
            return None
        return cls(**{**document, "before": machine.Before(**document["before"])})

    @property
    def cluster(self) -> Cluster:
        """Access to it."""
        return Cluster(Path(self.directory), self.port, machine.ADDRESS)

    def stop(self) -> None:
        """End what still runs of it, take back what it changed on the machine, and forget it."""
        detached.kill(self.pids, self.directory)
        node.clear(Path(self.directory))
        self.before.restore()
        shutil.rmtree(self.directory, ignore_errors=True)
        state_file().unlink(missing_ok=True)


def state_file() -> Path:
    """The file that remembers it."""
    return detached.state_file().with_name("node.json")
