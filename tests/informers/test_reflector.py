"""When the reflector tries again, against a scripted server in virtual time."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import anyio
import msgspec
import pytest
from aiohttp import web

from pallet.api.core import LEASES, Lease, LeaseSpec
from pallet.api.resource import Resource
from pallet.client import Backoff, Client
from pallet.informers import reflector
from pallet.informers.decoding import decode_event
from pallet.informers.informer import Handler, SharedInformer
from pallet.loop_budget import LoopBudget
from tests.budgets import UsedUpBudget
from tests.faults.virtual_time import VIRTUAL_TIME
from tools.faults.proxy import Exchange, Fault, FaultProxy, answer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


@asynccontextmanager
async def running(url: str, budget: LoopBudget | None = None) -> AsyncIterator[SharedInformer[Lease]]:
    """Run an informer with client-go's back-off, but without its jitter."""
    async with Client.connect(master=url, qps=0) as client, anyio.create_task_group() as tasks:
        informer = SharedInformer(client, LEASES, budget or LoopBudget(), backoff=Backoff(jitter=0.0))
        tasks.start_soon(informer.run)
        yield informer
        tasks.cancel_scope.cancel()


def timed(fault: Fault, times: list[float]) -> Fault:
    """Write down when a request comes in."""

    async def note(exchange: Exchange) -> Any:
        times.append(anyio.current_time())
        return await fault(exchange)

    return note


def gaps(times: list[float]) -> list[float]:
    return [round(after - before, 1) for before, after in pairwise(times)]


def event(kind: str, version: int, name: str = "", *, end: bool = False) -> bytes:
    """One line of a watch."""
    meta: dict[str, Any] = {"name": name, "uid": name, "resourceVersion": str(version)}
    if end:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    return json.dumps({"type": kind, "object": {"metadata": meta}}).encode() + b"\n"


def a_list(version: int, *names: str) -> bytes:
    """The lines of a streamed list; the connection ends with it."""
    return b"".join(event("ADDED", version, name) for name in names) + event("BOOKMARK", version, end=True)


async def test_delays_double_to_half_a_minute() -> None:
    times: list[float] = []
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", timed(answer(503), times), times=100)
        async with running(server.url):
            await server.until(lambda: len(times) == 8)
    assert gaps(times) == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]


async def test_a_server_that_asks_for_more_time_gets_it() -> None:
    times: list[float] = []
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", timed(answer(429, headers={"Retry-After": "20"}), times), times=100)
        async with running(server.url):
            await server.until(lambda: len(times) == 3)
    assert gaps(times) == [20.0, 20.0]


async def test_a_watch_that_ends_at_once_is_not_repeated_at_once() -> None:
    times: list[float] = []
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", answer(200, a_list(5)), query={"sendInitialEvents": "true"})
        server.on(
            "GET",
            "/leases",
            answer(200, {"metadata": {"resourceVersion": "5"}}),
            times=100,
            query={"limit": "1"},
        )
        server.on("GET", "/leases", timed(answer(200, b""), times), times=100)
        async with running(server.url):
            await server.until(lambda: len(times) == 4)
    assert gaps(times) == [0.8, 1.6, 3.2]


async def test_a_list_that_breaks_off_is_not_believed() -> None:
    times: list[float] = []
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", timed(answer(200, event("ADDED", 5, "a")), times))
        server.on("GET", "/leases", timed(answer(200, a_list(6, "b")), times))
        server.on("GET", "/leases", answer(503), times=100)
        async with running(server.url) as informer:
            await informer.synced.wait()
            assert [lease.metadata.name for lease in informer.store.list()] == ["b"]
    assert gaps(times) == [0.8]


async def test_an_older_event_does_not_turn_the_watch_back() -> None:
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", answer(200, a_list(50, "a") + event("MODIFIED", 40, "a")))
        server.on("GET", "/leases", answer(503), times=100)
        async with running(server.url):
            await server.until(lambda: len(server.requests) == 2)
    assert "resourceVersion=50" in server.requests[1]


async def test_what_trickles_in_does_not_make_way_for_others() -> None:
    pauses: list[float] = []

    class WatchedBudget(LoopBudget):
        async def pause(self) -> None:
            pauses.append(anyio.current_time())
            await super().pause()

    async def trickle(exchange: Exchange) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(exchange.request)
        for line in (a_list(5, "a"), event("MODIFIED", 6, "a"), event("MODIFIED", 7, "a")):
            await response.write(line)
            await anyio.sleep(1.0)
        return response

    async with FaultProxy.start() as server:
        server.on("GET", "/leases", trickle)
        server.on("GET", "/leases", answer(503), times=100)
        async with running(server.url, WatchedBudget(anyio.current_time)) as informer:
            await server.until(lambda: len(server.requests) == 2)
            assert [each.metadata.resource_version for each in informer.store.list()] == ["7"]
    assert pauses == []


