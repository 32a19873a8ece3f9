"""What floods of connections and requests get: a bounded share, and probes go on being answered."""

import asyncio
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from pallet.framework.instruments import Instruments
from pallet.server import connections
from pallet.server.certificate import self_signed, server_context
from pallet.server.connections import (
    BURST,
    BURST_OF_AN_ADDRESS,
    FIRST_REQUEST_SECONDS,
    IDLE_SECONDS,
    MAX_CONNECTIONS,
    MAX_OF_AN_ADDRESS,
    Connections,
    ServerMetrics,
)
from pallet.server.http import MAX_HEAD, Request, Response
from pallet.server.server import listen

pytestmark = pytest.mark.anyio

GET = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
FILES = 4096


class SteppedLoop(asyncio.SelectorEventLoop):
    """Its clock stands still until a test moves it: no timer fires because the machine is busy."""

    now = 0.0

    def time(self) -> float:
        """Give the virtual seconds."""
        return self.now


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"loop_factory": SteppedLoop}


async def until(condition: Callable[[], bool]) -> None:
    """Let bytes come and go until something holds; the test's time limit is the patience."""
    while not condition():
        await anyio.lowlevel.checkpoint()


async def pass_time(seconds: float) -> None:
    """Let time pass, and what that brings about happen."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    await turns(20)  # what waits from now on has begun to wait
    loop.now += seconds
    await turns(20)


async def turns(count: int) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


@dataclass
class Server:
    """A server, and clients of it."""

    port: int
    trust: ssl.SSLContext
    metrics: ServerMetrics
    asked: list[Request] = field(default_factory=list)
    held: asyncio.Event | None = None
    """What every request waits for, if there is something."""

    fails: bool = False

    async def answer(self, request: Request) -> Response:
        if self.fails:
            raise ZeroDivisionError
        self.asked.append(request)
        if self.held:
            await self.held.wait()
        return Response(HTTPStatus.OK, "ok")

    def open(self) -> int:
        """Connections that the server has open."""
        return int(self.metrics.connections["idle"].value + self.metrics.connections["busy"].value)

    def refused(self, reason: str) -> int:
        return int(self.metrics.refused[reason].value)

    @contextmanager
    def silent(self, count: int, address: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
        """Connections that say nothing."""
        with ExitStack() as stack:
            yield [
                stack.enter_context(
                    socket.create_connection(("127.0.0.1", self.port), source_address=(address, 0))
                )
                for _ in range(count)
            ]

    @asynccontextmanager
    async def client(
        self, address: str = "127.0.0.1"
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection with its handshake done."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.trust, server_hostname="localhost", local_addr=(address, 0)
        )
        try:
            yield reader, writer
        finally:
            writer.close()
            writer.transport.abort()

    async def status(self, address: str = "127.0.0.1", request: bytes = GET) -> int:
        """What a single request is answered."""
        async with self.client(address) as (reader, writer):
            writer.write(request)
            return await status_of(reader)


async def status_of(reader: asyncio.StreamReader) -> int:
    """The status of the next answer, which is read to its end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = head.partition("Content-Length: ")[2].partition("\r\n")[0]
    await reader.readexactly(int(length))
    return int(head.split()[1])


TLS = tuple[ssl.SSLContext, ssl.SSLContext]
"""Of the server, and of a client that trusts it."""


@pytest.fixture
def tls(tmp_path: Path) -> TLS:
    file = tmp_path / "server.pem"
    file.write_bytes(self_signed("localhost"))
    return server_context(str(file)), ssl.create_default_context(cafile=str(file))


@asynccontextmanager
async def served(tls: TLS, files: int = FILES) -> AsyncIterator[Server]:
    with listen("127.0.0.1", 0) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        server = Server(
            listener.getsockname()[1],
            tls[1],
            ServerMetrics(Instruments()),
        )
        serving = Connections(listener, tls[0], server.answer, server.metrics, files)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serving.run)
            yield server
            tasks.cancel_scope.cancel()


@pytest.fixture
async def server(tls: TLS) -> AsyncIterator[Server]:
    async with served(tls) as server:
        yield server


