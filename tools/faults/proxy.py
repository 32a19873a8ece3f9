"""A proxy between a client and the API server that fails on demand.

It speaks plain HTTP to the client, or TLS, and the API server's own protocol upstream, as the identity of a
kubeconfig; a client reaches it with `master=proxy.url`. What a request meets is decided by rules, what an
open watch meets by `cut_watches`, `freeze_watches` and `inject`:

    async with FaultProxy.start(kubeconfig) as proxy:
        proxy.on("GET", "/api/v1/pods", answer(503), times=2)
        proxy.on("POST", "/binding", lose_answer)

Without a kubeconfig there is nothing upstream, and only the rules answer: a scripted API server.
"""

import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
import anyio
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from pallet.client.credentials import Credentials

HOP_BY_HOP = ("Host", "Connection", "Content-Length", "Transfer-Encoding", "Date", "Server")

_REASONS = {404: "NotFound", 409: "Conflict", 410: "Expired"}

Edit = Callable[[bytes], Iterable[bytes]]
"""Gives what is sent instead of a line of a watch; nothing drops it, two lines duplicate it."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request on its way through the proxy."""

    proxy: "FaultProxy"
    request: web.BaseRequest
    body: bytes

    @property
    def query(self) -> Mapping[str, str]:
        """The request's parameters."""
        return self.request.query


Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Rule:
    """Which requests meet a fault, and how often."""

    method: str
    path: re.Pattern[str]
    query: Mapping[str, str]
    fault: Fault
    times: float

    def meets(self, request: web.BaseRequest) -> bool:
        """Whether this request is one of them."""
        return (
            self.times > 0
            and request.method == self.method
            and self.path.search(request.path) is not None
            and all(request.query.get(name) == value for name, value in self.query.items())
        )


@dataclass(slots=True, eq=False)
class OpenWatch:
    """A watch that is being passed on. `edits` are for its next lines, one each."""

    path: str
    response: web.StreamResponse
    edits: list[Edit] = field(default_factory=list)
    _thawed: anyio.Event | None = None

    @property
    def frozen(self) -> bool:
        """Whether it is silent, with its connection open."""
        return self._thawed is not None

    def freeze(self) -> None:
        """Let it go silent."""
        self._thawed = self._thawed or anyio.Event()

    def thaw(self) -> None:
        """Let it go on where it was."""
        thawed, self._thawed = self._thawed, None
        if thawed is not None:
            thawed.set()

    def cut(self) -> None:
        """Break its connection."""
        _abort(self.response)

    async def passable(self) -> None:
        """Wait while it is frozen."""
        while self._thawed is not None:
            await self._thawed.wait()


