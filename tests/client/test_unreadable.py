"""An answer that cannot be read counts as none, whatever was asked and however it is broken."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from pallet.api.core import EVENTS, NAMESPACES, Event, LeaseSpec
from pallet.api.pod import PODS
from pallet.client import AnswerLost, ApiError, Client, Unreachable
from pallet.client.errors import Unreadable
from pallet.leaderelection import LeaseLock
from tests.faults.virtual_time import VIRTUAL_TIME
from tools.faults.proxy import FaultProxy, answer

pytestmark = pytest.mark.anyio

POD = json.dumps({"kind": "Pod", "metadata": {"name": "a", "uid": "u"}}).encode()
HTML = b"<html><body>Please log in</body></html>"
JSON = "application/json"

UNREADABLE: dict[str, tuple[int, bytes, str]] = {
    "empty": (200, b"", JSON),
    "garbled": (200, b"\x00\xff" + POD[2:], JSON),
    "truncated": (200, POD[:-9], JSON),
    "not UTF-8": (200, b'{"kind":"Pod","metadata":{"name":"\xff\xfe"}}', JSON),
    "a list": (200, b"[]", JSON),
    "null": (200, b"null", JSON),
    "without anything": (200, b"{}", JSON),
    "of the wrong shape": (200, b'{"kind":7,"metadata":[]}', JSON),
    "nested without end": (200, b'{"kind":' + b"[" * 100_000, JSON),
    "a failure that calls itself a success": (200, b'{"kind":"Status","status":"Failure"}', JSON),
    "a page of a portal": (200, HTML, "text/html"),
    "of another type": (200, POD, "application/vnd.kubernetes.protobuf"),
    "not found by a proxy": (404, HTML, "text/html"),
    "a conflict by a proxy": (409, HTML, "text/html"),
    "not found, truncated": (404, b'{"kind":"Status","reason":"NotFo', JSON),
    "a redirection": (302, b"", "text/html"),
}

Ask = Callable[[Client], Awaitable[Any]]

READS: dict[str, Ask] = {
    "get": lambda client: client.get(PODS, "a", "x"),
    "list": lambda client: client.list(PODS, "x"),
    "lease": lambda client: LeaseLock(client, "x", "a").get(),
}
WRITES: dict[str, Ask] = {
    "binding": lambda client: client.create_binding("x", "a", "u", "node-1"),
    "create": lambda client: client.create(NAMESPACES, {"metadata": {"name": "a"}}),
    "post": lambda client: client.post(EVENTS, Event(), "x"),
    "patch": lambda client: client.patch(PODS, "a", "x", {}),
    "amend": lambda client: client.amend(PODS, "a", "x", {}),
    "delete": lambda client: client.delete(PODS, "a", "x"),
    "lease": lambda client: LeaseLock(client, "x", "a").write(None, LeaseSpec()),
}


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


def break_all(server: FaultProxy, how: str, times: float = 100) -> None:
    status, body, content_type = UNREADABLE[how]
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        server.on(method, "/", answer(status, body, {"Content-Type": content_type}), times=times)


@pytest.mark.parametrize("how", UNREADABLE)
@pytest.mark.parametrize("ask", READS)
async def test_a_read_says_that_nothing_could_be_read(
    server: FaultProxy, client: Client, ask: str, how: str
) -> None:
    break_all(server, how)
    with pytest.raises(Unreadable, match=f"the answer from {server.url} cannot be read"):
        await READS[ask](client)


@pytest.mark.parametrize("how", UNREADABLE)
@pytest.mark.parametrize("ask", WRITES)
async def test_what_became_of_a_write_is_unknown(
    server: FaultProxy, client: Client, ask: str, how: str
) -> None:
    break_all(server, how)
    with pytest.raises(AnswerLost, match="cannot be read"):
        await WRITES[ask](client)
    assert len(server.requests) == 1


@pytest.mark.parametrize("how", UNREADABLE)
async def test_a_read_is_asked_again(server: FaultProxy, client: Client, how: str) -> None:
    break_all(server, how, times=2)
    server.on("GET", "/pods/a", answer(200, POD))
    assert (await client.get(PODS, "a", "x")).metadata.uid == "u"


@pytest.mark.parametrize("how", UNREADABLE)
async def test_a_safe_write_is_sent_again(server: FaultProxy, client: Client, how: str) -> None:
    break_all(server, how, times=2)
    server.on("PATCH", "/pods/a", answer(200, POD))
    await client.amend(PODS, "a", "x", {}, safe=True)


async def test_another_object_than_the_one_that_was_asked_for_is_no_answer(
    server: FaultProxy, client: Client
) -> None:
    server.on("GET", "/pods/b", answer(200, POD), times=100)
    with pytest.raises(Unreadable, match="it is not pods b"):
        await client.get(PODS, "b", "x")


async def test_a_kind_that_is_not_installed_is_a_refusal(server: FaultProxy, client: Client) -> None:
    server.on("GET", "/pods", answer(404, b"404 page not found\n", {"Content-Type": "text/plain"}))
    with pytest.raises(ApiError, match="could not find the requested resource") as caught:
        await client.list(PODS)
    assert not caught.value.not_found  # what is not served is not gone


@pytest.mark.parametrize("status", [401, 429, 502, 503])
async def test_where_the_code_decides_any_body_will_do(
    server: FaultProxy, client: Client, status: int
) -> None:
    server.on("GET", "/pods/a", answer(status, HTML, {"Content-Type": "text/html"}))
    server.on("GET", "/pods/a", answer(200, POD))
    assert (await client.get(PODS, "a", "x")).metadata.uid == "u"


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
        b"\x16\x03\x01\x02\x00\x01",
    ],
    ids=["bad chunks", "too short", "bad length", "TLS"],
)
async def test_what_is_no_http_is_no_answer(sent: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with (
        listener,
        Client.connect(master=f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}") as client,
    ):
        with pytest.raises(AnswerLost):
            await client.create_binding("x", "a", "u", "node-1")
        with pytest.raises(Unreachable):
            await client.get(PODS, "a", "x")


@pytest.mark.parametrize("together", [True, False])
async def test_a_second_answer_is_not_taken_for_that_to_the_next_request(*, together: bool) -> None:
    """As a proxy that repeats itself sends it."""

    def said(name: str) -> bytes:
        body = b'{"metadata":{"name":"%b"}}' % name.encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            len(body),
            body,
        )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                name = head.split(b" ")[1].rpartition(b"/")[2].decode()
                writer.write(said(name) * 2 if together else said(name))
                if not together:
                    await anyio.sleep(1)
                    writer.write(said(name))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with (
        listener,
        Client.connect(master=f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}") as client,
    ):
        for name in ("a", "b", "c"):
            assert (await client.get(NAMESPACES, name)).metadata.name == name
            await anyio.sleep(2)
