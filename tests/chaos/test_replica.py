"""Fault points: what is ordered happens at its point, and only there."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from pallet.client.client import Client
from pallet.scheduler.binding import BindingCycle
from tools.chaos import replica
from tools.chaos.replica import AWAITS, POINTS, Points, written

BINDING = "/api/v1/namespaces/ns/pods/p/binding"
SETS = "/apis/planner.ciena.io/v1alpha1/namespaces/ns"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", BINDING, "binding"),
        ("PATCH", "/api/v1/namespaces/ns/pods/p/status", "pod status"),
        ("POST", f"{SETS}/scheduleplans", "plan"),
        ("DELETE", f"{SETS}/scheduleplans/p", "plan"),
        ("PATCH", f"{SETS}/scheduletriggers/t", "trigger"),
        ("PATCH", f"{SETS}/scheduletriggers/t/status", "trigger status"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l", "lease"),
        ("POST", "/apis/events.k8s.io/v1/namespaces/ns/events", "event"),
        ("PATCH", "/api/v1/persistentvolumes/v", "volume"),
        ("GET", "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l", None),
        ("DELETE", "/api/v1/namespaces/ns/pods/p", None),
    ],
)
def test_writes_have_names(method: str, path: str, expected: str | None) -> None:
    assert written(method, path) == expected


class EndedError(Exception):
    """Stands for the end of the process."""


class Probe:
    """Orders, what was reached, and a method with points around it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.control = folder / "a.sock"
        self.reports = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.reports.bind(f"{self.control}.reached")
        self.reports.settimeout(10)
        self.points = Points("a-1", self.control)
        self.signals: list[int] = []
        monkeypatch.setattr(os, "kill", self._kill)

    def _kill(self, pid: int, number: int) -> None:
        assert pid == os.getpid()
        self.signals.append(number)
        if number == signal.SIGKILL:
            raise EndedError

    async def request(self, *args: object, **kwargs: object) -> object:
        self.asked = args, kwargs
        return "answer"

    def reached(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.reports.recv(4096))
        return found


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Probe]:
    probe = Probe(tmp_path, monkeypatch)
    yield probe
    probe.points.close()
    probe.reports.close()


@pytest.mark.anyio
async def test_a_write_passes_its_points_unchanged(probe: Probe) -> None:
    request = replica._writing(probe.request, probe.points)
    answer: Any = await request(cast("Client", None), "POST", BINDING, 1, body=b"2")
    assert answer == "answer"
    assert probe.asked == ((None, "POST", BINDING, 1), {"body": b"2"})
    assert probe.signals == []


@pytest.mark.anyio
@pytest.mark.parametrize(("point", "asked"), [("before binding", 0), ("after binding", 1)])
async def test_a_process_is_killed_at_a_point(probe: Probe, point: str, asked: int) -> None:
    probe.points.order(replica.Order("kill", point))
    with pytest.raises(EndedError):
        await replica._writing(probe.request, probe.points)(cast("Client", None), "POST", BINDING)
    assert hasattr(probe, "asked") == asked
    assert probe.reached() == {"agent": "a-1", "do": "kill", "point": point}


@pytest.mark.anyio
async def test_a_process_is_stopped_once_when_the_point_was_passed_often_enough(probe: Probe) -> None:
    probe.points.order(replica.Order("stop", "before bind", skip=2))
    bind = replica._awaiting(probe.request, "bind", probe.points)
    for _ in range(5):
        await bind()
    assert probe.signals == [signal.SIGSTOP]


def test_orders_can_be_taken_back(probe: Probe) -> None:
    probe.points.order(replica.Order("kill", POINTS[0]))
    probe.points.order(replica.Order("disarm"))
    probe.points.reach(POINTS[0])
    assert probe.signals == []


def test_the_names_of_pallet_s_methods_are_right() -> None:
    assert all(callable(getattr(BindingCycle, name)) for name in AWAITS)
    assert callable(Client.request)


def test_an_order_reaches_a_process_of_its_own(tmp_path: Path) -> None:
    code = """
import sys, pathlib
from tools.chaos.replica import Points
points = Points("a-1", pathlib.Path(sys.argv[1]))
print("ready", flush=True)
while True:
    points.reach("before bind")
"""
    control = tmp_path / "a.sock"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reports,
        subprocess.Popen([sys.executable, "-c", code, str(control)], stdout=subprocess.PIPE) as process,
    ):
        reports.bind(f"{control}.reached")
        reports.settimeout(10)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        reports.sendto(b'{"do": "kill", "point": "before bind"}', str(control))
        assert process.wait(10) == -signal.SIGKILL
        assert json.loads(reports.recv(4096))["point"] == "before bind"
