"""Admission: what callers of the served planner may cost.

Whoever reaches the port can call, and every call is answered on the scheduler's event loop. So gRPC itself,
whose threads need no turn on the loop, bounds the connections, the calls in each, and the bytes of each. It
refuses what is beyond. Of the rest a stated number is begun in a second, the hosts in turn, and no message is
read before its call has begun.
"""

import asyncio
import functools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
import grpc
import grpc.aio

from pallet.client.limiter import RateLimiter
from pallet.planner.protocol import MAX_ANSWER, MAX_REQUEST

OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a share in it
    ("grpc.max_receive_message_length", MAX_REQUEST),
    ("grpc.max_send_message_length", MAX_ANSWER),
    ("grpc.max_metadata_size", 4096),
    ("grpc.absolute_max_metadata_size", 8192),
    ("grpc.max_allowed_incoming_connections", 128),
    ("grpc.max_concurrent_streams", 8),  # in one connection, as many as our own client has
    # What is sent beyond the window of 64 KiB waits at the caller until its call has begun.
    ("grpc.http2.bdp_probe", 0),
    # Connections that say nothing, have nothing to say, or live long, and peers that are gone.
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.max_connection_idle_ms", 10_000),
    ("grpc.max_connection_age_ms", 60_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)
"""The bounds that gRPC keeps by itself."""

CALLS_PER_SECOND: Final = 200.0
"""How many calls are begun, of any kind. One costs the loop some 200 µs, a plan not counted."""

BURST: Final = 100

CALL_BYTES: Final = 16 * 1024
"""A message counts as one call more for each of these: 1 MiB of names takes 5 ms to decode, 25 ms to use."""

MAX_LASTING: Final = 4
"""Calls of one lasting method (health watches, reflection) at a time."""

READ_SECONDS: Final = 5.0
"""How long a caller may take to send the message of a call that has begun."""

Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Method:
    """How a method is answered: by reading from the context and writing to it. A lasting one has no end."""

    answer: Callable[[Context], Awaitable[object]]
    lasting: bool = False


class RestingLock:
    """A lock that cannot be taken again for as long as it was held."""

    def __init__(self) -> None:
        self._lock = anyio.Lock()
        self._rested_at = 0.0

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Hold it while the block runs."""
        async with self._lock:
            await anyio.sleep(max(0.0, self._rested_at - anyio.current_time()))
            began = anyio.current_time()
            try:
                yield
            finally:
                self._rested_at = 2 * anyio.current_time() - began


class Turnstile:
    """Lets so many messages a second through; the hosts that have some waiting take turns."""

    def __init__(self) -> None:
        self._limiter = RateLimiter(CALLS_PER_SECOND, BURST)
        self._waiting: dict[str, dict[asyncio.Future[None], None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, host: str) -> None:
        """Wait for one's turn."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(host, {})[turn] = None
        if self._timer is None:
            self._serve()
        try:
            await turn
        finally:
            line = self._waiting.get(host, {})
            line.pop(turn, None)
            if not line:
                self._waiting.pop(host, None)

    async def read(self, context: Context) -> bytes | None:
        """The next message of a call that has entered; None where none comes in time. Its size counts."""
        message: object = None
        with anyio.move_on_after(READ_SECONDS):
            message = await context.read()
        if not isinstance(message, bytes):
            return None
        self._limiter.charge(len(message) // CALL_BYTES)
        return message

    def _serve(self) -> None:
        self._timer = None
        while self._waiting and self._limiter.try_acquire():
            host = next(iter(self._waiting))
            line = self._waiting.pop(host)
            turn = next(iter(line))
            del line[turn]
            if line:
                self._waiting[host] = line
            if not turn.done():
                turn.set_result(None)
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(1.0 / CALLS_PER_SECOND, self._serve)


if TYPE_CHECKING:
    _Handler = grpc.GenericRpcHandler[bytes, bytes]
else:  # it cannot be subscripted at run time
    _Handler = grpc.GenericRpcHandler


class Admission(_Handler):
    """The one door for all calls, to the methods by path and to unknown ones."""

    def __init__(self, methods: Mapping[str, Method], turnstile: Turnstile) -> None:
        self._methods = methods
        self._turnstile = turnstile
        self._lasting: Counter[str] = Counter()

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Serve every method as a stream of bytes: a message is then read and decoded when we want it."""
        return grpc.stream_stream_rpc_method_handler(functools.partial(self._admit, details.method))

    async def _admit(self, path: str, _requests: object, context: Context) -> None:
        await self._turnstile.enter(host_of(context))
        method = self._methods.get(path)
        if method is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such method")
        elif not method.lasting:
            await method.answer(context)
        elif self._lasting[path] >= MAX_LASTING:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"there are {MAX_LASTING} such calls already"
            )
        else:
            self._lasting[path] += 1
            try:
                await method.answer(context)
            finally:
                self._lasting[path] -= 1


def host_of(context: Context) -> str:
    """The address of who calls, without the port."""
    return context.peer().rpartition(":")[0]
