from typing import Any

import anyio
import grpc
import pytest

from pallet.loop_budget import LoopBudget
from pallet.planner.interface import PlannerError
from pallet.planner.protocol import MAX_MESSAGE
from pallet.planner.remote import RemotePlanner, service_address
from pallet.planner.wire.planner_pb2 import SchedulePlanRequest, SchedulePlanResponse
from tests.planner.scene import Respond, node, planner_behind_socket, pod, problem

pytestmark = pytest.mark.anyio

NODES = (node("n1"), node("n2", "2"), node("n3", "1"))
PODS = (pod("a", "2"), pod("b", "2"))


class Planner:
    """A remote planner that answers always the same, and remembers the requests."""

    def __init__(self, answer: SchedulePlanResponse) -> None:
        self.requests: list[SchedulePlanRequest] = []
        self._answer = answer

    async def respond(self, request: SchedulePlanRequest, context: Any) -> bytes:
        self.requests.append(request)
        return self._answer.SerializeToString()


def dialling(address: str, call_timeout: float = 15.0) -> RemotePlanner:
    return RemotePlanner(
        "ops", "planner", LoopBudget(), call_timeout=call_timeout, resolve=lambda _ns, _svc: address
    )


async def test_one_call_asks_for_the_whole_set() -> None:
    planner = Planner(SchedulePlanResponse(assignments={"a": "n1", "b": "n2"}))
    async with planner_behind_socket(planner.respond) as address:
        plan = await dialling(address).plan(problem(NODES, PODS))
    assert plan.assignments == {"a": "n1", "b": "n2"}
    assert plan.planner == "ops/planner"
    assert planner.requests == [
        SchedulePlanRequest(namespace="shop", podSet="web", scheduledPod="a", eligibleNodes=["n1", "n2"])
    ]


async def test_a_problem_limited_to_some_nodes_offers_no_others() -> None:
    planner = Planner(SchedulePlanResponse())
    async with planner_behind_socket(planner.respond) as address:
        await dialling(address).plan(problem(NODES, PODS, only=["n2", "n3"]))
    assert planner.requests[0].eligibleNodes == ["n2"]


async def test_no_call_is_made_when_no_node_is_eligible() -> None:
    """An empty list of nodes would mean all of them."""
    planner = Planner(SchedulePlanResponse(assignments={"a": "n3"}))
    async with planner_behind_socket(planner.respond) as address:
        plan = await dialling(address).plan(problem([node("n3", "1")], PODS))
    assert planner.requests == []
    assert plan.refused["a"] == "0/1 nodes are available: 1 Insufficient cpu."


async def test_the_answer_is_checked() -> None:
    answer = SchedulePlanResponse(assignments={"a": "n3"}, refused={"b": "no licence left"})
    async with planner_behind_socket(Planner(answer).respond) as address:
        plan = await dialling(address).plan(problem(NODES, PODS))
    assert plan.assignments == {}
    assert "Insufficient cpu" in plan.refused["a"]
    assert plan.refused["b"].endswith("no licence left")


async def never(request: SchedulePlanRequest, context: Any) -> bytes:
    await anyio.sleep_forever()
    return b""


async def huge(request: SchedulePlanRequest, context: Any) -> bytes:
    return SchedulePlanResponse(assignments={"a": "x" * MAX_MESSAGE}).SerializeToString()


async def garbage(request: SchedulePlanRequest, context: Any) -> bytes:
    return b"\xff" * 20


async def failing(request: SchedulePlanRequest, context: Any) -> bytes:
    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "out of licences" + "!" * 1000)
    return b""


@pytest.mark.parametrize(
    ("respond", "call_timeout", "cause"),
    [
        pytest.param(never, 0.05, r"no answer from 127\.0\.0\.1:\d+ within 0\.05 s$", id="slow (fault 17)"),
        pytest.param(huge, 15, "RESOURCE_EXHAUSTED .*larger than max", id="a huge answer"),
        pytest.param(garbage, 15, "127.0.0.1:.* sent no plan: Error parsing message", id="no message at all"),
        pytest.param(failing, 15, "FAILED_PRECONDITION .*: out of licences!{285}$", id="an error, cut short"),
    ],
)
async def test_a_misbehaving_planner_gives_an_error_that_names_it(
    respond: Respond, call_timeout: float, cause: str
) -> None:
    async with planner_behind_socket(respond) as address:
        with pytest.raises(PlannerError, match=f"^planner ops/planner: {cause}"):
            await dialling(address, call_timeout).plan(problem(NODES, PODS))


async def test_a_planner_that_is_down_is_named_with_its_address() -> None:
    async with planner_behind_socket(never) as address:
        pass
    with pytest.raises(PlannerError, match=f"^planner ops/planner: UNAVAILABLE from {address}"):
        await dialling(address).plan(problem(NODES, PODS))


async def test_a_cancelled_plan_ends_the_call() -> None:
    started, ended = anyio.Event(), anyio.Event()

    async def slow(request: SchedulePlanRequest, context: Any) -> bytes:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return b""

    async with planner_behind_socket(slow) as address, anyio.create_task_group() as tasks:
        tasks.start_soon(dialling(address).plan, problem(NODES, PODS))
        await started.wait()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await ended.wait()


def test_services_are_dialled_by_name_whatever_the_cluster_s_domain() -> None:
    """Fault 11."""
    assert service_address("ops", "planner") == "planner.ops.svc:7309"
