"""What a request and a watch meet on a replica's line, as its client sees it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import pytest
from aiohttp import web

from tools.chaos.history import Blind, Happened
from tools.chaos.network import EDITS, Line, line
from tools.chaos.timeline import Fault
from tools.faults.proxy import Exchange, FaultProxy

pytestmark = pytest.mark.anyio

POD = "/api/v1/namespaces/ns/pods/p"
BINDING = f"{POD}/binding"
EVENT = b'{"type": "ADDED", "object": {"metadata": {"name": "p"}}}'


class Server:
    """An API server of two lines: it counts bindings, and serves a watch whose lines the test sends."""

    def __init__(self) -> None:
        self.bound = 0
        self.asked = anyio.Event()
        self.lines: list[bytes] = []
        self.more = anyio.Event()

    async def answer(self, exchange: Exchange) -> web.StreamResponse:
        self.bound += exchange.request.method == "POST"
        self.asked.set()
        return web.json_response({"kind": "Status", "code": 201}, status=201)

    async def watch(self, exchange: Exchange) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(exchange.request)
        while True:
            while self.lines:
                await response.write(self.lines.pop(0) + b"\n")
            await self.more.wait()
            self.more = anyio.Event()

    def send(self, text: bytes) -> None:
        self.lines.append(text)
        self.more.set()


class World:
    """A server, a replica's line to it, and a client on that line."""

    def __init__(self, server: Server, line: Line, client: aiohttp.ClientSession) -> None:
        self.server, self.line, self.client = server, line, client
        self.records: list[Happened | Blind] = []
        line.take = self.records.append

    async def bind(self) -> tuple[int, bytes]:
        async with self.client.post(self.line.url + BINDING, data=b"{}") as answer:
            return answer.status, await answer.read()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[aiohttp.StreamReader]:
        async with self.client.get(f"{self.line.url}/api/v1/pods?watch=true") as answer:
            yield answer.content

    @property
    def blind(self) -> list[Blind]:
        return [each for each in self.records if isinstance(each, Blind)]


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    server = Server()
    async with FaultProxy.start() as upstream, aiohttp.ClientSession() as client:
        upstream.on("GET", "/pods$", server.watch, times=float("inf"), query={"watch": "true"})
        for method in ("POST", "GET"):
            upstream.on(method, "", server.answer, times=float("inf"))
        kubeconfig = folder / "kubeconfig"
        cluster = {"name": "c", "cluster": {"server": upstream.url}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        config = {"clusters": [cluster], "contexts": [context], "users": [{"name": "u", "user": {}}]}
        kubeconfig.write_text(json.dumps({"kind": "Config", "current-context": "c", **config}))
        async with line(str(kubeconfig), None, "a", lambda _: None) as started:
            yield World(server, started, client)


@pytest.mark.parametrize(
    ("kind", "variant", "carried_out"),
    [
        ("answers dropped", "done", 1),
        ("answers dropped", "not done", 0),
        ("answers truncated", "", 1),
    ],
)
async def test_an_answer_that_does_not_come(
    tmp_path: Path, kind: str, variant: str, carried_out: int
) -> None:
    async with world(tmp_path) as here:
        here.line.arm(Fault(0, kind, what="binding", variant=variant))
        with pytest.raises(aiohttp.ClientError):
            await here.bind()
        assert here.server.bound == carried_out
        assert await here.bind() == (201, b'{"kind": "Status", "code": 201}')


async def test_an_answer_that_is_waited_for_in_vain(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.line.arm(Fault(0, "answers lost", what="binding"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.bind)
            await here.server.asked.wait()
            assert (await here.bind())[0] == 201  # on another connection, and long after the first one
            tasks.cancel_scope.cancel()
        assert here.server.bound == 2


@pytest.mark.parametrize(
    ("kind", "variant", "expected", "carried_out"),
    [
        ("answers 4xx", "429", 429, 0),
        ("answers 5xx", "504", 504, 0),
        ("answers 5xx", "504 done", 504, 1),
        ("answers garbled", "", 201, 1),
        ("answers delayed", "", 201, 1),
    ],
)
async def test_another_answer(
    tmp_path: Path, kind: str, variant: str, expected: int, carried_out: int
) -> None:
    async with world(tmp_path) as here:
        here.line.arm(Fault(0, kind, what="any", variant=variant))
        status, body = await here.bind()
        assert (status, here.server.bound) == (expected, carried_out)
        assert (b"kind" in body) is (kind != "answers garbled")


async def test_a_fault_meets_its_requests_so_often_and_is_told_of_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.line.arm(Fault(0, "answers 5xx", what="binding", times=2, variant="500"))
        async with here.client.get(here.line.url + POD) as answer:
            assert answer.status == 201  # it is not for reads
        assert [(await here.bind())[0] for _ in range(3)] == [500, 500, 201]
        assert [each.kind for each in here.records if isinstance(each, Happened)] == ["answers 5xx"]


async def test_what_is_disarmed_meets_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.line.arm(Fault(0, "answers 5xx", what="binding", variant="500"))
        here.line.disarm()
        assert (await here.bind())[0] == 201


@pytest.mark.parametrize("edit", EDITS)
async def test_a_line_of_a_watch_is_garbled_once(tmp_path: Path, edit: str) -> None:
    async with world(tmp_path) as here, here.watching() as read:
        here.server.send(EVENT)
        assert await read.readline() == EVENT + b"\n"
        (watch,) = here.line.watches("pods")
        watch.edits.append(EDITS[edit])
        here.server.send(EVENT)
        here.server.send(b"last")
        found = [await read.readline()]
        while found[-1] != b"last\n":
            found.append(await read.readline())
        expected = b"".join(each + b"\n" for each in EDITS[edit](EVENT)) + b"last\n"
        assert b"".join(found) == expected
        assert found[0] != EVENT + b"\n" or len(found) == 3


async def test_a_frozen_watch_is_silent_and_then_goes_on(tmp_path: Path) -> None:
    heard: list[bytes] = []
    async with world(tmp_path) as here, here.watching() as read, anyio.create_task_group() as tasks:
        here.server.send(EVENT)
        await read.readline()
        watches = here.line.watches("")
        before = len(here.blind)
        await here.line.freeze_for(watches, 0)
        tasks.start_soon(hear, read, heard)
        here.server.send(EVENT)
        await here.bind()  # which comes through meanwhile
        assert heard == []
        here.line.thaw(watches)
        (blind,) = here.blind[before:]
        assert (blind.replica, blind.resource) == ("a", "pods")
    assert heard == [EVENT + b"\n"]


async def hear(read: aiohttp.StreamReader, heard: list[bytes]) -> None:
    heard.append(await read.readline())


async def test_a_cut_watch_is_not_served_until_another_is_open(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        async with here.watching() as read:
            here.server.send(EVENT)
            await read.readline()
            for watch in here.line.watches("pods"):
                watch.cut()
            with pytest.raises(aiohttp.ClientError):
                await read.readline()
        before = len(here.blind)
        async with here.watching() as read:
            here.server.send(EVENT)
            await read.readline()
        assert [each.resource for each in here.blind[before:]] == ["pods"]


async def test_what_is_not_seen_at_the_end_is_told(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        async with here.watching() as read:
            here.server.send(EVENT)
            await read.readline()
        await here.line.until(lambda: not here.line.open_watches)
        before = len(here.blind)
        here.line.close_sights()
        assert len(here.blind) == before + 1
