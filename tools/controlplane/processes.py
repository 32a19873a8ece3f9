"""Child processes with a log each, and the guard that ends them when their parent dies."""

import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LOG_TAIL_BYTES = 2000


class StartError(Exception):
    """A process ended or did not become ready in time; the message holds the end of its log."""


class Process:
    """A running program; what it prints goes to `log`."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        group: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Starts it in the process group `group`; 0 makes a new one, led by this process."""
        self.name = Path(command[0]).name
        self.command = tuple(command)
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                process_group=group,  # away from the terminal's Ctrl-C: the owner decides when to stop
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    def kill(self) -> None:
        """Ends it at once (SIGKILL) and waits for its end; nothing happens where it has ended already."""
        self._popen.kill()
        self._popen.wait()

    def terminate(self, timeout: float = 10.0) -> int:
        """Asks it to end (SIGTERM), kills it after `timeout` seconds; returns its exit code."""
        self._popen.terminate()
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def wait_until(self, ready: Callable[[], bool], what: str, timeout: float) -> None:
        """Waits until `ready()`, at most `timeout` seconds; raises `StartError` then, or when it ends."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running:
                raise StartError(f"{self.name} ended with code {self._popen.returncode}; {self._log_tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self.name}: {what} took longer than {timeout:.0f} s; {self._log_tail()}")
            time.sleep(0.02)

    def _log_tail(self) -> str:
        tail = self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        return f"the end of its log ({self.log}):\n{tail}"


class Guard:
    """Ends a process group and removes a folder when this process ends, however it ends.

    A shell that waits for the end of its input: the kernel closes it even when this process is killed. (The
    parent-death signal of Linux will not do: it comes when the *thread* that started a child ends.)
    """

    SCRIPT = 'read -r group; cat; kill -s KILL -- "-$group"; rm -rf -- "$0"'

    def __init__(self, group: int, folder: Path) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", self.SCRIPT, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            process_group=0,
        )
        if self._shell.stdin:  # always so, since it is a pipe
            self._shell.stdin.write(f"{group}\n")
            self._shell.stdin.flush()

    def release(self) -> None:
        """Lets it do its work now, and waits until that is done."""
        self._shell.communicate()


def free_port() -> int:
    """A free TCP port on loopback, below the ports that systems give to outgoing connections.

    So nobody takes it by chance between two starts of one server.
    """
    while True:
        port = random.randint(20_000, 32_000)  # noqa: S311 - not a secret
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
