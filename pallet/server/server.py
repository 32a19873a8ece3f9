"""The HTTPS server: /healthz, /livez, /readyz for everybody, the rest for whom the API server lets in."""

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import anyio
from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from pallet.api.pod import Pod
from pallet.client import Client
from pallet.config.schema import KubeSchedulerConfiguration
from pallet.loop_budget import LoopBudget
from pallet.server.access import Access, AccessError
from pallet.server.configz import configz
from pallet.server.health import Checks, report
from pallet.server.resources import CONTENT_TYPE, resource_metrics

REVIEW_QPS: Final = 10.0
REVIEW_BURST: Final = 20
"""How fast callers can make us ask the API server about them."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ListenError(Exception):
    """The address cannot be listened on; the text says why and what to change."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What is shown."""

    live: Checks
    """/healthz and /livez: when one fails, the process should be started anew."""
    ready: Checks
    """/readyz."""
    metrics: CollectorRegistry
    pods: Callable[[], Iterable[Pod]]
    """The pods of /metrics/resources; none unless this process leads, as in kube-scheduler."""
    configuration: KubeSchedulerConfiguration


def listen(address: str, port: int) -> socket.socket:
    """Listen on an address and port; port 0 takes any that is free. Raise ListenError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family)
    except OSError as error:
        raise ListenError(
            f"cannot listen on {address} port {port}: {error.strerror or error}; "
            "choose others with --bind-address and --secure-port"
        ) from error


@asynccontextmanager
async def serve(
    listener: socket.socket,
    tls: ssl.SSLContext,
    endpoints: Endpoints,
    client: Client,
    budget: LoopBudget,
) -> AsyncIterator[None]:
    """Serve on the socket, and close it, while the block runs. `client` lends its credentials for reviews."""
    async with client.with_limiter(REVIEW_QPS, REVIEW_BURST) as reviews:
        runner = web.AppRunner(
            _application(endpoints, Access(reviews), budget),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
        )
        await runner.setup()
        try:
            await web.SockSite(runner, listener, ssl_context=tls).start()
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()
            listener.close()


def _application(endpoints: Endpoints, access: Access, budget: LoopBudget) -> web.Application:
    application = web.Application()
    for path, checks in (
        ("/healthz", endpoints.live),
        ("/livez", endpoints.live),
        ("/readyz", endpoints.ready),
    ):
        application.router.add_get(path, _health(path.removeprefix("/"), checks))
    for path, handler in (
        ("/metrics", _metrics(endpoints.metrics)),
        ("/metrics/resources", _resources(endpoints.pods, budget)),
        ("/configz", _configz(endpoints.configuration)),
    ):
        application.router.add_get(path, _guarded(access, handler))
    return application


def _guarded(access: Access, handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        authorization = request.headers.get(hdrs.AUTHORIZATION, "")
        try:
            await access.admit(authorization, request.method.lower(), request.path)
        except AccessError as error:
            headers = {hdrs.WWW_AUTHENTICATE: "Bearer"} if error.status is HTTPStatus.UNAUTHORIZED else {}
            return web.Response(status=error.status, text=f"{error.message}\n", headers=headers)
        return await handler(request)

    return guarded


def _health(endpoint: str, checks: Checks) -> Handler:
    async def health(request: web.Request) -> web.StreamResponse:
        healthy, text = report(endpoint, checks, verbose="verbose" in request.query)
        return web.Response(
            status=HTTPStatus.OK if healthy else HTTPStatus.INTERNAL_SERVER_ERROR,
            text=text,
            headers={hdrs.CACHE_CONTROL: "no-store", "X-Content-Type-Options": "nosniff"},
        )

    return health


def _metrics(registry: CollectorRegistry) -> Handler:
    async def metrics(request: web.Request) -> web.StreamResponse:
        encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=encode(registry), headers={hdrs.CONTENT_TYPE: content_type})

    return metrics


def _resources(pods: Callable[[], Iterable[Pod]], budget: LoopBudget) -> Handler:
    async def resources(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})
        await response.prepare(request)
        # The pods of now: the collection changes while this waits between two pieces.
        for piece in resource_metrics(tuple(pods())):
            await response.write(piece.encode())
            if budget.exhausted:
                await budget.pause()
        await response.write_eof()
        return response

    return resources


def _configz(configuration: KubeSchedulerConfiguration) -> Handler:
    async def show(_: web.Request) -> web.StreamResponse:
        return web.Response(body=configz(configuration), content_type="application/json")

    return show
