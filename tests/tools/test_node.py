"""What a real node is built from, and what it takes back on the machine, without starting one."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tools.controlplane import build
from tools.node import machine, programs

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


def test_kubelet_and_kube_proxy_are_of_the_control_plane_s_version() -> None:
    required = re.findall(
        r"^\s*k8s\.io/kubernetes (\S+)", (programs.KUBERNETES / "go.mod").read_text(), re.MULTILINE
    )
    assert required == [build.KUBERNETES_VERSION]


@pytest.mark.parametrize("program", programs.PROGRAMS, ids=lambda program: program.name)
def test_the_module_of_a_program_pins_it(program: build.Program) -> None:
    assert re.search(
        rf"^(tool)?\s*{re.escape(program.package)}$", (program.module / "go.mod").read_text(), re.MULTILINE
    )


def test_only_rules_of_kubernetes_and_of_cni_plugins_are_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    restored: list[str] = []

    def run(*command: str | Path, input: str | None = None) -> str:  # noqa: A002 - as subprocess names it
        if command[0] == "iptables-restore":
            restored.append(input or "")
        return RULES if command[0] == "iptables-save" else ""

    monkeypatch.setattr(machine, "run", run)
    machine._remove_rules("nat")
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
    machine._remove_rules("nat")
    assert commands == ["iptables-save"]


def test_a_program_that_fails_is_named_with_what_it_said() -> None:
    with pytest.raises(machine.MachineError, match=r"^ls /no/such/folder: .*No such file"):
        machine.run("ls", "/no/such/folder")


def test_what_is_missing_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name, path: None if name == "runc" else name)
    monkeypatch.setattr(machine, "CNI_PLUGINS", Path("/no/such/folder"))
    with pytest.raises(machine.MachineError) as raised:
        machine.check()
    assert str(raised.value) == (
        "missing: apt-get install --no-install-recommends containernetworking-plugins runc"
    )


def test_only_processes_of_the_program_with_the_argument_are_ended() -> None:
    program = Path("/bin/sleep")
    with (
        subprocess.Popen([program, "100", "0.25"]) as ours,
        subprocess.Popen([program, "100", "0.75"]) as stranger,
    ):
        machine.kill("sleep", "0.25")
        assert ours.wait() == -signal.SIGKILL
        assert stranger.poll() is None
        stranger.kill()
