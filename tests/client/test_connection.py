"""The pool of HTTP connections, against a server that is told byte by byte what to answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import pytest

from pallet.client.channel import Endpoint
from pallet.client.connection import Answer, LostError, NotSentError
from pallet.client.pool import Pool

pytestmark = pytest.mark.anyio

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

REQUEST = b"POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kind: plain\r\n\r\nok"
SECONDS = 5.0


@asynccontextmanager
async def pool_to(serve: Serve, limit: int = 2) -> AsyncIterator[Pool]:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    pool = Pool(Endpoint("127.0.0.1", server.sockets[0].getsockname()[1]), limit)
    try:
        yield pool
    finally:
        pool.close()
        server.close()
        await server.wait_closed()


async def send(pool: Pool, seconds: float = SECONDS) -> Answer:
    return await pool.send(REQUEST, seconds, SECONDS)


async def receive(reader: asyncio.StreamReader) -> None:
    await reader.readexactly(len(REQUEST))


def answering(answer: bytes, connections: list[int] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if connections is not None:
            connections.append(1)
        while True:
            await receive(reader)
            writer.write(answer)

    return serve


async def test_an_answer_has_status_headers_and_body() -> None:
    async with pool_to(answering(OK)) as pool:
        answer = await send(pool)
    assert (answer.status, answer.body, answer.header(b"x-kind")) == (200, b"ok", "plain")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
    ids=["chunked", "after a 1xx"],
)
async def test_other_forms_of_an_answer(answer: bytes) -> None:
    async with pool_to(answering(answer)) as pool:
        assert (await send(pool)).body == b"ok"


async def test_a_connection_is_used_again() -> None:
    connections: list[int] = []
    async with pool_to(answering(OK, connections)) as pool:
        for _ in range(3):
            await send(pool)
    assert len(connections) == 1


async def test_a_connection_that_is_announced_to_close_is_not_used_again() -> None:
    connections: list[int] = []
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    async with pool_to(answering(closing, connections)) as pool:
        await send(pool)
        await send(pool)
    assert len(connections) == 2


async def test_an_idle_connection_that_the_server_closed_is_not_used_again() -> None:
    connections: list[int] = []
    closed = anyio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        await receive(reader)
        writer.write(OK)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with pool_to(serve) as pool:
        await send(pool)
        await closed.wait()
        await anyio.wait_all_tasks_blocked()
        assert (await send(pool)).status == 200
    assert len(connections) == 2


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", b"no HTTP\r\n\r\n"],
    ids=["none", "half", "junk"],
)
async def test_an_answer_that_does_not_come_whole_is_lost(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receive(reader)
        writer.write(answer)

    async with pool_to(serve) as pool:
        with pytest.raises(LostError):
            await send(pool)


async def test_a_late_answer_is_lost_and_never_taken_for_the_next_one() -> None:
    late = anyio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receive(reader)
        if not late.is_set():
            late.set()
            await reader.read()
        writer.write(OK)

    async with pool_to(serve, limit=1) as pool:
        with pytest.raises(LostError, match="no answer in"):
            await send(pool, seconds=0.01)
        assert (await send(pool)).body == b"ok"


async def test_a_cancelled_request_closes_its_connection() -> None:
    received, gone = anyio.Event(), anyio.Event()

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await receive(reader)
        received.set()
        with suppress(ConnectionError):
            await reader.read()
        gone.set()

    async with pool_to(serve) as pool:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, pool)
            await received.wait()
            tasks.cancel_scope.cancel()
        await gone.wait()


async def test_no_more_connections_than_the_limit_and_nobody_is_left_waiting() -> None:
    connections: list[int] = []
    answers: list[Answer] = []

    async def one(pool: Pool) -> None:
        answers.append(await send(pool))

    async with pool_to(answering(OK, connections), limit=2) as pool, anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(one, pool)
    assert len(answers) == 20
    assert len(connections) <= 2


async def test_a_request_that_cannot_connect_was_not_sent() -> None:
    async with pool_to(answering(OK)) as pool:
        pass
    with pytest.raises(NotSentError):
        await send(pool)
