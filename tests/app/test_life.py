"""How the process is put together, as far as it is about leading."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.abc
import pytest

from pallet.app import life
from pallet.client.client import Client
from pallet.config.load import default_configuration
from pallet.config.settings import Settings
from pallet.framework.instruments import Instruments
from pallet.framework.metrics import Metrics
from pallet.informers.factory import NotSyncedError
from pallet.leaderelection.fence import Fence

if TYPE_CHECKING:
    from pallet.app.graph import Graph
    from pallet.leaderelection import ElectionThread

pytestmark = pytest.mark.anyio

NOWHERE = "http://127.0.0.1:1"


class PutTogetherError(Exception):
    """The parts are there, and nothing of them runs yet."""


def settings(*, leader_elect: bool) -> Settings:
    return Settings(default_configuration(leader_elect=leader_elect), "", master=NOWHERE)


@pytest.mark.parametrize("elects", [True, False])
async def test_work_events_and_extenders_ask_the_fence(
    monkeypatch: pytest.MonkeyPatch, *, elects: bool
) -> None:
    fences: list[Callable[[], float] | None] = []
    clients: list[Client] = []

    class Graph:
        def __init__(self, _: Settings, client: Client, events: Client, __: object) -> None:
            clients.extend((client, events))
            self.metrics = Metrics(Instruments())
            self.client_metrics = None

        def needed_rights(self, _: Settings) -> Iterable[object]:
            fences.extend(client.fence for client in clients)
            raise PutTogetherError

    @asynccontextmanager
    async def extenders_of(_: object, fence: Callable[[], float] | None) -> AsyncIterator[tuple[()]]:
        fences.append(fence)
        yield ()

    monkeypatch.setattr(life, "Graph", Graph)
    monkeypatch.setattr(life, "extenders_of", extenders_of)
    with pytest.raises(PutTogetherError):
        await life.run(settings(leader_elect=elects))
    assert [fence and fence() for fence in fences] == [0.0 if elects else None] * 3  # the lease is not won


async def test_the_lease_is_given_up_before_what_serves_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers may take their time."""
    ended: list[str] = []

    class Graph:
        def __init__(self, *_: object) -> None:
            self.metrics = Metrics(Instruments())
            self.client_metrics = None
            self.view = SimpleNamespace(beat=lambda: None)
            self.recorder = None

        def needed_rights(self, _: Settings) -> frozenset[object]:
            return frozenset()

    class Election:
        elector = SimpleNamespace(fence=Fence())

        def abdicate(self) -> None: ...

        async def release(self) -> None:
            ended.append("lease")

    @asynccontextmanager
    async def campaign(_: Settings) -> AsyncIterator[Election]:
        yield Election()

    async def serve(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("service")

    async def start(*parts: object) -> None:
        tasks, services = cast("tuple[anyio.abc.TaskGroup, anyio.abc.TaskGroup]", parts[-2:])
        await services.start(serve)
        tasks.cancel_scope.cancel()  # as on SIGTERM

    for name, part in (("Graph", Graph), ("_campaign", campaign), ("_start", start)):
        monkeypatch.setattr(life, name, part)
    assert await life.run(replace(settings(leader_elect=True), secure_port=0)) == 0
    assert ended == ["lease", "service"]


@pytest.mark.parametrize("elects", [True, False])
def test_a_loop_that_is_dead_for_the_renew_deadline_ends_a_leader_alone(
    monkeypatch: pytest.MonkeyPatch, *, elects: bool
) -> None:
    made: dict[str, Any] = {}

    class Watchdog:
        def __init__(self, **how: Any) -> None:
            made.update(how)

        def start(self) -> None: ...

        def stop(self) -> None: ...

    class Election:
        def abdicate(self) -> None:
            made["abdicated"] = True

    monkeypatch.setattr(life, "LoopWatchdog", Watchdog)
    election = cast("ElectionThread", Election()) if elects else None
    configured = settings(leader_elect=elects)
    with life._watchdog(configured, election):
        made["at_death"]()
    deadline = configured.configuration.leader_election.renew_deadline
    assert made["dead_after"] == (deadline if elects else float("inf"))
    assert ("abdicated" in made) is elects


async def test_a_process_ends_that_cannot_learn_what_the_api_server_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(life, "SYNC_SECONDS", 0.0)
    graph = cast("Graph", SimpleNamespace(discover=anyio.sleep_forever))
    with pytest.raises(NotSyncedError, match="what it serves"):
        await life._discover(graph)
