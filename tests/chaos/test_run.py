"""Faults that meet more than one thing at once."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from tests.chaos.test_network import EVENT, World, world
from tools.chaos.history import Happened
from tools.chaos.replicas import Pair, Replica
from tools.chaos.run import Recorder, Run
from tools.chaos.timeline import STANDBY, Fault

pytestmark = pytest.mark.anyio

UNSEEN = Fault(0, "taken over unseen", STANDBY, 0, "pods")
LEADER = 1000


class Stand:
    """A leader whose line has no watches, and a standby that watches pods."""

    def __init__(self, folder: Path, here: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recorder = Recorder(folder / "history.jsonl")
        self.signals: list[tuple[int, int]] = []
        monkeypatch.setattr(os, "kill", lambda *what: self.signals.append(what))
        leading = cast(
            "Any",
            SimpleNamespace(renewed_at=1.0, watches=lambda _: [], thaw=lambda _: None, disarm=lambda: None),
        )
        self.replicas = [
            Replica(name, line, [], folder, 0, self.recorder.take, process=process(pid))
            for name, line, pid in (("a", leading, LEADER), ("b", here.line, LEADER + 1))
        ]

    async def meet(self, fault: Fault) -> None:
        async with anyio.create_task_group() as tasks:
            none: Any = None
            await Run(none, Path(), none, self.recorder, Pair(self.replicas), tasks).take_over_unseen(fault)


def process(pid: int) -> Any:
    return SimpleNamespace(running=True, pid=pid)


async def test_the_leader_stops_while_the_standby_sees_no_pods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as here, here.watching() as read:
        here.server.send(EVENT)
        await read.readline()
        stand = Stand(tmp_path, here, monkeypatch)
        await stand.meet(UNSEEN)
        assert [watch.frozen for watch in here.line.watches("pods")] == [True]
        assert stand.signals == [(LEADER, signal.SIGSTOP), (LEADER, signal.SIGCONT)]
        happened = [each for each in stand.recorder.records if isinstance(each, Happened)]
        assert [(each.kind, each.replica) for each in happened] == [(UNSEEN.kind, "b")]


async def test_a_standby_that_watches_nothing_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as here:
        monkeypatch.setattr("tools.chaos.run.WATCHES_SECONDS", 0)
        stand = Stand(tmp_path, here, monkeypatch)
        await stand.meet(UNSEEN)
        assert (stand.signals, stand.recorder.records) == ([], [])


async def test_the_api_server_is_restarted_once_at_a_time(tmp_path: Path) -> None:
    began, under_way, most = anyio.Event(), [0], [0]

    def restart_apiserver() -> None:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        anyio.from_thread.run_sync(began.set)
        anyio.from_thread.run(anyio.lowlevel.checkpoint)
        under_way[0] -= 1

    recorder, none = Recorder(tmp_path / "history.jsonl"), cast("Any", None)
    cluster: Any = SimpleNamespace(restart_apiserver=restart_apiserver)
    async with anyio.create_task_group() as tasks:
        run = Run(none, Path(), cluster, recorder, none, tasks)
        for _ in range(3):
            run._inflict(Fault(0, "API server restarted", STANDBY, 0, ""))
    assert began.is_set()
    assert most == [1]
    assert len(recorder.records) == 3
