"""What a real node leaves on the machine: nothing, however its processes have ended.

No other node may be there: these tests come first, before the one that the other scenes share.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.workload import eventually
from tools.node import machine, programs
from tools.node.record import Record

pytestmark = pytest.mark.time_limit(300)

COMMAND = (sys.executable, "-m", "tools.node")
SETTINGS = ("kernel", "vm", "net/ipv4", "net/netfilter")
CHANGING = re.compile("/neigh/|/conf/(?!all|default)|ns_last_pid|/random/")
OURS = re.compile("cni|containerd|kube|netns|nri")
PROGRAMS = {program.name for program in programs.PROGRAMS} | {"pause"}

State = dict[str, set[str]]


def look() -> State:
    """What there is on the machine of all that a node uses."""
    return {
        "mounts": set(Path("/proc/self/mounts").read_text().splitlines()),
        "links": {path.name for path in Path("/sys/class/net").iterdir()},
        "network namespaces": set(machine.run("ip", "netns", "list").splitlines()),
        "rules": rules(),
        "settings": settings(),
        "cgroups": {str(path) for path in machine.CGROUPS.glob("**/")},
        "processes": {" ".join(words) for _, words in machine.commands() if Path(words[0]).name in PROGRAMS},
        "folders": {
            str(path)
            for parent in ("/run", "/var/lib", "/etc", "/opt")
            for path in Path(parent).glob("*")
            if OURS.search(path.name)
        },
    }


def changes(before: State) -> State:
    """What is there now and was not before, or the other way round."""
    now = look()
    return {what: now[what] ^ before[what] for what in before if now[what] != before[what]}


def rules() -> set[str]:
    """The chains and rules of iptables, without their counters."""
    return {
        f"{family} {table} {line.partition(' [')[0]}"
        for family in machine.FAMILIES
        for table in machine.TABLES
        for line in machine.run(f"{family}-save", "-t", table).splitlines()
        if not line.startswith("#")
    }


def settings() -> set[str]:
    """The system's settings that can be written."""
    found = set()
    for part in SETTINGS:
        for file in (machine.SYSTEM_SETTINGS / part).rglob("*"):
            if file.is_file() and file.stat().st_mode & 0o200 and not CHANGING.search(str(file)):
                with suppress(OSError):  # this one can only be written
                    found.add(f"{file} = {file.read_bytes()!r}")
    return found


def end_it() -> None:
    """End the node; its folder goes, and what has that in its arguments."""
    there = Record.load()
    assert there is not None
    assert down() == "real node ended\n"
    assert not Path(there.directory).exists()
    assert not [words for _, words in machine.commands() if there.directory in "".join(words)]


def down() -> str:
    return subprocess.run([*COMMAND, "down"], stdout=subprocess.PIPE, text=True, check=True).stdout


def start_and_kill(when: Callable[[], object]) -> None:
    """Kill the process that starts a node, in the middle of it."""
    with subprocess.Popen([*COMMAND, "up"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as starting:
        eventually("the moment", lambda: when() or starting.poll() is not None, patience=60)
        assert starting.poll() is None
        starting.kill()


def has_link(name: str) -> bool:
    return Path("/sys/class/net", name).exists()


@pytest.fixture(autouse=True)
def before() -> State:
    """What there was before the test."""
    machine.check()
    assert Record.load() is None
    return look()


@pytest.mark.parametrize("link", [machine.BRIDGE, machine.POD_BRIDGE])
def test_a_start_that_was_killed_is_taken_back(before: State, link: str) -> None:
    """The first bridge is made at the beginning, the second with the first pod."""
    start_and_kill(lambda: has_link(link))
    assert changes(before)
    end_it()
    assert not changes(before)
    assert down() == "no real node was running\n"


def test_a_node_whose_processes_were_killed_is_taken_back(before: State) -> None:
    subprocess.run([*COMMAND, "up", "--fake=2"], check=True, capture_output=True)
    again = subprocess.run([*COMMAND, "up"], check=False, capture_output=True, text=True)
    assert (
        again.stderr
        == "error: a real node was started already: `kubeconfig` tells its KUBECONFIG, `down` ends it\n"
    )
    there = Record.load()
    assert there is not None
    machine.end({"containerd", "kubelet", "kube-apiserver"}, Path(there.directory))
    end_it()
    assert not changes(before)


def test_a_node_that_runs_is_taken_back(before: State) -> None:
    subprocess.run([*COMMAND, "up"], check=True, capture_output=True)
    end_it()
    assert not changes(before)
