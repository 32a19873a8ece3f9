"""Planners behind a Service, called over gRPC."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import Final, NamedTuple

import anyio
import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from pallet.cache.pod_info import PodInfo
from pallet.loop_budget import LoopBudget
from pallet.planner.answers import Answers
from pallet.planner.check import check
from pallet.planner.interface import Plan, PlannerError, Problem
from pallet.planner.placement import eligible_names, eligible_rows, place
from pallet.planner.protocol import MAX_ANSWER, MAX_REQUEST, METHOD, SERVICE, TLSFiles
from pallet.planner.resolver import Resolve
from pallet.planner.wire.planner_pb2 import SchedulePlanRequest, SchedulePlanResponse

CALL_TIMEOUT = 15.0
"""Seconds from dialling to the last answer, unless configured (argument `callTimeout`)."""

MAX_CALLS: Final = 8
"""Calls of one plan at a time."""

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_ANSWER),
    ("grpc.max_send_message_length", MAX_REQUEST),
    ("grpc.use_local_subchannel_pool", 1),  # a connection for each plan: a server bounds the calls in one
    ("grpc.enable_http_proxy", 0),  # a proxy of the surroundings knows no Services
    ("grpc.service_config_disable_resolution", 1),  # no TXT records: they could change how calls are made
    ("grpc.enable_retries", 0),  # a set is planned again with a back-off of its own
)
_GONE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
    }
)
"""Failures that are no matter of one pod: a planner is not asked about the others after them."""
_MAX_DETAILS = 300


class Question(NamedTuple):
    """Pods with one list of eligible nodes (as in `eligible_rows`), of which the first is asked about."""

    rows: bytes
    pods: tuple[str, ...]


class RemotePlanner:
    """The planner behind one Service. Each plan takes a connection of its own."""

    def __init__(
        self,
        namespace: str,
        service: str,
        budget: LoopBudget,
        resolve: Resolve,
        *,
        call_timeout: float = CALL_TIMEOUT,
        tls: TLSFiles | None = None,
    ) -> None:
        self.name = f"{namespace}/{service}"
        self._key = (namespace, service)
        self._resolve = resolve
        self._budget = budget
        self._call_timeout = call_timeout
        self._tls = tls

    async def plan(self, problem: Problem) -> Plan:
        """Ask for a plan and check it (see `check`).

        One call is made for each distinct list of eligible nodes, in the name of one of its pods; then one
        for each pod that is still without a node. When the time is up, what was answered counts. Pods that
        could go nowhere as things stand are not asked about, since to a planner an empty list would mean all
        nodes. Raises PlannerError when no call was answered.
        """
        groups = await eligible_rows(problem, self._budget)
        answers = Answers([info.pod.metadata.name for info in problem.pods])
        questions = [Question(rows, _names(pods)) for rows, pods in groups.items() if any(rows)]
        if questions:
            await self._ask(problem, questions, answers)
            if not answers.count:
                raise PlannerError(f"planner {self.name}: {answers.failure}")
        plan = await check(problem, self.name, answers.assignments(), answers.reasons(), self._budget)
        nowhere = [info for rows, pods in groups.items() if not any(rows) for info in pods]
        unnamed = [info for info in nowhere if info.pod.metadata.name not in answers]
        reasons = (await place(problem, unnamed, self._budget)).refused
        return replace(plan, refused={**plan.refused, **reasons})

    async def _ask(self, problem: Problem, questions: Sequence[Question], answers: Answers) -> None:
        """Make the calls, as far as the planner is there and the time allows."""
        deadline = anyio.current_time() + self._call_timeout
        address = self._resolve(*self._key)
        numbers = count()

        async def ask(question: Question) -> None:
            number, pod = next(numbers), question.pods[0]
            request = SchedulePlanRequest(
                namespace=problem.namespace,
                podSet=problem.pod_set,
                scheduledPod=pod,
                eligibleNodes=eligible_names(problem.snapshot, question.rows),
            )
            try:
                answer = await self._call(channel, request, deadline - anyio.current_time())
            except grpc.aio.AioRpcError as error:
                answers.fail(pod, self._cause(error, address), gone=error.code() in _GONE)
            except DecodeError as error:
                answers.fail(pod, f"{address} sent no plan: {error}", gone=True)
            else:
                answers.take(number, question.pods, answer.assignments, answer.refused)

        later = ((rows, pod) for rows, pods in questions for pod in pods[1:])
        one_by_one = (Question(rows, (pod,)) for rows, pod in later if pod not in answers)
        try:
            async with await self._channel(address) as channel:
                await _for_each(questions, ask, until=lambda: bool(answers.gone))
                await _for_each(one_by_one, ask, until=lambda: bool(answers.gone))
        except OSError as error:
            raise PlannerError(f"planner {self.name}: cannot read the TLS files: {error}") from error

    async def _call(
        self, channel: grpc.aio.Channel, request: SchedulePlanRequest, seconds: float
    ) -> SchedulePlanResponse:
        call = channel.unary_unary(
            f"/{SERVICE}/{METHOD}",
            request_serializer=SchedulePlanRequest.SerializeToString,
            response_deserializer=None,  # gRPC would turn what it cannot decode into None
        )
        answer: bytes = await call(request, timeout=max(seconds, 0.0))
        return SchedulePlanResponse.FromString(answer)

    async def _channel(self, address: str) -> grpc.aio.Channel:
        if self._tls is None:
            return grpc.aio.insecure_channel(address, _OPTIONS)
        ca, certificate, key = await self._tls.read()
        return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(ca, key, certificate), _OPTIONS)

    def _cause(self, error: grpc.aio.AioRpcError, address: str) -> str:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"no answer from {address} within {self._call_timeout:g} s"
        return f"{error.code().name} from {address}: {(error.details() or '')[:_MAX_DETAILS]}"


async def _for_each(
    questions: Iterable[Question], ask: Callable[[Question], Awaitable[None]], until: Callable[[], bool]
) -> None:
    """Ask some questions at a time, until there are no more or there is no use in it."""
    rest = iter(questions)

    async def ask_on() -> None:
        for question in rest:
            if until():
                return
            await ask(question)

    async with anyio.create_task_group() as tasks:
        for _ in range(MAX_CALLS):
            tasks.start_soon(ask_on)


def _names(pods: Iterable[PodInfo]) -> tuple[str, ...]:
    return tuple(info.pod.metadata.name for info in pods)
