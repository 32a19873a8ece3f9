"""What a real node needs of the machine it runs on, and what it changes there."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Self

BRIDGE, ADDRESS = "pallet0", "10.99.0.1"
"""The API server, the kubelet and CoreDNS's callers meet here."""

POD_BRIDGE, POD_ADDRESSES = "palletpods0", "10.98.0.0/16"

PACKAGES = {
    "runc": "runc",
    "iptables-save": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "buildah": "buildah",
}
"""By program, Debian's package that has it."""

CNI_PLUGINS = Path("/usr/lib/cni")
CNI_PROGRAMS = ("bridge", "host-local", "loopback", "portmap")
CNI_PACKAGE = "containernetworking-plugins"
SYSTEM_SETTINGS = Path("/proc/sys")
FORWARDING = "net/ipv4/ip_forward"
SETTINGS = (
    FORWARDING,
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/conf/all/route_localnet",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
"""What the kubelet, kube-proxy and the CNI plugins set for themselves."""

LINKS = Path("/sys/class/net")
CGROUPS = Path("/sys/fs/cgroup")
FOLDERS = (
    "/etc/cni",
    "/opt/containerd",
    "/run/containerd",
    "/run/netns",
    "/run/nri",
    "/var/lib/cni",
    "/var/lib/kubelet",
)
"""What containerd's shims, the CNI library and the kubelet's plugins use, whatever they are configured to."""

END_SECONDS = 10.0
FAMILIES = ("iptables", "ip6tables")
TABLES = ("filter", "nat", "mangle", "raw")
SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))

_OURS = re.compile(r"(^:|-A |-j )(KUBE-|CNI-)")


class MachineError(Exception):
    """The machine lacks something, or has something in the way; the message is one line."""


def check() -> None:
    """Raise `MachineError` unless a node can be started here."""
    if os.geteuid():
        raise MachineError("a real node needs root")
    missing = {
        package for program, package in PACKAGES.items() if not shutil.which(program, path=SYSTEM_PATH)
    }
    if not (CNI_PLUGINS / "bridge").exists():
        missing.add(CNI_PACKAGE)
    if missing:
        raise MachineError(f"missing: apt-get install --no-install-recommends {' '.join(sorted(missing))}")
    if list(CGROUPS.glob("*/kubepods")):
        raise MachineError("there are cgroups of Kubernetes: this machine is a node of another cluster")
    for link in (BRIDGE, POD_BRIDGE):
        if (LINKS / link).exists():
            raise MachineError(
                f"the interface {link} is there already: end the other node with `make node-down`"
            )
    if any(_OURS.search(line) for family in FAMILIES for table in TABLES for line in _rules(family, table)):
        raise MachineError(
            "there are iptables rules of Kubernetes: this machine is a node of another cluster"
        )


@dataclass(frozen=True, slots=True)
class Before:
    """What was on the machine before a node was started, and is to be so again."""

    namespaces: list[str]
    settings: dict[str, str]
    folders: list[str]

    @classmethod
    def look(cls) -> Self:
        """See what is there now."""
        folders = [folder for folder in FOLDERS if Path(folder).exists()]
        there = (name for name in SETTINGS if (SYSTEM_SETTINGS / name).exists())
        settings = {name: (SYSTEM_SETTINGS / name).read_text() for name in there}
        return cls(_namespaces(), settings, folders)

    def restore(self) -> None:
        """Take back what a node has changed, once nothing of it runs: links, rules, cgroups, folders."""
        for link in (*_ports(POD_BRIDGE), POD_BRIDGE, BRIDGE):
            _take_away((LINKS / link).exists, "ip", "link", "del", link)
        for namespace in set(_namespaces()) - set(self.namespaces):
            _take_away(partial(_has_namespace, namespace), "ip", "netns", "del", namespace)
        for family in FAMILIES:
            for table in TABLES:
                _remove_rules(family, table)
        for group in sorted(CGROUPS.glob("*/kubepods/**/"), key=lambda path: -len(path.parts)):
            with suppress(OSError):
                group.rmdir()
        for folder in set(FOLDERS) - set(self.folders):
            shutil.rmtree(folder, ignore_errors=True)
        for name, value in self.settings.items():
            if (SYSTEM_SETTINGS / name).read_text() != value:
                (SYSTEM_SETTINGS / name).write_text(value)


