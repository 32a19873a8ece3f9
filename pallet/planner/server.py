"""The built-in planner as a gRPC service, for others that speak the planner protocol.

Beside the planner it serves reflection and the standard health service.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import anyio
import anyio.abc
import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from pallet.api.pod import Pod
from pallet.cache.cache import Cache, Hold
from pallet.framework.profile import Profile
from pallet.planner.interface import Planner, PlannerError
from pallet.planner.problem import pose
from pallet.planner.protocol import CHANNEL_OPTIONS, METHOD, SERVICE, TLSFiles
from pallet.planner.wire.planner_pb2 import SchedulePlanRequest, SchedulePlanResponse

ADDRESS = "[::]:7777"
"""Where to listen: every address, IPv4 included."""

GRACE = 5.0
"""Seconds that calls in progress are given at the end."""

_MAX_CALLS = 32
"""Calls at a time, health and reflection included; one more is refused. Plans are made one after another."""

_OPTIONS = (
    *CHANNEL_OPTIONS,
    ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a share in it
)

_Context = grpc.aio.ServicerContext[SchedulePlanRequest, SchedulePlanResponse]


class Members(Protocol):
    """Knows the sets."""

    def __call__(self, namespace: str, pod_set: str) -> Sequence[Pod]:
        """The pods of a set, in any state; none for a set that does not exist."""
        ...


class PlannerServer:
    """Answers calls with plans made by a planner from the live model."""

    def __init__(
        self, planner: Planner, cache: Cache, profiles: Mapping[str, Profile], members: Members
    ) -> None:
        self._planner = planner
        self._cache = cache
        self._profiles = profiles
        self._members = members
        self._planning = anyio.Lock()

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
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=_MAX_CALLS)
        port = await _listen(server, address, tls)
        server.add_generic_rpc_handlers((self._handler(),))
        healths = health.aio.HealthServicer()  # type: ignore[attr-defined]  # missing in the stubs
        health_pb2_grpc.add_HealthServicer_to_server(healths, server)
        await healths.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        await server.start()
        task_status.started(port)
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await healths.enter_graceful_shutdown()
                await server.stop(GRACE)

    def _handler(self) -> "grpc.GenericRpcHandler[Any, Any]":
        method = grpc.unary_unary_rpc_method_handler(
            self._build_schedule_plan,
            request_deserializer=SchedulePlanRequest.FromString,
            response_serializer=SchedulePlanResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {METHOD: method})

    async def _build_schedule_plan(
        self, request: SchedulePlanRequest, context: _Context
    ) -> SchedulePlanResponse:
        """Plan a set. The answer also names the nodes of pods that are placed already."""
        if not request.namespace or not request.podSet:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "namespace and podSet must be given")
        async with self._planning:
            members = self._members(request.namespace, request.podSet)
            placed = {pod.metadata.name: node for pod in members if (node := self._node_of(pod))}
            nodes = frozenset(request.eligibleNodes) or None
            problem = pose(
                self._cache, self._profiles, request.namespace, request.podSet, members, nodes=nodes
            )
            try:
                plan = await self._planner.plan(problem)
            except PlannerError as error:
                await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        return SchedulePlanResponse(assignments={**placed, **plan.assignments}, refused=plan.refused)

    def _node_of(self, pod: Pod) -> str | None:
        """The node that a pod is bound to, or is about to be."""
        held = self._cache.placement(pod.metadata.uid)
        if held is None or held.hold is Hold.RESERVED:
            return None
        return held.node


async def _listen(server: grpc.aio.Server, address: str, tls: TLSFiles | None) -> int:
    credentials = None
    if tls is not None:
        ca, certificate, key = await tls.read()
        credentials = grpc.ssl_server_credentials([(key, certificate)], ca, require_client_auth=True)
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise OSError(f"the planner cannot listen on {address}: {error}") from error
