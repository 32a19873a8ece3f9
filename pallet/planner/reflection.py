"""The reflection service of gRPC: what is served here, for tools that have no copy of the protocol."""

from collections.abc import AsyncIterator

from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from pallet.planner import health
from pallet.planner.admission import Context, Method, Turnstile, host_of
from pallet.planner.protocol import SERVICE


class Reflection:
    """Answers questions about the services. A question waits for its turn like a call."""

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile
        names = (SERVICE, health.NAME, reflection.SERVICE_NAME)
        self._servicer = reflection.aio.ReflectionServicer(names)  # type: ignore[attr-defined]  # missing in the stubs

    def methods(self) -> dict[str, Method]:
        """The method by path."""
        return {f"/{reflection.SERVICE_NAME}/ServerReflectionInfo": Method(self._answer, lasting=True)}

    async def _answer(self, context: Context) -> None:
        async for answer in self._servicer.ServerReflectionInfo(self._questions(context), context):
            await context.write(answer.SerializeToString())

    async def _questions(self, context: Context) -> AsyncIterator[ServerReflectionRequest]:
        """The questions of one call, which ends when no more come."""
        while message := await self._turnstile.read(context):
            try:
                question = ServerReflectionRequest.FromString(message)
            except DecodeError:
                return
            yield question
            await self._turnstile.enter(host_of(context))
