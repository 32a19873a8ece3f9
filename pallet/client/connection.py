"""A small pool of HTTP/1.1 connections for many short requests.

Binding thousands of pods is thousands of small POSTs, and their cost is what a scheduler spends most of its
time on. This is the least that such a request needs: one write, and a parser (httptools) that is fed what
comes back. No redirects, proxies, cookies or streams; those are left to the HTTP library.
"""

import asyncio
import ssl
from collections import deque
from typing import cast

import httptools
import msgspec

Headers = list[tuple[bytes, bytes]]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What came back."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: bytes) -> str:
        """Give the value of a header, whose name is told in lower case; empty where there is none."""
        for key, value in self.headers:
            if key.lower() == name:
                return value.decode("latin-1")
        return ""


class NotSentError(Exception):
    """The request never left: no connection could be made."""


class LostError(Exception):
    """The request left, or may have, but no whole answer came back."""


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.reusable = True
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._headers: Headers = []
        self._body: list[bytes] = []

    async def exchange(self, request: bytes, seconds: float) -> Answer:
        """Send a request, head and body, and wait for the answer. Raise LostError.

        A connection whose answer did not come in time, or was not waited for, is closed.
        """
        if self._transport is None or self._transport.is_closing():
            raise LostError("the connection was closed")
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer = answer
        self._headers, self._body = [], []
        late = self._loop.call_later(seconds, self._fail, f"no answer in {seconds:g} s")
        self._transport.write(request)
        try:
            return await answer
        finally:
            late.cancel()
            if not answer.done() or answer.cancelled() or answer.exception():
                self.close()
            self._answer = None

    def close(self) -> None:
        """Close at once; an answer that is waited for is lost."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport (asyncio.Protocol)."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came in (asyncio.Protocol)."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the answer is not HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what was waited for (asyncio.Protocol)."""
        self._fail(str(exc) if exc else "the server closed the connection")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header (httptools)."""
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body (httptools)."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Hand the answer over (httptools)."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        self.reusable = self.reusable and self._parser.should_keep_alive()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(status, self._headers, b"".join(self._body)))

    def _fail(self, why: str) -> None:
        self.reusable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LostError(why))


class Pool:
    """Connections to one server, opened as they are needed, at most `limit`. Close it with `close`."""

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext | None, server_name: str | None, limit: int
    ) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._server_name = (server_name or host) if tls else None
        self._limit = limit
        self._open = 0
        self._idle: list[Connection] = []
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def send(self, request: bytes, seconds: float, connect_seconds: float) -> Answer:
        """Send a request over a free connection and give its answer. Raise NotSentError or LostError.

        `seconds` bounds the exchange, `connect_seconds` the opening of a connection if one is needed.
        """
        connection = await self._take(connect_seconds)
        try:
            return await connection.exchange(request, seconds)
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Close all connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    async def _take(self, connect_seconds: float) -> Connection:
        while True:
            while self._idle:
                connection = self._idle.pop()
                if connection.reusable:
                    return connection
                self._open -= 1
            if self._open < self._limit:
                return await self._connect(connect_seconds)
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._wake_next()
                raise

    async def _connect(self, seconds: float) -> Connection:
        self._open += 1
        try:
            async with asyncio.timeout(seconds):
                _, connection = await asyncio.get_running_loop().create_connection(
                    Connection, self._host, self._port, ssl=self._tls, server_hostname=self._server_name
                )
        except (OSError, TimeoutError) as error:
            self._open -= 1
            self._wake_next()
            raise NotSentError(str(error) or f"no connection in {seconds:g} s") from error
        except BaseException:
            self._open -= 1
            self._wake_next()
            raise
        return connection

    def _give_back(self, connection: Connection) -> None:
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()
            self._open -= 1
        self._wake_next()

    def _wake_next(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
