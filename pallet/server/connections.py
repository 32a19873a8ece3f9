"""The connections of the secure port: few, and short where they ask for nothing.

Every pod of the cluster reaches the port. So whoever opens connections and sends nothing, sends very slowly,
or comes again and again, gets no more than a share of what is kept for this port: files, memory, and time on
the event loop. Probes and scrapes come from other addresses, and go on being answered.
"""

import asyncio
import socket
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NoReturn

import anyio
import anyio.abc
import anyio.lowlevel

from pallet.client.limiter import RateLimiter
from pallet.framework.instruments import Instruments
from pallet.logs import get_logger
from pallet.server.http import MAX_HEAD, Request, RequestError, Response, read_request, write_response

log = get_logger(__name__)

MAX_CONNECTIONS: Final = 64
"""Connections at the same time; each takes a file, and up to about half a MiB where its client floods it."""
MAX_OF_AN_ADDRESS: Final = 16

FIRST_REQUEST_SECONDS: Final = 5.0
"""How long a client may take for the TLS handshake, and then for its first request."""
IDLE_SECONDS: Final = 30.0
"""How long it may take for the next one."""

RATE, BURST = 200.0, 200
"""Connections and requests a second; what comes faster waits."""
RATE_OF_AN_ADDRESS, BURST_OF_AN_ADDRESS = 50.0, 100
"""What comes faster from one address is refused."""
KNOWN_ADDRESSES: Final = 1024
"""Addresses whose rate is remembered, those that were seen last."""

NO_FILES_SECONDS: Final = 1.0
"""The pause where the process has no file left for a connection."""

FILES_SHARE: Final = 4
"""One in so many of the files that the process may open is for this port; the rest is for the API server."""

Answer = Callable[[Request], Awaitable[Response]]


class ServerMetrics:
    """What is counted of the connections."""

    def __init__(self, instruments: Instruments) -> None:
        self.connections = instruments.gauge(
            "pallet_server_connections", "Connections to the secure port; idle ones ask for nothing.", "state"
        )
        self.refused = instruments.counter(
            "pallet_server_refused_total",
            "Connections to the secure port that were closed, and requests that were refused, by why: "
            "connections, where there were too many; idle, where they asked for nothing; or rate.",
            "reason",
        )
        for reason in ("connections", "idle", "rate"):
            self.refused[reason].inc(0)


@dataclass(slots=True, eq=False)
class Connection:
    """One that is open."""

    address: str
    scope: anyio.CancelScope
    idle: bool = True
    """Whether it asks for nothing: it is in its handshake, or between two requests."""


