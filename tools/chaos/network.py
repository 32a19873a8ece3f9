"""The line between a replica and the API server: what its watches and its answers meet."""

import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from aiohttp import web

from tools.chaos.history import Blind, Happened
from tools.chaos.timeline import Fault
from tools.faults import proxy
from tools.faults.proxy import Exchange, FaultProxy, OpenWatch, gone, pass_on

ARMED_SECONDS = 40.0
"""How long a fault waits for a request that it can meet."""

WRITES = ("POST", "PUT", "PATCH", "DELETE")

TARGETS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "lease": (("GET", "PUT", "POST"), r"/leases"),
    "binding": (("POST",), r"/binding$"),
    "plan": (WRITES, r"/scheduleplans"),
    "trigger": (WRITES, r"/scheduletriggers"),
    "status": (WRITES, r"/pods/[^/]+/status$"),
    "event": (WRITES, r"/events"),
    "read": (("GET",), r""),
    "any": (("GET", *WRITES), r""),
}
"""Methods and paths of the requests that a fault can be for; watches are not among them."""

EXPIRED = {
    "type": "ERROR",
    "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"},
}
BROKEN = {"type": "ERROR", "object": {"kind": "Status", "code": 500, "reason": "InternalError"}}

EDITS: Mapping[str, proxy.Edit] = {
    "half": lambda line: (line[: len(line) // 2],),
    "noise": lambda line: (bytes(byte ^ 0x5A for byte in line[:200]).replace(b"\n", b"?") + line[200:],),
    "error 410": lambda _: (json.dumps(EXPIRED).encode(),),
    "error 500": lambda _: (json.dumps(BROKEN).encode(),),
    "twice": lambda line: (line, line),
    "empty object": lambda _: (b"{}",),
}
"""What becomes of a line of a watch."""


@dataclass(slots=True, eq=False)
class Armed:
    """A fault that waits for requests."""

    fault: Fault
    until: float
    left: int
    met: bool = False

    def meets(self, request: web.BaseRequest, now: float) -> bool:
        """Whether this request is for it."""
        methods, path = TARGETS[self.fault.what]
        return (
            self.left > 0
            and now < self.until
            and request.method in methods
            and request.query.get("watch") != "true"
            and re.search(path, request.path) is not None
        )


@dataclass(slots=True)
class Line(FaultProxy):
    """The proxy of one replica. It tells which faults met something, and when watches were not served."""

    replica: str = ""
    take: Callable[[Happened | Blind], None] = lambda _: None
    renewed_at: float = 0.0
    """When the replica last wrote the lease."""
    served: int = 0
    """Requests so far, watches included."""
    armed: list[Armed] = field(default_factory=list)
    _sight: dict[str, "_Sight"] = field(default_factory=dict)

    def log(self, request: web.BaseRequest) -> None:
        """Count a request."""
        self.served += 1
        if request.method == "PUT" and "/leases/" in request.path:
            self.renewed_at = time.time()

    def arm(self, fault: Fault) -> None:
        """Let requests meet a fault of answers."""
        now = time.time()
        self.armed = [each for each in self.armed if each.left > 0 and now < each.until]
        self.armed.append(Armed(fault, now + ARMED_SECONDS, fault.times))

    def disarm(self) -> None:
        """Let no request meet anything any more."""
        self.armed.clear()

    def fault_for(self, exchange: Exchange) -> proxy.Fault | None:
        """What a request meets."""
        now = time.time()
        armed = next((each for each in self.armed if each.meets(exchange.request, now)), None)
        if armed is None:
            return None
        armed.left -= 1
        fault = armed.fault
        if not armed.met:
            armed.met = True
            detail = f"{fault.variant or fault.seconds} {exchange.request.method} {exchange.request.path}"
            self.take(Happened(now, fault.kind, self.replica, detail))
        return ANSWERS[fault.kind](fault)

    def watches(self, part: str) -> list[OpenWatch]:
        """The open watches of a resource; all of them where it is empty."""
        return [watch for watch in self._watches if not part or watch.path.endswith(f"/{part}")]

    @contextmanager
    def watching(self, path: str, response: web.StreamResponse) -> Iterator[OpenWatch]:
        """Keep a watch among the open ones, and record when it is served."""
        resource = path.rpartition("/")[2]
        with FaultProxy.watching(self, path, response) as watch:
            self.sight(resource).begin(watch)
            try:
                yield watch
            finally:
                self.sight(resource).end(watch)

    def sight(self, resource: str) -> "_Sight":
        """Whether changes of a resource reach the replica."""
        return self._sight.setdefault(resource, _Sight(self.replica, resource, self.take))

    def close_sights(self) -> None:
        """The record ends: tell of what has not been seen until now."""
        for sight in self._sight.values():
            sight.close()

    async def freeze_for(self, watches: list[OpenWatch], seconds: float) -> None:
        """Let watches be silent for a while; 0 is for ever."""
        for watch in watches:
            watch.freeze()
            self.sight(watch.path.rpartition("/")[2]).end(watch)
        if seconds:
            await anyio.sleep(seconds)
            self.thaw(watches)

    def thaw(self, watches: list[OpenWatch]) -> None:
        """Let watches go on."""
        for watch in watches:
            if watch in self._watches and watch.frozen:
                watch.thaw()
                self.sight(watch.path.rpartition("/")[2]).begin(watch)


class _Sight:
    """When no watch of a resource was served to a replica."""

    def __init__(self, replica: str, resource: str, take: Callable[[Blind], None]) -> None:
        self._replica, self._resource, self._take = replica, resource, take
        self._served: set[OpenWatch] = set()
        self._blind_since: float | None = time.time()

    def begin(self, watch: OpenWatch) -> None:
        if not self._served and self._blind_since is not None:
            self._take(Blind(self._replica, self._resource, self._blind_since, time.time()))
            self._blind_since = None
        self._served.add(watch)

    def close(self) -> None:
        if self._blind_since is not None:
            self._take(Blind(self._replica, self._resource, self._blind_since, time.time()))

    def end(self, watch: OpenWatch) -> None:
        if watch in self._served:
            self._served.discard(watch)
            if not self._served:
                self._blind_since = time.time()


def _delayed(fault: Fault) -> proxy.Fault:
    async def meet(exchange: Exchange) -> web.StreamResponse:
        answer = await pass_on(exchange)
        await anyio.sleep(fault.seconds)
        return answer

    return meet


def _dropped(fault: Fault) -> proxy.Fault:
    return proxy.lose_answer if fault.variant == "done" else proxy.cut


async def _truncated(exchange: Exchange) -> web.StreamResponse:
    """Half of the answer, then the end of the connection."""
    async with exchange.proxy.ask(exchange) as answer:
        body = await answer.read()
    response = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(exchange.request)
    await response.write(body[: len(body) // 2])
    return gone(exchange)


async def _lost(exchange: Exchange) -> web.StreamResponse:
    """The request is carried out, and nothing more is heard."""
    async with exchange.proxy.ask(exchange) as answer:
        await answer.read()
    await anyio.sleep_forever()
    raise AssertionError("never")


async def _garbled(exchange: Exchange) -> web.StreamResponse:
    """An answer that says nothing."""
    async with exchange.proxy.ask(exchange) as answer:
        body = await answer.read()
    noise = bytes(byte ^ 0x5A for byte in body)
    return web.Response(status=answer.status, headers={"Content-Type": "application/json"}, body=noise)


def _refused(fault: Fault) -> proxy.Fault:
    """A status instead of an answer; `done` says that the request was carried out all the same."""
    word, _, done = fault.variant.partition(" ")
    headers = {"Retry-After": "1"} if word == "429" else {}
    instead = proxy.answer(int(word), headers=headers)

    async def meet(exchange: Exchange) -> web.StreamResponse:
        if done:
            async with exchange.proxy.ask(exchange) as answer:
                await answer.read()
        return await instead(exchange)

    return meet


ANSWERS: Mapping[str, Callable[[Fault], proxy.Fault]] = {
    "answers delayed": _delayed,
    "answers dropped": _dropped,
    "answers truncated": lambda _: _truncated,
    "answers lost": lambda _: _lost,
    "answers garbled": lambda _: _garbled,
    "answers 4xx": _refused,
    "answers 5xx": _refused,
}


@asynccontextmanager
async def line(
    kubeconfig: str, certificate: Any, replica: str, take: Callable[[Happened | Blind], None]
) -> AsyncIterator[Line]:
    """Have a line, over TLS, until left."""
    async with Line.start(kubeconfig, certificate=certificate) as started:
        started.keeps_connections = True
        started.replica, started.take = replica, take
        yield started
