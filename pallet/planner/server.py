"""The built-in planner as a gRPC service, for others that speak the planner protocol.

Beside the planner it serves reflection and the standard health service. What callers may cost is bounded in
`admission`, and here: one plan is made at a time, few calls wait for theirs, and after each plan the planner
rests.
"""

import errno
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn, Protocol

import anyio
import anyio.abc
import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from pallet.api.pod import Pod
from pallet.cache.cache import Cache, Hold
from pallet.logs import get_logger
from pallet.loop_budget import LoopBudget
from pallet.planner.admission import (
    OPTIONS,
    Admission,
    Context,
    Method,
    RestingLock,
    Turnstile,
    host_of,
)
from pallet.planner.health import Health
from pallet.planner.interface import Plan, Planner, PlannerError
from pallet.planner.own_service import OwnService
from pallet.planner.problem import pod_infos, pose, waits
from pallet.planner.protocol import METHOD, SERVICE, TLSFiles
from pallet.planner.reflection import Reflection
from pallet.planner.wire.planner_pb2 import SchedulePlanRequest, SchedulePlanResponse
from pallet.runtime.profile import Profile

log = get_logger(__name__)

ADDRESS = "[::]:7777"
"""Where to listen: every address, IPv4 included."""

GRACE = 0.2
"""Seconds that calls in progress are given at the end: another replica may wait for the lease meanwhile."""

MAX_CALLS: Final = 16
"""Calls for plans at a time, until their answers are sent; one more is refused."""

MAX_CALLS_OF_HOST: Final = 8
"""Those of one host: as many as our own client makes for a plan."""

WRITE_SECONDS: Final = 5.0
"""How long a caller that does not read its answer counts. gRPC keeps the rest, until the connection is too
old."""


class Members(Protocol):
    """Knows the sets."""

    def __call__(self, namespace: str, pod_set: str) -> Sequence[Pod]:
        """The pods of a set, in any state; none for a set that does not exist."""
        ...


