"""The standard health service of gRPC, for those who ask before they call."""

import anyio
import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1.health_pb2 import DESCRIPTOR, HealthCheckRequest, HealthCheckResponse

from pallet.planner.admission import Context, Method, Turnstile
from pallet.planner.protocol import SERVICE

NAME: str = DESCRIPTOR.services_by_name["Health"].full_name

_SERVING = HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString()
_NOT_SERVING = HealthCheckResponse(status=HealthCheckResponse.NOT_SERVING).SerializeToString()
_UNKNOWN = HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN).SerializeToString()


class Health:
    """The health of the planner: it serves until the end begins."""

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile
        self._ending = anyio.Event()

    def methods(self) -> dict[str, Method]:
        """The methods by path."""
        return {f"/{NAME}/Check": Method(self._check), f"/{NAME}/Watch": Method(self._watch, lasting=True)}

    def end(self) -> None:
        """Serve no longer, and tell those who watch."""
        self._ending.set()

    async def _check(self, context: Context) -> None:
        if not await self._is_known(context):
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        await context.write(_NOT_SERVING if self._ending.is_set() else _SERVING)

    async def _watch(self, context: Context) -> None:
        known = await self._is_known(context)
        await context.write(_SERVING if known else _UNKNOWN)
        await self._ending.wait()
        if known:
            await context.write(_NOT_SERVING)

    async def _is_known(self, context: Context) -> bool:
        """Whether the service that is asked about is served here; the empty name means all of them."""
        message = await self._turnstile.read(context)
        try:
            return HealthCheckRequest.FromString(message or b"").service in {"", SERVICE}
        except DecodeError:
            return False