async def test_one_address_gets_a_few_connections_that_ask_for_nothing(server: Server) -> None:
    count = 2 * MAX_OF_AN_ADDRESS
    with server.silent(count):
        await until(lambda: server.refused("connections") == count - MAX_OF_AN_ADDRESS)
        assert server.open() == MAX_OF_AN_ADDRESS
        assert await server.status("127.0.0.2") == HTTPStatus.OK
        assert await server.status() == HTTPStatus.OK


async def test_all_addresses_together_get_few(server: Server) -> None:
    addresses = 8
    with ExitStack() as stack:
        for number in range(addresses):
            stack.enter_context(server.silent(MAX_OF_AN_ADDRESS, f"127.0.1.{number + 1}"))
        surplus = addresses * MAX_OF_AN_ADDRESS - MAX_CONNECTIONS
        await until(lambda: server.refused("connections") == surplus)
        assert server.open() == MAX_CONNECTIONS
        assert await server.status("127.0.0.2") == HTTPStatus.OK


async def test_a_connection_that_is_refused_is_closed(server: Server) -> None:
    with server.silent(MAX_OF_AN_ADDRESS + 1) as [first, *others]:
        await until(lambda: client_is_closed(first))
        assert not any(map(client_is_closed, others))


async def test_a_process_with_few_files_keeps_most_of_them_for_others(tls: TLS) -> None:
    async with served(tls, files=32) as server:
        with server.silent(30):
            await until(lambda: server.refused("connections") == 22)
            assert server.open() == 8
            assert await server.status("127.0.0.2") == HTTPStatus.OK


async def test_a_connection_without_a_hello_is_closed_soon(server: Server) -> None:
    with server.silent(1):
        await until(lambda: server.open() == 1)
        await pass_time(FIRST_REQUEST_SECONDS)
        await until(lambda: server.open() == 0)


async def test_a_request_that_comes_byte_by_byte_is_not_waited_for(server: Server) -> None:
    async with server.client() as (reader, writer):
        for _ in range(int(FIRST_REQUEST_SECONDS)):
            assert server.open() == 1
            writer.write(GET[:1])
            await pass_time(1)
        await until(reader.at_eof)
        assert (server.refused("idle"), server.open()) == (1, 0)


async def test_a_connection_is_kept_for_another_request_for_a_while(server: Server) -> None:
    async with server.client() as (reader, writer):
        for _ in range(3):
            writer.write(GET)
            assert await status_of(reader) == HTTPStatus.OK
            await pass_time(IDLE_SECONDS - 1)
            assert server.open() == 1
        await pass_time(2)
        await until(lambda: server.open() == 0)
    assert len(server.asked) == 3


async def test_an_idle_connection_goes_before_one_that_is_answered(tls: TLS) -> None:
    async with served(tls, files=8) as server:  # two connections
        server.held = asyncio.Event()
        async with server.client("127.0.0.2") as (reader, writer):
            writer.write(GET)
            await until(lambda: len(server.asked) == 1)
            with server.silent(4, "127.0.0.3"):
                await until(lambda: server.refused("connections") == 3)
                assert server.open() == 2
                server.held.set()
                assert await status_of(reader) == HTTPStatus.OK


async def test_where_all_are_busy_no_more_are_taken(tls: TLS) -> None:
    async with served(tls, files=8) as server:
        server.held = asyncio.Event()
        async with server.client("127.0.0.2") as (_, one), server.client("127.0.0.2") as (_, two):
            one.write(GET)
            two.write(GET)
            await until(lambda: len(server.asked) == 2)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await server.status("127.0.0.3")
            assert server.refused("connections") == 1
            server.held.set()
        await until(lambda: server.open() == 0)
        assert await server.status("127.0.0.3") == HTTPStatus.OK


async def test_what_comes_too_often_is_refused_and_others_are_not(server: Server) -> None:
    async with server.client("127.0.0.3") as (reader, writer):
        for _ in range(BURST_OF_AN_ADDRESS - 1):  # the connection counted as well
            writer.write(GET)
            assert await status_of(reader) == HTTPStatus.OK
        writer.write(GET)
        assert await status_of(reader) == HTTPStatus.TOO_MANY_REQUESTS
        assert await reader.read() == b""
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await server.status("127.0.0.3")
    assert server.refused("rate") == 2
    assert await server.status("127.0.0.2") == HTTPStatus.OK
    await pass_time(1)
    assert await server.status("127.0.0.3") == HTTPStatus.OK


