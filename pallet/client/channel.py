"""A byte channel to a server: TCP, through an HTTP proxy where there is one, with TLS where it is asked for.

It writes to the socket itself, instead of leaving that to the transport of an event loop: a transport keeps
what it could not write at once, and writes it later without asking anybody. Here the fence is asked before
each system call that sends, so that none starts after the fence has closed, however long the loop or the
process was stopped.
"""

import asyncio
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from yarl import URL

Fence = Callable[[], float]
"""Gives the seconds that a write starting now may take; 0 or less when none may start."""

READ_SIZE: Final = 64 * 1024
"""Bytes read at once: more would have to be mapped and unmapped each time."""

HEAD_LIMIT: Final = 16 * 1024
"""Bytes that the answer of a proxy to CONNECT may take."""


class FencedError(Exception):
    """The fence closed before the last byte was written: the server cannot have carried the request out."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where a channel leads to; `tls` and `server_name` are those of the server, not of the proxy."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    proxy: URL | None = None

    async def open(self) -> "Channel":
        """Connect. Raise OSError, of which ssl.SSLError is one kind."""
        if self.proxy is None:
            return await self._over(await _connect(self.host, self.port))
        if self.proxy.scheme not in ("http", "https"):
            raise OSError(f"proxy {self.proxy.origin()}: only http and https proxies can be used")
        return await self._over(await _connect(self.proxy.host or "", self.proxy.port or 0))

    async def _over(self, sock: socket.socket) -> "Channel":
        """Do all the handshakes."""
        channel = Channel(sock)
        try:
            if self.proxy is not None:
                if self.proxy.scheme == "https":
                    await channel.start_tls(ssl.create_default_context(), self.proxy.host or "")
                if self.tls is not None:
                    await channel.tunnel(self.host, self.port, self.proxy)
            if self.tls is not None:
                await channel.start_tls(self.tls, self.server_name or self.host)
        except BaseException:
            channel.close()
            raise
        return channel


class Channel:
    """A connected socket, and the layers of TLS over it."""

    def __init__(self, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._layers: list[_Tls] = []
        self._unsent: bytes | memoryview = b""
        self._fence: Fence | None = None
        self._waits_to_write = False
        self._received: Callable[[bytes], object] | None = None
        self._lost: Callable[[Exception], object] | None = None
        self.is_open = True

    async def start_tls(self, context: ssl.SSLContext, server_name: str) -> None:
        """Encrypt from now on what goes through. Raise OSError."""
        layer = _Tls(context, server_name)
        while not layer.shake_hands():
            await self._put(layer.outgoing.read())
            layer.incoming.write(await self._take())
        await self._put(layer.outgoing.read())
        self._layers.append(layer)

    async def tunnel(self, host: str, port: int, proxy: URL) -> None:
        """Have the proxy at the other end pass everything on to a server. Raise OSError."""
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{proxy_authorization(proxy)}\r\n"
        await self._put(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += await self._take()
            if len(answer) > HEAD_LIMIT:
                raise OSError(f"proxy {proxy.origin()}: its answer to CONNECT is no HTTP")
        status = answer.partition(b"\r\n")[0].decode("latin-1")
        if status.split(" ")[1:2] != ["200"]:
            raise OSError(f"proxy {proxy.origin()}: no way to {target}: {status}")

    def listen(self, received: Callable[[bytes], object], lost: Callable[[Exception], object]) -> None:
        """Hand over what comes in from now on, until `lost` is told why no more does."""
        self._received, self._lost = received, lost
        self._loop.add_reader(self._sock, self._read)

    def write(self, data: bytes, fence: Fence | None) -> None:
        """Send, as far as the fence lets each part through; `lost` is told of failures, maybe at once."""
        self._fence = fence
        self._unsent = self._wrapped(data)
        self._send()

    @property
    def is_writing(self) -> bool:
        """Whether a part of what was to be sent is not sent yet."""
        return bool(self._unsent)

    def close(self) -> None:
        """Close at once, without TLS's farewell; `lost` is not told."""
        if self.is_open:
            self.is_open = False
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()

    def _send(self) -> None:
        try:
            while self._unsent:
                if self._fence is not None and self._fence() <= 0:
                    raise FencedError  # noqa: TRY301  # one place for all that can go wrong here
                self._unsent = memoryview(self._unsent)[self._sock.send(self._unsent) :]
        except (BlockingIOError, InterruptedError):
            if not self._waits_to_write:
                self._waits_to_write = True
                self._loop.add_writer(self._sock, self._send)
            return
        except (OSError, FencedError) as error:
            self._fail(error)
            return
        if self._waits_to_write:
            self._waits_to_write = False
            self._loop.remove_writer(self._sock)

    def _read(self) -> None:
        try:
            data = self._sock.recv(READ_SIZE)
            if data:
                data = self._unwrapped(data)
                if data and self._received is not None:
                    self._received(data)
                return
            self._fail(ConnectionResetError("the server closed the connection"))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.close()
        if self._lost is not None:
            self._lost(error)

    async def _put(self, data: bytes) -> None:
        """Send a part of a handshake."""
        if data:
            await self._loop.sock_sendall(self._sock, self._wrapped(data))

    async def _take(self) -> bytes:
        """Receive a part of a handshake."""
        while True:
            data = await self._loop.sock_recv(self._sock, READ_SIZE)
            if not data:
                raise ConnectionResetError("the connection was closed during the handshake")
            if data := self._unwrapped(data):
                return data

    def _wrapped(self, data: bytes) -> bytes:
        for layer in self._layers[::-1]:
            data = layer.encrypt(data)
        return data

    def _unwrapped(self, data: bytes) -> bytes:
        for layer in self._layers:
            data = layer.decrypt(data)
        return data


class _Tls:
    """TLS over buffers in memory."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=server_name)

    def shake_hands(self) -> bool:
        """Go on with the handshake; tell whether it is over. What is to be sent lies in `outgoing`."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def encrypt(self, data: bytes) -> bytes:
        """Give what to send; TLS's own answers to what came in before go first."""
        sent = self._tls.write(data)
        while sent < len(data):  # each call takes one record
            sent += self._tls.write(memoryview(data)[sent:])
        return self.outgoing.read()

    def decrypt(self, data: bytes) -> bytes:
        """Give what has arrived whole. Raise OSError at TLS's farewell."""
        self.incoming.write(data)
        data = b""
        try:
            while part := self._tls.read(READ_SIZE):
                data = data + part if data else part
                if not self.incoming.pending and not self._tls.pending():
                    return data
        except ssl.SSLWantReadError:
            return data
        if data:  # the farewell came with it, and is met again at the next read
            return data
        raise ConnectionResetError("the server closed the connection")


def proxy_authorization(proxy: URL) -> str:
    """Give the header that carries the user and password of a proxy's URL; empty where it has none."""
    if proxy.user is None:
        return ""
    credentials = b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
    return f"Proxy-Authorization: Basic {credentials}\r\n"


async def _connect(host: str, port: int) -> socket.socket:
    """Try the addresses of a host in turn. Raise OSError."""
    loop = asyncio.get_running_loop()
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in await _addresses(host, port):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)  # noqa: FBT003  # the socket's own signature
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


async def _addresses(host: str, port: int) -> Sequence[tuple[int, int, int, str, Any]]:
    """Look a host up, in a thread; an IP address needs none. Raise OSError."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
