"""The fault-injecting proxy in a thread of its own, so that tests need no event loop."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tools.faults.proxy import Exchange, Fault, FaultProxy, answer, pass_on


@dataclass(frozen=True)
class Interception:
    """A proxy between a process and the API server, as the identity of a kubeconfig."""

    proxy: FaultProxy
    portal: BlockingPortal

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.proxy.url

    @property
    def requests(self) -> list[str]:
        """What came in so far, as `GET /api/v1/pods?watch=true`."""
        return list(self.proxy.requests)

    def on(self, method: str, path: str, fault: Fault, *, times: float = 1) -> None:
        """Let the next requests of a method, with a path that matches, meet a fault; older rules win."""
        self._call(lambda: self.proxy.on(method, path, fault, times=times))

    @contextmanager
    def refusing_to_bind(self, pod: str) -> Iterator[None]:
        """Have the API server refuse to bind a pod while the block runs: it is planned, and waits."""
        over: list[bool] = []

        async def refuse(exchange: Exchange) -> web.StreamResponse:
            return await (pass_on if over else answer(403))(exchange)

        self.on("POST", f"/pods/{pod}/binding$", refuse, times=math.inf)
        yield
        over.append(True)

    def cut_watches(self, path: str = "") -> None:
        """Break open watches."""
        self._call(lambda: self.proxy.cut_watches(path))

    def freeze_watches(self, path: str = "") -> None:
        """Let open watches go silent, with their connections open."""
        self._call(lambda: self.proxy.freeze_watches(path))

    def _call(self, function: Callable[[], None]) -> None:
        self.portal.call(function)


@contextmanager
def intercepting(kubeconfig: Path) -> Iterator[Interception]:
    """Have a proxy until the block is left."""
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(FaultProxy.start(str(kubeconfig))) as proxy,
    ):
        yield Interception(proxy, portal)