def make_bridge() -> None:
    """Make the bridge with the API server's address, and let packets pass between it and the pods."""
    (SYSTEM_SETTINGS / FORWARDING).write_text("1")
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "addr", "add", f"{ADDRESS}/32", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def run(
    *command: str | Path,
    input: str | None = None,  # noqa: A002 - as subprocess names it
    environment: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Run a program and return what it prints. Raises `MachineError` with what it said."""
    result = subprocess.run(
        command,
        input=input,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": SYSTEM_PATH, **environment},
    )
    if result.returncode:
        raise MachineError(f"{' '.join(map(str, command))}: {result.stderr.strip()}")
    return result.stdout


def kill_containers() -> None:
    """End every process in a cgroup of a pod, wherever the kubelet has put them."""
    for pid in _processes("*/kubepods/**/cgroup.procs"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def processes_of(pod_uid: str) -> list[int]:
    """The processes in the containers of a pod, its sandbox included, on a node of this machine."""
    names = f"pod{pod_uid}/", f"pod{pod_uid.replace('-', '_')}.slice/"  # by cgroupfs, by systemd
    found = []
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        with suppress(OSError):  # it is gone
            if any(name in path.read_text() for name in names):
                found.append(int(path.parent.name))
    return found


def join_memory_of(pid: int, other: int) -> None:
    """Have what another process takes from now on count in the memory of this one's container."""
    groups = dict(line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    group = Path("memory", groups["memory"].lstrip("/")) if "memory" in groups else groups[""].lstrip("/")
    (CGROUPS / group / "cgroup.procs").write_text(str(other))


def end(programs: Collection[str], folder: Path) -> None:
    """End the processes of some programs that have a folder in their command.

    Raises `MachineError` where they stay.
    """
    deadline = time.monotonic() + END_SECONDS
    while pids := [pid for pid, words in commands() if _is_of(words, programs, str(folder))]:
        if time.monotonic() > deadline:
            raise MachineError(f"still running after {END_SECONDS:.0f} s: {pids}; end them by hand")
        for pid in pids:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def unmount(folder: Path) -> None:
    """Unmount everything below a folder, the innermost first."""
    for path in reversed([each for each in _mounts() if each.is_relative_to(folder)]):
        _take_away(partial(_is_mounted, path), "umount", "--lazy", path)


def _take_away(is_there: Callable[[], bool], *command: str | Path) -> None:
    """Run what takes something away, if it is there. The node itself may do so at the same moment.

    Raises `MachineError` where it stays.
    """
    if is_there():
        try:
            run(*command)
        except MachineError:
            if is_there():
                raise


def _has_namespace(name: str) -> bool:
    return name in _namespaces()


def _is_mounted(path: Path) -> bool:
    return path in _mounts()


def _mounts() -> list[Path]:
    """Where something is mounted, in the order in which it was."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [Path(line.split()[1].encode().decode("unicode_escape")) for line in lines]


def _processes(files: str) -> Iterator[int]:
    """The processes that some files of the cgroups name."""
    for file in CGROUPS.glob(files):
        yield from map(int, file.read_text().split())


def commands() -> Iterator[tuple[int, list[str]]]:
    """The words of each process's command; a process that has ended has none."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it is gone
            yield int(path.parent.name), path.read_bytes().decode(errors="replace").split("\0")


def _is_of(words: Sequence[str], programs: Collection[str], folder: str) -> bool:
    return Path(words[0]).name in programs and any(folder in word for word in words)


def _ports(bridge: str) -> list[str]:
    """The links of pods to a bridge; they would go some time after their network namespaces."""
    return [path.name for path in (LINKS / bridge / "brif").glob("*")]


def _namespaces() -> list[str]:
    return [line.split()[0] for line in run("ip", "netns", "list").splitlines() if line]


def _rules(family: str, table: str) -> list[str]:
    return run(f"{family}-save", "-t", table).splitlines()


def _remove_rules(family: str, table: str) -> None:
    """Leave out the chains of Kubernetes and of the CNI plugins, and what refers to them."""
    rules = _rules(family, table)
    if any(_OURS.search(line) for line in rules):
        kept = [line for line in rules if not _OURS.search(line)]
        run(f"{family}-restore", "-T", table, input="\n".join((*kept, "")))