class Connections:
    """Accepts connections and has their requests answered, one at a time on each.

    `files` is how many the process may open.
    """

    def __init__(
        self,
        listener: socket.socket,
        tls: ssl.SSLContext,
        answer: Answer,
        metrics: ServerMetrics,
        files: int,
    ) -> None:
        self._listener = listener
        self._tls = tls
        self._answer = answer
        self._metrics = metrics
        self._limit = max(1, min(MAX_CONNECTIONS, files // FILES_SHARE))
        self._open: dict[Connection, None] = {}  # those that have been idle for longest come first
        self._out_of_files = False
        self._rate = RateLimiter(RATE, BURST)
        self._rates: OrderedDict[str, RateLimiter] = OrderedDict()
        metrics.connections["idle"].follow(lambda: sum(each.idle for each in self._open))
        metrics.connections["busy"].follow(lambda: sum(not each.idle for each in self._open))

    async def run(self) -> NoReturn:
        """Accept connections for ever."""
        async with anyio.create_task_group() as tasks:
            while True:
                await self._rate.acquire()
                await self._accept(tasks)
                # Where many wait, accepting one does not wait for anything.
                await anyio.lowlevel.checkpoint()
        raise AssertionError("the loop above does not end")

    async def _accept(self, tasks: anyio.abc.TaskGroup) -> None:
        """Accept one and begin to serve it, or close it."""
        try:
            accepted, peer = await asyncio.get_running_loop().sock_accept(self._listener)
        except ConnectionError:
            return  # the client has gone already
        except OSError as error:
            if not self._out_of_files:
                log.warning("Cannot accept connections", error=error)
            self._out_of_files = True
            await anyio.sleep(NO_FILES_SECONDS)
            return
        self._out_of_files = False
        address = str(peer[0])
        if not self._may_come(address):
            self._refuse("rate")
        elif not self._make_room(address):
            self._refuse("connections")
        else:
            connection = Connection(address, anyio.CancelScope())
            self._open[connection] = None
            tasks.start_soon(self._serve, connection, accepted)
            return
        accepted.close()

    def _may_come(self, address: str) -> bool:
        """Whether this address has not come too often of late."""
        rate = self._rates.get(address)
        if rate is None:
            rate = self._rates[address] = RateLimiter(RATE_OF_AN_ADDRESS, BURST_OF_AN_ADDRESS)
            if len(self._rates) > KNOWN_ADDRESSES:
                self._rates.popitem(last=False)
        self._rates.move_to_end(address)
        return rate.try_acquire()

    def _make_room(self, address: str) -> bool:
        """If there are too many, close the one that has been idle for longest; whether there is room."""
        same = [each for each in self._open if each.address == address]
        if len(same) >= min(MAX_OF_AN_ADDRESS, self._limit):
            candidates = same
        elif len(self._open) >= self._limit:
            candidates = list(self._open)
        else:
            return True
        idle = next((each for each in candidates if each.idle), None)
        if idle is None:
            return False
        self._end(idle, "connections")
        return True

    def _end(self, connection: Connection, reason: str) -> None:
        """Close a connection that is idle."""
        self._refuse(reason)
        self._open.pop(connection, None)
        connection.scope.cancel()

    def _refuse(self, reason: str) -> None:
        self._metrics.refused[reason].inc()

    async def _serve(self, connection: Connection, accepted: socket.socket) -> None:
        """Serve a connection until it ends."""
        reader = asyncio.StreamReader(limit=MAX_HEAD)
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        writer: asyncio.StreamWriter | None = None
        try:
            with connection.scope:
                transport, _ = await loop.connect_accepted_socket(
                    lambda: protocol, accepted, ssl=self._tls, ssl_handshake_timeout=FIRST_REQUEST_SECONDS
                )
                writer = asyncio.StreamWriter(transport, protocol, reader, loop)
                await self._converse(connection, reader, writer)
        except (OSError, TimeoutError):
            pass  # the client has gone, speaks no TLS, or does not read
        except Exception:
            log.exception("A request could not be answered")
        finally:
            self._open.pop(connection, None)
            if writer is None:
                accepted.close()
            else:
                if not writer.is_closing():
                    writer.close()
                writer.transport.abort()  # without waiting for the client's part of the shutdown

    async def _converse(
        self, connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer requests until one of the two has enough."""
        patience, again = FIRST_REQUEST_SECONDS, True
        while again:
            request: Request | None = None
            try:
                with anyio.fail_after(patience):
                    request = await read_request(reader)
            except TimeoutError:
                self._refuse("idle")
                return
            except RequestError as error:
                response, again = error.response, False
            else:
                if request is None:
                    return
                self._move(connection, idle=False)
                response, again = await self._respond(connection.address, request)
            await write_response(writer, response, request=request, keep_alive=again)
            self._move(connection, idle=True)
            patience = IDLE_SECONDS
        if response.streamed:
            # It may be on its way still. While TLS is shut down, whatever the client sends is read and
            # dropped, so that this is for callers who were let in.
            writer.close()
            with anyio.move_on_after(FIRST_REQUEST_SECONDS):
                await writer.wait_closed()

    def _move(self, connection: Connection, *, idle: bool) -> None:
        """Note that a connection is busy, or idle from now on."""
        connection.idle = idle
        if self._open.pop(connection, connection) is None:
            self._open[connection] = None

    async def _respond(self, address: str, request: Request) -> tuple[Response, bool]:
        """The answer to a request, and whether the connection is kept for another one."""
        if not self._may_come(address):
            self._refuse("rate")
            slower = Response(
                HTTPStatus.TOO_MANY_REQUESTS, "too many requests\n", headers={"Retry-After": "1"}
            )
            return slower, False
        await self._rate.acquire()
        return await self._answer(request), request.keep_alive