async def test_others_have_their_turn_before_and_after_each_object_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[str] = []

    def decode(resource: Resource[Lease], line: bytes) -> object:
        steps.append("decode")
        return decode_event(resource, line)

    monkeypatch.setattr(reflector, "decode_event", decode)
    changes = event("MODIFIED", 6, "a") + event("MODIFIED", 7, "a")
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", answer(200, a_list(5, "a")))
        server.on("GET", "/leases", answer(200, changes))
        server.on("GET", "/leases", answer(503), times=100)
        async with running(server.url, UsedUpBudget(lambda: steps.append("pause"))) as informer:
            informer.add_handler(
                Handler(on_update=lambda _, new: steps.append(new.metadata.resource_version))
            )
            await server.until(lambda: len(server.requests) == 3)
    turn = ["pause", "decode", "pause"]
    assert steps[-8:] == [*turn, "6", *turn, "7"]


async def test_an_older_list_is_believed_when_it_is_insisted_on() -> None:
    gone = json.dumps({"type": "ERROR", "object": {"code": 410}}).encode() + b"\n"
    names: Callable[[], list[str]] = lambda: [each.metadata.name for each in informer.store.list()]  # noqa: E731
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", answer(200, a_list(50, "new") + gone))
        server.on("GET", "/leases", answer(200, a_list(7, "old")), times=3)
        server.on("GET", "/leases", answer(200, a_list(8, "old")))
        server.on("GET", "/leases", answer(503), times=100)
        async with running(server.url) as informer:
            await server.until(lambda: len(server.requests) == 5)
            assert names() == ["new"]
            await server.until(lambda: len(server.requests) == 6)
            assert names() == ["old"]


async def test_a_server_that_comes_later_is_found(free_tcp_port: int) -> None:
    async with running(f"http://127.0.0.1:{free_tcp_port}") as informer:
        await anyio.sleep(60.0)
        assert "no connection to the API server" in str(informer.last_error)
        async with FaultProxy.start(port=free_tcp_port) as server:
            server.on("GET", "/leases", answer(200, a_list(5, "a")))
            server.on("GET", "/leases", answer(503), times=100)
            await informer.synced.wait()


@pytest.mark.parametrize(
    "garbled",
    [b"{}", b"[]", b"<html>", b'{"metadata":{},"items":[]}', b'{"metadata":{"resourceVersion":"9"},"it'],
)
async def test_a_list_that_cannot_be_read_deletes_nothing(garbled: bytes) -> None:
    page = {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "a", "uid": "a"}}]}
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", answer(400), query={"watch": "true"})
        server.on("GET", "/leases", answer(200, page), query={"limit": "500"})
        server.on("GET", "/leases", answer(410), query={"watch": "true"})
        server.on("GET", "/leases", answer(200, garbled), times=3)
        server.on("GET", "/leases", answer(503), times=100)
        async with running(server.url) as informer:
            await server.until(lambda: len(server.requests) == 8)
            assert [lease.metadata.name for lease in informer.store.list()] == ["a"]


@pytest.mark.parametrize(
    "garbled", [b"{}\n", b'{"type":"ADDED","object":{}}\n', b'{"type":"ADD\n', b"\xff\n"]
)
async def test_after_a_line_that_cannot_be_read_a_list_is_read(garbled: bytes) -> None:
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", answer(200, a_list(7, "a") + garbled))
        server.on("GET", "/leases", answer(200, a_list(8, "a", "b")))
        server.on("GET", "/leases", answer(503), times=100)
        async with running(server.url) as informer:
            await server.until(lambda: len(server.requests) == 3)
            assert sorted(lease.metadata.name for lease in informer.store.list()) == ["a", "b"]
    assert "sendInitialEvents" in server.requests[1]


