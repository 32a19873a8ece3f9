"""Events: their fields, series, and that they never hold anything up."""

import json
from collections.abc import AsyncIterator
from random import Random

import anyio
import pytest
from aiohttp import web
from msgspec.structs import replace

from pallet.api.core import ObjectReference
from pallet.api.pod import pod_reference
from pallet.bounded_cache import footprint
from pallet.client.client import Client
from pallet.scheduler import recorder as recorder_module
from pallet.scheduler.recorder import EventRecorder
from tests.builders import make_pod
from tests.faults.virtual_time import VIRTUAL_TIME
from tools.faults.proxy import Exchange, FaultProxy, answer

pytestmark = pytest.mark.anyio

EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"
ALWAYS = float("inf")


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


class Scene:
    """A recorder that runs once told to, and what the API server heard of it."""

    def __init__(self, server: FaultProxy, client: Client) -> None:
        self.server = server
        self.recorder = EventRecorder(client, "host", Random(0))  # noqa: S311  # names only
        self.heard: list[dict[str, object]] = []
        self._changed = anyio.Event()

    async def take(self, exchange: Exchange) -> web.StreamResponse:
        self.heard.append(json.loads(exchange.body))
        self._changed.set()
        return web.json_response({"kind": "Event"}, status=201)

    def serve(self) -> None:
        for method in ("POST", "PATCH"):
            self.server.on(method, EVENTS, self.take, times=ALWAYS)

    def say(self, note: str = "why", *, version: int = 1, reason: str = "FailedScheduling") -> None:
        self.recorder.event(
            pod_reference(make_pod("a", version=version)),
            "default-scheduler",
            kind="Warning",
            reason=reason,
            action="Scheduling",
            note=note,
        )

    async def until(self, count: int) -> None:
        while len(self.heard) < count:
            self._changed = anyio.Event()
            await self._changed.wait()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with FaultProxy.start() as server, Client.connect(master=server.url, qps=0) as client:
        scene = Scene(server, client)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scene.recorder.run)
            yield scene
            tasks.cancel_scope.cancel()


async def test_an_event_carries_what_kube_schedulers_do(scene: Scene) -> None:
    scene.serve()
    scene.say()
    await scene.until(1)
    (event,) = scene.heard
    metadata = event.pop("metadata")
    assert isinstance(metadata, dict)
    assert metadata["namespace"] == "default"
    assert metadata["name"].startswith("a.")
    assert str(event.pop("eventTime")).endswith("Z")
    assert event == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "reportingController": "default-scheduler",
        "reportingInstance": "default-scheduler-host",
        "action": "Scheduling",
        "reason": "FailedScheduling",
        "regarding": {
            "kind": "Pod",
            "namespace": "default",
            "name": "a",
            "uid": "uid-a",
            "apiVersion": "v1",
            "resourceVersion": "1",
        },
        "note": "why",
        "type": "Warning",
    }


@pytest.mark.parametrize(
    ("note", "written"),
    [
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, "x" * 1020 + " ..."),
        ("ä" * 513, "ä" * 510 + " ..."),
        ("x" + "ä" * 600, "x" + "ä" * 509 + " ..."),
    ],
)
async def test_a_long_note_is_cut_to_what_the_api_takes(scene: Scene, note: str, written: str) -> None:
    scene.serve()
    scene.say(note)
    await scene.until(1)
    assert scene.heard[0]["note"] == written
    assert len(written.encode()) <= 1024


async def test_the_event_of_a_long_name_still_has_a_valid_one(scene: Scene) -> None:
    scene.serve()
    name = "a" * 240 + "." + "b" * 12
    regarding = ObjectReference("Pod", "default", name, "uid", "v1")
    scene.recorder.event(regarding, "c" * 200, kind="Normal", reason="x", action="y", note="z")
    await scene.until(1)
    metadata = scene.heard[0]["metadata"]
    assert isinstance(metadata, dict)
    assert len(metadata["name"]) <= 253
    assert ".." not in metadata["name"]
    assert "-." not in metadata["name"]
    assert len(str(scene.heard[0]["reportingInstance"])) <= 128


async def test_a_repetition_makes_a_series_and_more_are_counted_now_and_then(scene: Scene) -> None:
    scene.serve()
    scene.say()
    await scene.until(1)
    scene.say()
    await scene.until(2)
    for _ in range(5):
        scene.say()
    await anyio.sleep(60)
    assert len(scene.heard) == 2
    await scene.until(3)
    counts = [each["series"]["count"] for each in scene.heard[1:]]  # type: ignore[index]  # of a document
    assert counts == [2, 7]


async def test_a_series_ends_when_nothing_more_happens(scene: Scene) -> None:
    scene.serve()
    scene.say()
    await anyio.sleep(2 * recorder_module.SERIES_SECONDS + 1)
    scene.say()
    await scene.until(2)
    assert "series" not in scene.heard[1]
    assert not scene.recorder._pending


@pytest.mark.parametrize("change", ["version", "reason"])
async def test_what_differs_is_an_event_of_its_own(scene: Scene, change: str) -> None:
    """A pod's version changes with its condition, so another refusal is always told."""
    scene.serve()
    scene.say("first")
    if change == "version":
        scene.say("second", version=2)
    else:
        scene.say("second", reason="Other")
    await scene.until(2)
    assert sorted(str(each["note"]) for each in scene.heard) == ["first", "second"]


async def test_the_repetition_of_an_event_that_was_lost_is_written_anew(scene: Scene) -> None:
    scene.server.on("POST", EVENTS, answer(403))
    scene.serve()
    scene.say()
    await scene.server.wait_for("POST")
    await anyio.sleep(1)
    scene.say()
    await scene.until(1)
    assert "series" not in scene.heard[0]


async def test_a_series_whose_event_is_gone_begins_anew(scene: Scene) -> None:
    scene.server.on("PATCH", EVENTS, answer(404))
    scene.serve()
    scene.say()
    await scene.until(1)
    scene.say()
    await scene.until(2)
    assert scene.heard[1]["series"]["count"] == 2  # type: ignore[index]  # of a document


async def test_too_many_are_dropped_and_nothing_waits() -> None:
    async with Client.connect(master="http://127.0.0.1:9") as client:
        recorder = EventRecorder(client, "host", Random(0))  # noqa: S311  # names only
        reference = pod_reference(make_pod("a"))
        for number in range(recorder_module.MAX_PENDING + 7):
            regarding = replace(reference, uid=str(number))
            recorder.event(regarding, "s", kind="Normal", reason="x", action="y", note="z")
        assert recorder.dropped == 7
        assert len(recorder._series) > 1000
        assert recorder.bytes <= recorder.limit
        held = footprint(list(recorder._series.items()), 10**9)
        events = footprint([series.event for series in recorder._series.values()], 10**9)
        assert held + events < recorder.bytes < 2 * (held + events)
