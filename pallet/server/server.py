"""The HTTPS server: /healthz, /livez, /readyz for everybody, the rest for whom the API server lets in."""

import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import anyio

from pallet.api.pod import Pod
from pallet.client import Client
from pallet.config.schema import KubeSchedulerConfiguration
from pallet.framework.instruments import Instruments
from pallet.loop_budget import LoopBudget
from pallet.server.access import Access, AccessError
from pallet.server.configz import configz
from pallet.server.connections import Answer, Connections, ServerMetrics
from pallet.server.exposition import exposition
from pallet.server.health import Checks, report
from pallet.server.http import Request, Response
from pallet.server.resources import CONTENT_TYPE, resource_metrics

REVIEW_QPS: Final = 10.0
REVIEW_BURST: Final = 20
"""How fast callers can make us ask the API server about them."""

BACKLOG: Final = 128
"""Connections that the kernel keeps until they are accepted."""


class ListenError(Exception):
    """The address cannot be listened on; the text says why and what to change."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What is shown."""

    live: Checks
    """/healthz and /livez: when one fails, the process should be restarted."""
    ready: Checks
    """/readyz."""
    instruments: Instruments
    """/metrics, and where the connections are counted."""
    pods: Callable[[], Iterable[Pod]]
    """The pods of /metrics/resources; none unless this process leads, as in kube-scheduler."""
    configuration: KubeSchedulerConfiguration


def listen(address: str, port: int) -> socket.socket:
    """Listen on an address and port; port 0 takes any that is free. Raise ListenError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = socket.create_server((address, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ListenError(
            f"cannot listen on {address} port {port}: {error.strerror or error}; "
            "choose others with --bind-address and --secure-port"
        ) from error
    listener.settimeout(0)
    return listener


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
        answer = _router(endpoints, Access(reviews), budget)
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        connections = Connections(listener, tls, answer, ServerMetrics(endpoints.instruments), files)
        with listener:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(connections.run)
                yield
                tasks.cancel_scope.cancel()


def _router(endpoints: Endpoints, access: Access, budget: LoopBudget) -> Answer:
    """What answers requests by their path."""
    pages: dict[str, Answer] = {
        "/healthz": _health("healthz", endpoints.live),
        "/livez": _health("livez", endpoints.live),
        "/readyz": _health("readyz", endpoints.ready),
        "/metrics": _guarded(access, _metrics(endpoints.instruments, budget)),
        "/metrics/resources": _guarded(access, _resources(endpoints.pods, budget)),
        "/configz": _guarded(access, _configz(endpoints.configuration)),
    }

    async def answer(request: Request) -> Response:
        page = pages.get(request.path)
        return await page(request) if page else Response(HTTPStatus.NOT_FOUND, "404: Not Found\n")

    return answer


def _guarded(access: Access, page: Answer) -> Answer:
    async def guarded(request: Request) -> Response:
        try:
            await access.admit(request.headers.get("authorization", ""), request.method.lower(), request.path)
        except AccessError as error:
            headers = {"WWW-Authenticate": "Bearer"} if error.status is HTTPStatus.UNAUTHORIZED else {}
            return Response(error.status, f"{error.message}\n", headers=headers)
        return await page(request)

    return guarded


def _health(endpoint: str, checks: Checks) -> Answer:
    async def health(request: Request) -> Response:
        healthy, text = report(endpoint, checks, verbose="verbose" in request.query)
        return Response(
            HTTPStatus.OK if healthy else HTTPStatus.INTERNAL_SERVER_ERROR,
            text,
            headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        )

    return health


def _metrics(instruments: Instruments, budget: LoopBudget) -> Answer:
    async def metrics(request: Request) -> Response:
        content_type, pieces = exposition(instruments.registry, request.headers.get("accept", ""))
        return Response(HTTPStatus.OK, _in_slices(pieces, budget), content_type)

    return metrics


def _resources(pods: Callable[[], Iterable[Pod]], budget: LoopBudget) -> Answer:
    async def resources(_: Request) -> Response:
        # The pods of now: the collection changes while this waits between two pieces.
        pieces = (piece.encode() for piece in resource_metrics(tuple(pods())))
        return Response(HTTPStatus.OK, _in_slices(pieces, budget), CONTENT_TYPE)

    return resources


async def _in_slices(pieces: Iterable[bytes], budget: LoopBudget) -> AsyncIterator[bytes]:
    """Make one piece after the other, as far as the loop budget goes."""
    for piece in pieces:
        if piece:
            yield piece
        if budget.exhausted:
            await budget.pause()


def _configz(configuration: KubeSchedulerConfiguration) -> Answer:
    async def show(_: Request) -> Response:
        return Response(HTTPStatus.OK, configz(configuration), "application/json")

    return show
