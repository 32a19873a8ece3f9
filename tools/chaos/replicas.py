"""The two replicas: real processes that are started again whenever they end, as a kubelet does."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio

from tools.chaos.history import Blind, Happened
from tools.chaos.network import Line
from tools.chaos.timeline import LEADER, Fault
from tools.controlplane.processes import Process, free_port

ROOT = Path(__file__).parents[2]
RESTART_SECONDS = 1.0


@dataclass(slots=True)
class Replica:
    """One of them. Its processes are named `a-1`, `a-2`..., and log into one file each."""

    name: str
    line: Line
    flags: list[str]
    directory: Path
    group: int
    take: Callable[[Happened | Blind], None]
    number: int = 0
    port: int = field(default_factory=free_port)
    process: Process | None = None
    stopped_at: float | None = None
    codes: dict[str, int | None] = field(default_factory=dict)

    @property
    def agent(self) -> str:
        """The name of the process that runs, or ran last."""
        return f"{self.name}-{self.number}"

    @property
    def log(self) -> Path:
        """What the process that runs has logged."""
        return self.directory / f"{self.agent}.log"

    @property
    def runs(self) -> bool:
        """Whether it runs and is not stopped."""
        return self.process is not None and self.process.running and self.stopped_at is None

    @property
    def _control(self) -> Path:
        return self.directory / f"{self.name}.sock"

    def start(self) -> None:
        """Start the next process."""
        self.number += 1
        self.stopped_at = None
        serving = (f"--secure-port={self.port}", "--bind-address=127.0.0.1", "-v=2")
        command = [sys.executable, "-m", "tools.chaos.replica", self.agent, str(self._control), "--"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = Process(
            [*command, f"--master={self.line.url}", *serving, *self.flags],
            self.log,
            group=self.group,
            environment=environment,
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.process is not None and self.process.running:
            os.kill(self.process.pid, number)

    async def supervise(self) -> None:
        """Start it, and again whenever it ends."""
        while True:
            self.start()
            while self.process is not None and self.process.running:  # noqa: ASYNC110 - it is a process
                await anyio.sleep(0.05)
            self.resumed()
            self.codes[self.agent] = self.process.code if self.process else None
            await anyio.sleep(RESTART_SECONDS)

    def note_stop(self) -> None:
        """It has been stopped, or has stopped itself."""
        self.stopped_at = time.time()

    def resumed(self) -> None:
        """It goes on, or has ended: all that time it saw nothing."""
        if self.stopped_at is not None:
            self.take(Blind(self.name, "", self.stopped_at, time.time()))
            self.stopped_at = None

    async def stop_for(self, seconds: float, *, signal_it: bool) -> None:
        """Stop it for a while."""
        agent = self.agent
        if signal_it:
            self.signal(signal.SIGSTOP)
        self.note_stop()
        await anyio.sleep(seconds)
        if self.agent == agent:
            self.go_on()

    def go_on(self) -> None:
        """Let it go on."""
        if self.stopped_at is not None:
            self.resumed()
            self.signal(signal.SIGCONT)

    def order(self, **order: object) -> None:
        """Tell the process what is to happen at a fault point."""
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
            control.sendto(json.dumps(order).encode(), str(self._control))

    async def hear(self, reached: Callable[[str, str], float], tasks: anyio.abc.TaskGroup) -> None:
        """Record fault points that are reached.

        `reached` is told what is done at which point, and gives the seconds after which a stop ends.
        """
        path = f"{self._control}.reached"
        async with await anyio.create_unix_datagram_socket(local_path=path) as reports:
            async for packet, _ in reports:
                message = json.loads(packet)
                kind = "killed at a point" if message["do"] == "kill" else "stopped at a point"
                self.take(Happened(time.time(), kind, self.name, message["point"]))
                seconds = reached(message["do"], message["point"])
                if message["do"] == "stop" and message["agent"] == self.agent:
                    tasks.start_soon(partial(self.stop_for, seconds, signal_it=False))


@dataclass(slots=True)
class Pair:
    """Both replicas."""

    replicas: list[Replica]

    @property
    def by_part(self) -> list[Replica]:
        """The leader, which is the one that wrote the lease last, and the standby."""
        return sorted(self.replicas, key=lambda each: each.line.renewed_at, reverse=True)

    def of(self, fault: Fault) -> Replica:
        """The replica that plays a part now."""
        return self.by_part[0 if fault.target == LEADER else 1]