class PlannerServer:
    """Answers calls with plans made by a planner from the live model."""

    def __init__(
        self,
        planner: Planner,
        cache: Cache,
        profiles: Mapping[str, Profile],
        members: Members,
        budget: LoopBudget,
    ) -> None:
        self._planner = planner
        self._cache = cache
        self._profiles = profiles
        self._members = members
        self._budget = budget
        self._turnstile = Turnstile()
        self._planning = RestingLock()
        self._calls = Counter[str]()

    async def serve(
        self,
        address: str = ADDRESS,
        tls: TLSFiles | None = None,
        *,
        task_status: anyio.abc.TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled, then let calls in progress end; reports the port once it listens.

        With TLS files, clients must show a certificate of their CA. They are read once. Raises OSError when a
        file cannot be read, or the address cannot be listened on.
        """
        server = grpc.aio.server(options=OPTIONS)
        port = await _listen(server, address, tls)
        health = Health(self._turnstile)
        methods = {
            f"/{SERVICE}/{METHOD}": Method(self._build_schedule_plan),
            **health.methods(),
            **Reflection(self._turnstile).methods(),
        }
        server.add_generic_rpc_handlers((Admission(methods, self._turnstile),))
        await server.start()
        log.info(
            "Serving plans",
            address=address,
            callers="with a certificate" if tls else "anybody, since planner.tls is not configured",
        )
        task_status.started(port)
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                health.end()
                await server.stop(GRACE)
            log.info("Plans are served no longer", address=address)

    async def serve_while_selected(self, own_service: OwnService, tls: TLSFiles | None) -> None:
        """Serve at the usual address while the own Service sends its callers to our pod, until cancelled."""
        while True:
            await own_service.selection(of_us=True)
            async with anyio.create_task_group() as tasks:
                try:
                    await tasks.start(self.serve, ADDRESS, tls)
                except OSError as error:
                    # Whoever makes a Service must not end the process with it.
                    log.error(  # noqa: TRY400 - the traceback tells nothing more
                        "Plans are not served; configure another address as planner.address", error=error
                    )
                await own_service.selection(of_us=False)
                tasks.cancel_scope.cancel()

    async def _build_schedule_plan(self, context: Context) -> None:
        """Plan a set. The answer also names the nodes of pods that are placed already."""
        host = host_of(context)
        if self._calls.total() >= MAX_CALLS or self._calls[host] >= MAX_CALLS_OF_HOST:
            await _end(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls are waiting")
        self._calls[host] += 1
        try:
            request = await self._request(context)
            try:
                answer = await self._answer(request)
            except PlannerError as error:
                await _end(context, grpc.StatusCode.UNAVAILABLE, str(error))
            with anyio.move_on_after(WRITE_SECONDS):
                await context.write(answer.SerializeToString())
        finally:
            self._calls[host] -= 1
            self._calls += Counter()  # drops hosts without calls

    async def _request(self, context: Context) -> SchedulePlanRequest:
        """The request of a call, which is ended where it makes no sense."""
        message = await self._turnstile.read(context)
        try:
            request = SchedulePlanRequest.FromString(message or b"")
        except DecodeError:
            await _end(context, grpc.StatusCode.INVALID_ARGUMENT, "the request cannot be read")
        if not request.namespace or not request.podSet:
            await _end(context, grpc.StatusCode.INVALID_ARGUMENT, "namespace and podSet must be given")
        return request

    async def _answer(self, request: SchedulePlanRequest) -> SchedulePlanResponse:
        """The plan for a request, at once where the set has no pods."""
        if not self._members(request.namespace, request.podSet):
            return SchedulePlanResponse()
        async with self._planning.hold():
            members = self._members(request.namespace, request.podSet)
            waiting, placed = [], {}
            for pod in members:
                if self._budget.exhausted:
                    await self._budget.pause()
                if node := self._node_of(pod):
                    placed[pod.metadata.name] = node
                elif waits(pod, self._cache, self._profiles):
                    waiting.append(pod)
            plan = await self._plan(request, waiting) if waiting else Plan(self._planner.name)
        return SchedulePlanResponse(assignments={**plan.assignments, **placed}, refused=plan.refused)

    async def _plan(self, request: SchedulePlanRequest, waiting: Sequence[Pod]) -> Plan:
        eligible = {}
        if request.eligibleNodes:
            eligible[request.scheduledPod] = frozenset(request.eligibleNodes)
        key = (request.namespace, request.podSet)
        infos = await pod_infos(waiting, self._budget)
        problem = pose(self._cache, self._profiles, *key, infos, eligible=eligible)
        with problem.snapshot:
            return await self._planner.plan(problem)

    def _node_of(self, pod: Pod) -> str | None:
        """The node that a pod is bound to, or is about to be."""
        held = self._cache.location(pod.metadata.uid)
        if held is None or held.hold is Hold.RESERVED:
            return None
        return held.node


async def _end(context: Context, code: grpc.StatusCode, details: str) -> NoReturn:
    await context.abort(code, details)
    raise AssertionError("abort raises")


async def _listen(server: grpc.aio.Server, address: str, tls: TLSFiles | None) -> int:
    credentials = None
    if tls is not None:
        ca, certificate, key = await tls.read()
        credentials = grpc.ssl_server_credentials([(key, certificate)], ca, require_client_auth=True)
    try:
        await _try(address)
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except (OSError, RuntimeError) as error:
        raise OSError(f"the planner cannot listen on {address}: {error}") from error


async def _try(address: str) -> None:
    """Raise OSError where an address is taken or forbidden: gRPC does not say why it cannot listen on one."""
    host, _, port = address.rpartition(":")
    try:
        async with await anyio.create_tcp_listener(local_host=host.strip("[]"), local_port=int(port)):
            pass
    except OSError as error:
        if error.errno in {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL}:
            raise OSError(os.strerror(error.errno)) from error
