"""A small pool of connections to one server."""

import asyncio
from collections import deque

from pallet.client.channel import Endpoint, Fence
from pallet.client.connection import Answer, Connection, NotSentError


class Pool:
    """Connections to one server, opened as they are needed, at most `limit`. Close it with `close`."""

    def __init__(self, endpoint: Endpoint, limit: int) -> None:
        self._endpoint = endpoint
        self._limit = limit
        self._open = 0
        self._idle: list[Connection] = []
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def send(
        self, request: bytes, seconds: float, connect_seconds: float, fence: Fence | None = None
    ) -> Answer:
        """Send a request over a free connection and give its answer. Raise as `Connection.exchange` does.

        `seconds` bounds the exchange, `connect_seconds` the opening of a connection if one is needed. The
        fence is asked after all waiting, when the bytes go out.
        """
        connection = await self._take(connect_seconds)
        try:
            return await connection.exchange(request, seconds, fence)
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
                return Connection(await self._endpoint.open())
        except (OSError, TimeoutError) as error:
            self._open -= 1
            self._wake_next()
            raise NotSentError(str(error) or f"no connection in {seconds:g} s") from error
        except BaseException:
            self._open -= 1
            self._wake_next()
            raise

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
