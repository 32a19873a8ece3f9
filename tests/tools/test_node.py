"""What a real node is built from, and what it takes back on the machine, without starting one."""

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools.conformance import suite
from tools.controlplane import build
from tools.node import images, machine, programs
from tools.node.record import Record

RULES = """*nat
:PREROUTING ACCEPT [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:DOCKER - [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A KUBE-SERVICES -d 10.0.0.10/32 -j ACCEPT
COMMIT
"""


@pytest.mark.parametrize("release", build.RELEASES)
@pytest.mark.parametrize(
    "program",
    [*build.PROGRAMS, *programs.PROGRAMS, *programs.METRICS_PROGRAMS, suite.PROGRAM],
    ids=lambda program: program.name,
)
def test_the_module_of_a_program_pins_it(
    program: build.Program, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_VERSION", release)
    assert re.search(
        rf"^(tool)?\s*{re.escape(program.package)}$", (program.folder / "go.mod").read_text(), re.MULTILINE
    )


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("busybox:1.37", "docker.io/library/busybox:1.37"),
        ("prgcont/gordon:v1.0", "docker.io/prgcont/gordon:v1.0"),
        ("docker.io/library/busybox:1.37", "docker.io/library/busybox:1.37"),
        ("registry.example.com/busybox", "registry.example.com/busybox"),
        ("registry:5000/busybox", "registry:5000/busybox"),
        ("localhost/busybox:1", "localhost/busybox:1"),
    ],
)
def test_an_image_has_the_name_that_the_kubelet_looks_for(name: str, full: str) -> None:
    assert images.full_name(name) == full


def test_what_only_measures_is_built_apart_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    built: dict[str, set[Path]] = {}

    def build_into(folder: Path, wanted: Sequence[build.Program]) -> Path:
        for program in wanted:
            built.setdefault(program.name, set()).add(folder)
        return folder

    monkeypatch.setattr(build, "build_into", build_into)
    assert programs.find("kubelet") == programs.folder() / "kubelet"
    assert built.keys() == {program.name for program in programs.PROGRAMS}
    assert programs.find("prometheus").parent != programs.folder()
    assert built.keys() == {program.name for program in (*programs.PROGRAMS, *programs.METRICS_PROGRAMS)}
    assert all(len(folders) == 1 for folders in built.values())


def test_only_rules_of_kubernetes_and_of_cni_plugins_are_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    restored: list[str] = []

    def run(*command: str | Path, input: str | None = None) -> str:  # noqa: A002 - as subprocess names it
        if command[0] == "iptables-restore":
            restored.append(input or "")
        return RULES if command[0] == "iptables-save" else ""

    monkeypatch.setattr(machine, "run", run)
    machine._remove_rules("iptables", "nat")
    [text] = restored
    assert "KUBE" not in text
    assert "CNI" not in text
    assert text.splitlines() == [
        line for line in RULES.splitlines() if "KUBE" not in line and "CNI" not in line
    ]


def test_rules_of_others_alone_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []

    def run(*command: str | Path) -> str:
        commands.append(str(command[0]))
        return ":DOCKER - [0:0]\n"

    monkeypatch.setattr(machine, "run", run)
    machine._remove_rules("iptables", "nat")
    assert commands == ["iptables-save"]


def test_a_program_that_fails_is_named_with_what_it_said() -> None:
    with pytest.raises(machine.MachineError, match=r"^ls /no/such/folder: .*No such file"):
        machine.run("ls", "/no/such/folder")


@pytest.mark.parametrize("stays", [False, True])
def test_a_link_that_goes_at_the_same_moment_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, stays: bool
) -> None:
    link = tmp_path / machine.BRIDGE
    link.touch()

    def run(*command: str | Path) -> str:
        if command[:3] == ("ip", "link", "del") and not stays:
            link.unlink()
        if command[:3] == ("ip", "link", "del"):
            raise machine.MachineError("Cannot find device")
        return ""

    monkeypatch.setattr(machine, "run", run)
    monkeypatch.setattr(machine, "LINKS", tmp_path)
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    before = machine.Before([], {}, list(machine.FOLDERS))
    if stays:
        with pytest.raises(machine.MachineError, match="Cannot find device"):
            before.restore()
    else:
        before.restore()


def test_what_is_missing_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name, path: None if name == "runc" else name)
    monkeypatch.setattr(machine, "CNI_PLUGINS", Path("/no/such/folder"))
    with pytest.raises(machine.MachineError) as raised:
        machine.check()
    assert str(raised.value) == (
        "missing: apt-get install --no-install-recommends containernetworking-plugins runc"
    )


def test_only_the_named_programs_that_have_the_folder_in_their_arguments_are_ended(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    wait = ["/bin/sh", "-c", "read line"]
    with (
        subprocess.Popen([*wait, f"--address={ours}/socket"], stdin=subprocess.PIPE) as one,
        subprocess.Popen([*wait, f"--address={other}/socket"], stdin=subprocess.PIPE) as of_another_folder,
        subprocess.Popen(["/usr/bin/tail", "-f", __file__, "--", ours], stdout=subprocess.DEVNULL) as another,
    ):
        reaper = threading.Thread(target=one.wait)  # until then it counts as there
        reaper.start()
        machine.end({"sh"}, ours)
        reaper.join()
        assert one.returncode == -signal.SIGKILL
        assert of_another_folder.poll() is None
        assert another.poll() is None
        of_another_folder.kill()
        another.kill()


def test_a_node_that_was_started_is_remembered_until_it_is_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(machine.Before, "restore", lambda _: None)
    monkeypatch.setattr(machine, "kill_containers", lambda: None)
    assert Record.load() is None
    folder = tmp_path / "node"
    folder.mkdir()
    record = Record(str(folder), 6443, machine.Before(["ns"], {"vm/panic_on_oom": "0\n"}, []))
    record.write()
    assert Record.load() == record
    record.undo()
    assert Record.load() is None
    assert not folder.exists()
