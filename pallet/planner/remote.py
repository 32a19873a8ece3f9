"""Planners behind a Service, called over gRPC."""

from typing import Protocol

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from pallet.loop_budget import LoopBudget
from pallet.planner.check import check
from pallet.planner.interface import Plan, PlannerError, Problem
from pallet.planner.placement import eligible_nodes, place
from pallet.planner.protocol import CHANNEL_OPTIONS, METHOD, PLANNER_PORT, SERVICE, TLSFiles
from pallet.planner.wire.planner_pb2 import SchedulePlanRequest, SchedulePlanResponse

CALL_TIMEOUT = 15.0
"""Seconds from dialling to the whole answer, unless configured (argument `callTimeout`)."""

_OPTIONS = (
    *CHANNEL_OPTIONS,
    ("grpc.enable_http_proxy", 0),  # a proxy of the surroundings knows no Services
    ("grpc.service_config_disable_resolution", 1),  # no TXT records: they could change how calls are made
    ("grpc.enable_retries", 0),  # one call for one set
)
_MAX_DETAILS = 300


class Resolver(Protocol):
    """Says where to dial a planner."""

    def __call__(self, namespace: str, service: str) -> str:
        """The `host:port` of a Service."""
        ...


def service_address(namespace: str, service: str) -> str:
    """The DNS name of a Service, relative to the cluster's domain, and the planners' port."""
    return f"{service}.{namespace}.svc:{PLANNER_PORT}"


class RemotePlanner:
    """The planner behind one Service. Each plan takes one call on a connection of its own."""

    def __init__(
        self,
        namespace: str,
        service: str,
        budget: LoopBudget,
        *,
        call_timeout: float = CALL_TIMEOUT,
        tls: TLSFiles | None = None,
        resolve: Resolver = service_address,
    ) -> None:
        self.name = f"{namespace}/{service}"
        self._address = resolve(namespace, service)
        self._budget = budget
        self._call_timeout = call_timeout
        self._tls = tls

    async def plan(self, problem: Problem) -> Plan:
        """Ask for a plan and check it (see `check`).

        Raises PlannerError when the planner cannot be reached, reports an error, answers too much, or has not
        answered in full when the time is up.
        """
        eligible = await eligible_nodes(problem, self._budget)
        if not eligible:  # to the planner an empty list would mean all nodes
            reasons = (await place(problem, problem.pods, self._budget)).refused
            return Plan(self.name, refused=reasons)
        request = SchedulePlanRequest(
            namespace=problem.namespace,
            podSet=problem.pod_set,
            scheduledPod=problem.pods[0].pod.metadata.name,
            eligibleNodes=eligible,
        )
        answer = await self._call(request)
        return await check(problem, self.name, answer.assignments, answer.refused, self._budget)

    async def _call(self, request: SchedulePlanRequest) -> SchedulePlanResponse:
        try:
            async with await self._channel() as channel:
                call = channel.unary_unary(
                    f"/{SERVICE}/{METHOD}",
                    request_serializer=SchedulePlanRequest.SerializeToString,
                    response_deserializer=None,  # gRPC would turn what it cannot decode into None
                )
                answer: bytes = await call(request, timeout=self._call_timeout)
            return SchedulePlanResponse.FromString(answer)
        except grpc.aio.AioRpcError as error:
            raise PlannerError(f"planner {self.name}: {self._cause(error)}") from error
        except DecodeError as error:
            raise PlannerError(f"planner {self.name}: {self._address} sent no plan: {error}") from error
        except OSError as error:
            raise PlannerError(f"planner {self.name}: cannot read the TLS files: {error}") from error

    async def _channel(self) -> grpc.aio.Channel:
        if self._tls is None:
            return grpc.aio.insecure_channel(self._address, _OPTIONS)
        ca, certificate, key = await self._tls.read()
        return grpc.aio.secure_channel(
            self._address, grpc.ssl_channel_credentials(ca, key, certificate), _OPTIONS
        )

    def _cause(self, error: grpc.aio.AioRpcError) -> str:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"no answer from {self._address} within {self._call_timeout:g} s"
        return f"{error.code().name} from {self._address}: {(error.details() or '')[:_MAX_DETAILS]}"
