"""The fence is asked when the bytes go out: whatever a write waited for, none leaves after it has closed."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import yaml

from pallet.api.core import EVENTS, Event
from pallet.api.pod import PODS
from pallet.api.podset import SCHEDULE_PLANS
from pallet.client import AnswerLost, Client, Unreachable
from pallet.client.channel import Endpoint, FencedError
from pallet.client.connection import Connection
from pallet.client.errors import NotLeading
from pallet.client.transport import POOL_SIZE
from tests.client.certificates import authority, issue, pem, server_context

pytestmark = pytest.mark.anyio

LARGE = b"x" * 32 * 1024 * 1024
"""More than the buffers of two sockets hold."""


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return ("asyncio", {"use_uvloop": request.param})


class Fence:
    """Stands open until it is closed."""

    def __init__(self) -> None:
        self.seconds = 60.0

    def __call__(self) -> float:
        return self.seconds

    def close(self) -> None:
        self.seconds = 0.0


class Server:
    """Keeps what it hears. It accepts at once, and does everything else when its gate opens."""

    def __init__(self, tls: ssl.SSLContext | None = None, *, is_proxy: bool = False) -> None:
        self.connected = asyncio.Semaphore(0)
        self.gate = anyio.Event()
        self.handshakes = 0
        self.closed = asyncio.Semaphore(0)
        self.heard = bytearray()
        self.address = ""
        self._tls = tls
        self._is_proxy = is_proxy

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        host, _, port = self.address.partition(":")
        return Endpoint(host, int(port))

    @asynccontextmanager
    async def listen(self) -> AsyncIterator["Server"]:
        """Serve until left."""
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0), backlog=2 * POOL_SIZE) as listener:
            listener.setblocking(False)
            self.address = f"127.0.0.1:{listener.getsockname()[1]}"
            async with anyio.create_task_group() as tasks:

                async def accept() -> None:
                    while True:
                        sock, _ = await loop.sock_accept(listener)
                        tasks.start_soon(self._serve, sock)

                tasks.start_soon(accept)
                yield self
                tasks.cancel_scope.cancel()

    async def _serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self.connected.release()
        with sock:
            await self.gate.wait()
            if self._is_proxy:
                await loop.sock_recv(sock, 65536)
                await loop.sock_sendall(sock, b"HTTP/1.1 200 Connection established\r\n\r\n")
            reader = asyncio.StreamReader()
            transport, _ = await loop.connect_accepted_socket(
                lambda: asyncio.StreamReaderProtocol(reader), sock, ssl=self._tls
            )
            self.handshakes += 1
            with suppress(ConnectionError):
                while data := await reader.read(65536):
                    self.heard += data
            transport.abort()
            self.closed.release()


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


Write = Callable[[Client], Awaitable[object]]

WRITES: dict[str, Write] = {
    "binding": lambda client: client.create_binding("x", "a", "uid-1", "node-1"),
    "plan": lambda client: client.patch(SCHEDULE_PLANS, "a", "x", {"spec": {}}, safe=True),
    "status": lambda client: client.amend(PODS, "a", "x", {}, subresource="status", safe=True),
    "event": lambda client: client.post(EVENTS, Event(), "x"),
    "deletion": lambda client: client.delete(PODS, "a", "x", uid="uid-1"),
}


@pytest.mark.parametrize("way", ["plain", "proxy"])
@pytest.mark.parametrize("write", WRITES)
async def test_no_byte_of_a_write_follows_a_handshake_that_outlasted_the_fence(
    tmp_path: Path, write: str, way: str
) -> None:
    ca = authority()
    (tmp_path / "ca").write_bytes(pem(ca[1]))
    fence = Fence()
    is_proxy = way == "proxy"
    async with Server(server_context(tmp_path, issue(ca)), is_proxy=is_proxy).listen() as server:
        cluster = {
            "server": f"https://{server.address}",
            "certificate-authority": str(tmp_path / "ca"),
        }
        if is_proxy:
            cluster["proxy-url"] = f"http://{server.address}"
        config = {
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        async with Client.connect(str(tmp_path / "kubeconfig")) as client:
            client.fence = fence

            async def late() -> None:
                with pytest.raises(NotLeading):
                    await WRITES[write](client)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(late)
                await server.connected.acquire()
                fence.close()
                server.gate.set()
        await server.closed.acquire()
    assert server.handshakes == 1
    assert server.heard == b""


async def test_no_byte_of_a_write_that_waited_for_a_connection_of_others_follows_the_fence() -> None:
    fence = Fence()
    async with (
        Server().listen() as server,
        Client.connect(master=f"http://{server.address}") as client,
    ):
        client.fence = fence

        async def taken() -> None:
            with suppress(Unreachable):
                await client.request("GET", "/taken", bytes, tries=1)

        async def late() -> None:
            with pytest.raises(NotLeading):
                await client.create_binding("x", "a", "uid-1", "node-1")

        async with anyio.create_task_group() as slow, anyio.create_task_group() as tasks:
            for _ in range(POOL_SIZE):
                slow.start_soon(taken)
            for _ in range(POOL_SIZE):
                await server.connected.acquire()
            tasks.start_soon(late)
            await anyio.wait_all_tasks_blocked()
            fence.close()
            slow.cancel_scope.cancel()
        server.gate.set()
        for _ in range(POOL_SIZE):
            await server.closed.acquire()
    assert b"binding" not in server.heard


async def test_what_is_left_of_a_large_write_is_not_sent_after_the_fence() -> None:
    fence = Fence()
    async with Server().listen() as server:
        connection = Connection(await server.endpoint.open())

        async def late() -> None:
            with pytest.raises(FencedError):
                await connection.exchange(LARGE, 60.0, fence)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(late)
            await anyio.wait_all_tasks_blocked()
            fence.close()
            server.gate.set()
        await server.closed.acquire()
    assert 0 < len(server.heard) < len(LARGE)
    assert not connection.reusable


async def test_a_large_write_arrives_whole_while_the_fence_is_open() -> None:
    async with Server().listen() as server:
        server.gate.set()
        connection = Connection(await server.endpoint.open())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.exchange, LARGE, 60.0, Fence())
            while len(server.heard) < len(LARGE):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await server.closed.acquire()
    assert server.heard == LARGE


async def test_a_write_that_was_sent_before_the_fence_closed_is_lost_not_undone() -> None:
    async with (
        Server().listen() as server,
        Client.connect(master=f"http://{server.address}") as client,
    ):
        server.gate.set()
        client.fence = lambda: 0.2
        with pytest.raises(AnswerLost):
            await client.create_binding("x", "a", "uid-1", "node-1")
    assert b"uid-1" in server.heard