@dataclass(slots=True)
class FaultProxy:
    """See the module. `requests` logs what came in, as `GET /api/v1/pods?watch=true`."""

    upstream: Credentials | None
    session: aiohttp.ClientSession
    url: str = ""
    requests: list[str] = field(default_factory=list)
    keeps_connections: bool = False
    """Whether connections to the API server are used again: not in a test, whose loop may be closed first."""
    _rules: list[Rule] = field(default_factory=list)
    _watches: set[OpenWatch] = field(default_factory=set)
    _changed: anyio.Event = field(default_factory=anyio.Event)

    @classmethod
    @asynccontextmanager
    async def start(
        cls, kubeconfig: str | None = None, port: int = 0, certificate: ssl.SSLContext | None = None
    ) -> AsyncIterator[Self]:
        """Listen on a port, or a free one, until left; requests that are still open then are cut."""
        upstream = await Credentials.load(kubeconfig) if kubeconfig else None
        tls = upstream.tls if upstream and upstream.tls else True
        connector = aiohttp.TCPConnector(limit=0, ssl=tls)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            proxy = cls(upstream, session)
            server = web.Server(proxy._serve, access_log=None, handler_cancellation=True)
            runner = web.ServerRunner(server, shutdown_timeout=0.01)
            await runner.setup()
            try:
                site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=certificate)
                await site.start()
                scheme = "https" if certificate else "http"
                proxy.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
                yield proxy
            finally:
                await runner.cleanup()

    def on(
        self,
        method: str,
        path: str,
        fault: Fault,
        *,
        times: float = 1,
        query: Mapping[str, str] | None = None,
    ) -> None:
        """Let the next requests of a method, with a path that contains the pattern, meet a fault."""
        self._rules.append(Rule(method, re.compile(path), query or {}, fault, times))

    async def wait_for(self, pattern: str, count: int = 1) -> None:
        """Wait until so many of the requests that came in match the pattern."""
        await self.until(lambda: sum(bool(re.search(pattern, seen)) for seen in self.requests) >= count)

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait for what becomes true as a request arrives or a watch ends."""
        while not done():
            await self._changed.wait()

    def cut_watches(self, path: str = "") -> None:
        """Break the connections of open watches whose path contains this."""
        for watch in self._chosen(path):
            watch.cut()

    def freeze_watches(self, path: str = "") -> None:
        """Let open watches go silent for ever, with their connections open."""
        for watch in self._chosen(path):
            watch.freeze()

    async def inject(self, event: Mapping[str, Any], path: str = "") -> None:
        """Put an event of our own into open watches."""
        for watch in self._chosen(path):
            await watch.response.write(json.dumps(event).encode() + b"\n")

    @property
    def open_watches(self) -> int:
        """How many watches are being passed on."""
        return len(self._watches)

    def _chosen(self, path: str) -> list[OpenWatch]:
        chosen = [watch for watch in self._watches if path in watch.path]
        if not chosen:
            raise LookupError(f"no open watch of {path or 'anything'}; the fault would hit nothing")
        return chosen

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Find what the request meets."""
        self.log(request)
        self._tell()
        exchange = Exchange(self, request, await request.read())
        fault = self.fault_for(exchange)
        try:
            return await (fault(exchange) if fault else pass_on(exchange))
        except aiohttp.ClientError:
            return gone(exchange)  # as it looks to a client when the API server goes away

    def log(self, request: web.BaseRequest) -> None:
        """Record a request."""
        self.requests.append(f"{request.method} {request.path_qs}")

    def fault_for(self, exchange: Exchange) -> Fault | None:
        """What a request meets: the first rule that is not used up."""
        rule = next((rule for rule in self._rules if rule.meets(exchange.request)), None)
        if rule is None:
            return None
        rule.times -= 1
        return rule.fault

    @asynccontextmanager
    async def ask(self, exchange: Exchange) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask the API server what the client asked."""
        if self.upstream is None:
            raise LookupError(f"nothing upstream, and no rule for {exchange.request.path}")
        headers = CIMultiDict(exchange.request.headers)
        for name in HOP_BY_HOP:
            headers.popall(name, None)
        if authorization := await self.upstream.authorization():
            headers["Authorization"] = authorization
        async with self.session.request(
            exchange.request.method,
            URL(self.upstream.address + exchange.request.path_qs, encoded=True),
            headers=headers,
            data=exchange.body,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:
            try:
                yield answer
            finally:
                # Without TLS's farewell: the loop of a test may be closed before the server answers it.
                connection = None if self.keeps_connections else answer.connection
                if connection is not None and connection.transport is not None:
                    connection.transport.abort()

    @contextmanager
    def watching(self, path: str, response: web.StreamResponse) -> Iterator[OpenWatch]:
        """Keep a watch among the open ones."""
        watch = OpenWatch(path, response)
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)
            self._tell()

    def _tell(self) -> None:
        """Wake those who wait."""
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


async def pass_on(exchange: Exchange, edit: Edit | None = None) -> web.StreamResponse:
    """No fault: the answer goes through, a watch line by line."""
    async with exchange.proxy.ask(exchange) as answer:
        headers = {name: value for name, value in answer.headers.items() if name not in HOP_BY_HOP}
        if exchange.query.get("watch") != "true" or answer.status >= 300:
            return web.Response(status=answer.status, headers=headers, body=await answer.read())
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(exchange.request)
        with suppress(ConnectionError), exchange.proxy.watching(exchange.request.path, response) as watch:
            async for line in _lines(answer):
                await watch.passable()
                change = watch.edits.pop(0) if watch.edits else edit
                for edited in change(line) if change else (line,):
                    await response.write(edited + b"\n")
                if exchange.request.transport is None or exchange.request.transport.is_closing():
                    break  # the client has gone, which a chunk of many lines would not notice
        return response


def edit_watch(edit: Edit) -> Fault:
    """Change the lines of a watch."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        return await pass_on(exchange, edit)

    return fault


def answer(status: int, body: object = None, headers: Mapping[str, str] | None = None) -> Fault:
    """Answer in the API server's place: with bytes as they are, with JSON, or with a bare Status."""
    if body is None:
        reason = _REASONS.get(status, "")
        body = {"kind": "Status", "code": status, "message": f"the test says {status}"}
        body |= {"status": "Success"} if status < 300 else {"status": "Failure", "reason": reason}

    async def fault(_: Exchange) -> web.StreamResponse:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(
            status=status, headers={"Content-Type": "application/json", **(headers or {})}, body=content
        )

    return fault


async def cut(exchange: Exchange) -> web.StreamResponse:
    """Break the connection before the request reaches the API server."""
    return gone(exchange)


async def lose_answer(exchange: Exchange) -> web.StreamResponse:
    """Have the request carried out, and break the connection instead of answering."""
    async with exchange.proxy.ask(exchange) as reply:
        await reply.read()
    return gone(exchange)


async def freeze(_: Exchange) -> web.StreamResponse:
    """Take the request and never answer."""
    await anyio.sleep_forever()
    raise AssertionError("never")


def hold(until: anyio.Event) -> Fault:
    """Pass the request on, but only after an event."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        await until.wait()
        return await pass_on(exchange)

    return fault


def gone(exchange: Exchange) -> web.StreamResponse:
    """Leave the client without an answer."""
    if exchange.request.transport is not None:
        exchange.request.transport.abort()
    return web.Response()  # goes nowhere


def _abort(response: web.StreamResponse) -> None:
    request = response._req  # the only way from an answer to its connection
    if request is not None and request.transport is not None:
        request.transport.abort()


async def _lines(reply: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in reply.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