def brings(*lines: bytes) -> Fault:
    """A watch that brings these lines, and then stays open in silence."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(exchange.request)
        await response.write(b"".join(lines))
        await anyio.sleep_forever()
        raise AssertionError("never")

    return fault


def at_version(version: int) -> Fault:
    return answer(200, {"metadata": {"resourceVersion": str(version)}, "items": []})


async def synced(informer: SharedInformer[Lease]) -> None:
    await informer.synced.wait()
    await anyio.wait_all_tasks_blocked()


def names(informer: SharedInformer[Lease]) -> list[str]:
    return sorted(lease.metadata.name for lease in informer.store.list())


@pytest.mark.parametrize("last", [event("BOOKMARK", 9), event("ADDED", 9, "c")], ids=["bookmark", "event"])
async def test_how_far_a_watch_is_is_learnt_from_a_short_one(last: bytes) -> None:
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", brings(a_list(7, "a")), query={"watch": "true"})
        server.on("GET", "/leases", at_version(9))
        server.on("GET", "/leases", brings(event("ADDED", 8, "b"), last))
        async with running(server.url) as informer:
            await synced(informer)
            with anyio.fail_after(1.0):
                await informer.catch_up()
            assert names(informer)[:2] == ["a", "b"]
    assert "limit=1" in server.requests[1]
    assert "timeoutSeconds=3" in server.requests[2]
    assert "resourceVersion=7" in server.requests[2]
    assert len(server.requests) == 3  # and no list


async def test_who_is_as_far_as_the_server_needs_no_watch() -> None:
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", brings(a_list(7, "a")), query={"watch": "true"})
        server.on("GET", "/leases", at_version(7))
        async with running(server.url) as informer:
            await synced(informer)
            await informer.catch_up()
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "probe",
    [brings(), answer(200, b""), answer(200, event("BOOKMARK", 8))],
    ids=["silent", "empty", "behind"],
)
async def test_where_a_short_watch_does_not_tell_a_list_is_read(probe: Fault) -> None:
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", brings(a_list(7, "a")), query={"watch": "true"})
        server.on("GET", "/leases", at_version(9))
        server.on("GET", "/leases", probe, query={"timeoutSeconds": "3"})
        server.on("GET", "/leases", at_version(9), query={"limit": "1"})
        server.on("GET", "/leases", brings(a_list(9, "b")), query={"sendInitialEvents": "true"})
        async with running(server.url) as informer:
            await synced(informer)
            with anyio.fail_after(10.0):
                await informer.catch_up()
            assert names(informer) == ["b"]


async def test_after_catching_up_the_watch_goes_on_as_ever() -> None:
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", brings(a_list(7, "a")), query={"watch": "true"})
        server.on("GET", "/leases", at_version(9))
        server.on("GET", "/leases", answer(200, event("BOOKMARK", 9)), query={"timeoutSeconds": "3"})
        server.on("GET", "/leases", brings(event("ADDED", 10, "b")))
        async with running(server.url) as informer:
            await synced(informer)
            await informer.catch_up()
            await server.until(lambda: len(server.requests) == 4)
            await anyio.wait_all_tasks_blocked()
            assert names(informer) == ["a", "b"]
    assert "resourceVersion=9" in server.requests[3]
    assert "timeoutSeconds=3&" not in server.requests[3]


async def test_a_watch_that_misses_its_bookmark_is_ended_and_a_list_is_read() -> None:
    times: list[float] = []
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", timed(brings(a_list(7, "a")), times))
        server.on("GET", "/leases", at_version(9), query={"limit": "1"})
        server.on("GET", "/leases", timed(brings(a_list(9, "b")), times), query={"sendInitialEvents": "true"})
        async with running(server.url) as informer:
            await server.until(lambda: len(times) == 2)
            await anyio.wait_all_tasks_blocked()
            assert names(informer) == ["b"]
    [gap] = gaps(times)
    assert 60.0 < gap < 100.0  # a bookmark is promised every minute


async def test_the_last_change_is_of_an_event_or_a_list_and_not_of_a_bookmark() -> None:
    async with FaultProxy.start() as server:
        lines = a_list(7, "a"), event("ADDED", 8, "b"), event("BOOKMARK", 12)
        server.on("GET", "/leases", brings(*lines), query={"watch": "true"})
        async with running(server.url) as informer:
            await synced(informer)
            assert informer.last_change == "8"
            assert [informer.has(version) for version in ("8", "12", "13")] == [True, True, False]


async def test_each_object_is_transformed_before_the_list_is_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a transform drops takes no memory, not even while a large list is read."""
    replaced: list[list[str]] = []

    async def note(_: SharedInformer[Lease], objects: Iterable[Lease]) -> None:
        replaced.append([each.spec.holder_identity for each in objects])

    def shorten(lease: Lease) -> Lease:
        return msgspec.structs.replace(lease, spec=LeaseSpec(holder_identity="short"))

    monkeypatch.setattr(SharedInformer, "replace", note)
    page = {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "a", "uid": "a"}}]}
    async with FaultProxy.start() as server:
        server.on("GET", "/leases", answer(200, a_list(5, "a", "b")), query={"sendInitialEvents": "true"})
        server.on("GET", "/leases", answer(410))
        server.on("GET", "/leases", answer(400), query={"watch": "true"})
        server.on("GET", "/leases", answer(200, page), query={"limit": "500"})
        server.on("GET", "/leases", answer(503), times=100)
        async with running(server.url) as informer:
            informer.set_transform(shorten)
            await server.until(lambda: len(replaced) == 2)
    assert replaced == [["short", "short"], ["short"]]
