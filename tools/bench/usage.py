"""What processes use, children included: CPU time and memory, from Linux's /proc."""

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

PROC = Path("/proc")
INTERVAL_SECONDS = 0.1
MIB = 1024**2
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

QUIET_CORES = 0.1
QUIET_WINDOW_SECONDS = 0.5
QUIET_TRIES = 120


class Meter:
    """Reads the CPU time of processes several times a second, and how much memory each had at its peak.

    A context manager: a thread of its own reads from entry to exit. What has ended is not read any more.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._times: dict[str, list[float]] = {name: [] for name in pids}
        self._cpu: dict[str, list[float]] = {name: [] for name in pids}
        self.peak_bytes: dict[str, int] = dict.fromkeys(pids, 0)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter")

    def __enter__(self) -> "Meter":
        self._read()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._read()

    def cpu_seconds(self, name: str, since: float, until: float) -> float:
        """The CPU time a process used between two moments of `time.monotonic`, of those it was read in."""
        values = np.interp((since, until), self._times[name], self._cpu[name])
        return float(values[1] - values[0])

    def _run(self) -> None:
        while not self._done.wait(INTERVAL_SECONDS):
            self._read()

    def _read(self) -> None:
        for name, pid in self._pids.items():
            try:
                pids = _family(pid)
                cpu = sum(cpu_seconds(_text(each, "stat")) for each in pids)
                memory = sum(peak_bytes(_text(each, "status")) for each in pids)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it, or a child of it, has just ended
            self._times[name].append(time.monotonic())
            self._cpu[name].append(cpu)
            self.peak_bytes[name] = max(self.peak_bytes[name], memory)


def wait_until_quiet(pids: Mapping[str, int]) -> bool:
    """Wait until these processes together use next to no CPU; False where they never do, for a minute."""
    before = _total(pids)
    for _ in range(QUIET_TRIES):
        time.sleep(QUIET_WINDOW_SECONDS)
        now = _total(pids)
        if now - before < QUIET_CORES * QUIET_WINDOW_SECONDS:
            return True
        before = now
    return False


def cpu_seconds(stat: str) -> float:
    """User and kernel time of a process and its ended children, from its /proc/PID/stat."""
    fields = stat.rpartition(")")[2].split()  # the program's name, in parentheses, may hold anything
    return sum(int(ticks) for ticks in fields[11:15]) / TICKS_PER_SECOND


def peak_bytes(status: str) -> int:
    """The most memory a process ever held, from its /proc/PID/status; 0 where it has ended."""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def resident_bytes(pid: int) -> int:
    """The memory that a process and its children hold now."""
    pages = (int(_text(each, "statm").split()[1]) for each in _family(pid))
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def _total(pids: Mapping[str, int]) -> float:
    return sum(cpu_seconds(_text(pid, "stat")) for pid in pids.values())


def _family(pid: int) -> list[int]:
    """A process and all that descend from it and live."""
    family = [pid]
    for parent in family:
        for children in (PROC / str(parent) / "task").glob("*/children"):
            family += map(int, children.read_text().split())
    return family


def _text(pid: int, name: str) -> str:
    return (PROC / str(pid) / name).read_text()