async def test_all_addresses_together_are_slowed_down(server: Server) -> None:
    clients = 4
    async with AsyncExitStack() as stack:
        addresses = [f"127.0.3.{number + 1}" for number in range(clients)]
        opened = [await stack.enter_async_context(server.client(address)) for address in addresses]
        for _, writer in opened:
            writer.write(GET * (BURST_OF_AN_ADDRESS - 1))
        most = BURST - clients - 1  # one is kept for whoever connects next
        await until(lambda: len(server.asked) == most)
        await turns(100)
        assert len(server.asked) == most
        await pass_time(1)
        await until(lambda: len(server.asked) > most)


async def test_addresses_that_were_seen_long_ago_are_forgotten(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "KNOWN_ADDRESSES", 3)
    for number in range(10):
        assert await server.status(f"127.0.2.{number + 1}") == HTTPStatus.OK


async def test_nothing_is_read_behind_a_request_that_is_not_answered_yet(server: Server) -> None:
    server.held = asyncio.Event()
    taken = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        while True:
            writer.write(GET * 100)
            await writer.drain()
            taken += len(GET) * 100

    async with server.client() as (_, writer):
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
        writer.transport.set_write_buffer_limits(0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flood, writer)
            await until(lambda: len(server.asked) == 1)
            before = -1
            while before != taken:
                before = taken
                await turns(1000)
            tasks.cancel_scope.cancel()
    assert taken < 1024 * 1024
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x00\x01\x02\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET http://[ HTTP/1.1\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"POST /healthz HTTP/1.1\r\n\r\n", HTTPStatus.METHOD_NOT_ALLOWED),
        (b"GET / HTTP/1.1\r\nContent-Length: 9\r\n\r\n123456789", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        (
            b"GET / HTTP/1.1\r\nA: " + b"a" * (MAX_HEAD + 100) + b"\r\n\r\n",
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        ),
    ],
)
async def test_what_cannot_be_answered_is_told_and_the_connection_ends(
    server: Server, request_: bytes, status: HTTPStatus
) -> None:
    async with server.client() as (reader, writer):
        writer.write(request_ + GET)
        assert await status_of(reader) == status
        assert await reader.read() == b""
    assert not server.asked


def client_is_closed(client: socket.socket) -> bool:
    client.settimeout(0)
    try:
        return client.recv(100) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


async def test_an_answer_that_fails_ends_its_connection_and_nothing_else(server: Server) -> None:
    server.fails = True
    with pytest.raises((ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)):
        await server.status()
    server.fails = False
    assert await server.status() == HTTPStatus.OK


async def flood(writer: asyncio.StreamWriter) -> None:
    """Send hundreds of megabytes, as fast as they are taken."""
    for _ in range(10_000):
        writer.write(GET * 1000)
        await writer.drain()


async def test_what_a_refused_client_goes_on_sending_is_not_read(server: Server) -> None:
    """While TLS is shut down politely, all of it would be decrypted and dropped."""
    async with server.client() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\n\r\n")
        await status_of(reader)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await flood(writer)
    assert server.open() == 0


async def test_plain_http_gets_no_answer_and_does_no_harm(server: Server) -> None:
    with server.silent(1) as [client]:
        client.sendall(GET)
        await until(lambda: client_is_closed(client))
        assert server.open() == 0
    assert await server.status() == HTTPStatus.OK


async def test_a_client_of_http_1_0_is_not_kept(server: Server) -> None:
    async with server.client() as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert await status_of(reader) == HTTPStatus.OK
        assert await reader.read() == b""


async def test_a_head_request_gets_no_body(server: Server) -> None:
    async with server.client() as (reader, writer):
        writer.write(GET.replace(b"GET", b"HEAD").replace(b"Host", b"Connection: close\r\nHost"))
        answer = (await reader.read()).decode()
        assert answer.startswith("HTTP/1.1 200 OK\r\n")
        assert answer.endswith("\r\n\r\n")


async def test_where_no_file_is_left_it_goes_on_once_there_is_one(server: Server) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with server.silent(1) as [client]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, limits[1]))
        try:
            await turns(20)
            assert server.open() == 0
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await pass_time(connections.NO_FILES_SECONDS)
        await until(lambda: server.open() == 1)
