"""What is remembered of this machine's real node while it is there, so that another process can end it."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from tools.controlplane import build, detached
from tools.node import machine, node, programs


@dataclass(frozen=True, slots=True)
class Record:
    """Where the cluster is kept, the port of its API server, and what was on the machine before."""

    directory: str
    port: int
    before: machine.Before

    @classmethod
    def load(cls) -> Self | None:
        """That of the node started last, even if it has ended or never came up; None where there is none."""
        try:
            document = json.loads(state_file().read_text())
        except FileNotFoundError:
            return None
        return cls(**{**document, "before": machine.Before(**document["before"])})

    def write(self) -> None:
        """Remember it, before anything is changed; whole, or not at all."""
        file = state_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        written = file.with_suffix(".new")
        written.write_text(json.dumps(asdict(self)))
        written.replace(file)

    def undo(self) -> None:
        """End what still runs of it, take back what it changed on the machine, and forget it."""
        folder = Path(self.directory)
        machine.end({program.name for program in (*build.PROGRAMS, *programs.PROGRAMS)}, folder)
        node.clear(folder)
        self.before.restore()
        shutil.rmtree(folder, ignore_errors=True)
        state_file().unlink(missing_ok=True)


def state_file() -> Path:
    """The file that remembers it."""
    return detached.state_file().with_name("node.json")
