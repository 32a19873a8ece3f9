from typing import Any

import anyio
import grpc
import pytest

from pallet.loop_budget import LoopBudget
from pallet.planner.interface import PlannerError
from pallet.planner.protocol import MAX_ANSWER
from pallet.planner.remote import RemotePlanner
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
    return RemotePlanner("ops", "planner", LoopBudget(), lambda _ns, _svc: address, call_timeout=call_timeout)


def asked(planner: "Planner | OneByOne") -> dict[str, list[str]]:
    """The eligible nodes of each call, by the pod in whose name it was made. None is asked about twice."""
    calls = {request.scheduledPod: list(request.eligibleNodes) for request in planner.requests}
    assert len(calls) == len(planner.requests)
    return calls


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
        await dialling(address).plan(problem(NODES, PODS, only={"a": ["n2", "n3"]}))
    assert asked(planner) == {"a": ["n2"], "b": ["n1", "n2"]}


class OneByOne:
    """A planner like the original: the list is for the scheduled pod, which gets the list's first node.

    It remembers the requests, and how many calls were under way at once.
    """

    def __init__(self, *, failing: str = "") -> None:
        self.requests: list[SchedulePlanRequest] = []
        self.most_at_once = 0
        self._at_once = 0
        self._failing = failing

    async def respond(self, request: SchedulePlanRequest, context: Any) -> bytes:
        self.requests.append(request)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await anyio.sleep(0.01)
        self._at_once -= 1
        if request.scheduledPod == self._failing:
            await context.abort(grpc.StatusCode.UNKNOWN, "no place for it")
        answer = SchedulePlanResponse(assignments={request.scheduledPod: request.eligibleNodes[0]})
        return answer.SerializeToString()


async def test_each_distinct_list_has_a_call_in_the_name_of_one_of_its_pods() -> None:
    """In the original the list is the scheduled pod's alone, and is trusted unfiltered."""
    nodes = (node("n1", taint="left"), node("n2", taint="right"))
    pods = [pod("a", tolerates="left"), pod("b", tolerates="right"), pod("c", tolerates="left")]
    planner = Planner(SchedulePlanResponse(assignments={"a": "n1", "b": "n1", "c": "n1"}))
    async with planner_behind_socket(planner.respond) as address:
        plan = await dialling(address).plan(problem(nodes, pods))
    assert asked(planner) == {"a": ["n1"], "b": ["n2"]}
    assert plan.assignments == {"a": "n1", "c": "n1"}


async def test_pods_without_an_answer_are_asked_about_one_by_one() -> None:
    planner = OneByOne()
    async with planner_behind_socket(planner.respond) as address:
        plan = await dialling(address).plan(problem(NODES[:1], [pod(name, "1") for name in "abc"]))
    assert planner.requests[0].scheduledPod == "a"
    assert asked(planner) == {name: ["n1"] for name in "abc"}
    assert plan.assignments == dict.fromkeys("abc", "n1")


async def test_a_pod_that_the_planner_fails_on_keeps_no_other_from_its_node() -> None:
    planner = OneByOne(failing="a")
    async with planner_behind_socket(planner.respond) as address:
        plan = await dialling(address).plan(problem(NODES[:1], [pod(name, "1") for name in "abc"]))
    assert plan.assignments == {"b": "n1", "c": "n1"}
    assert plan.refused.keys() == {"a"}
    assert plan.refused["a"].endswith("no place for it")


async def test_at_most_eight_calls_are_under_way_at_once() -> None:
    planner = OneByOne()
    nodes = [node(f"n{i}", taint=f"t{i}") for i in range(12)]
    pods = [pod(f"p{i}", "100m", tolerates=f"t{i % 12}") for i in range(36)]
    async with planner_behind_socket(planner.respond) as address:
        plan = await dialling(address).plan(problem(nodes, pods))
    assert planner.most_at_once == 8
    assert asked(planner) == {f"p{i}": [f"n{i % 12}"] for i in range(36)}
    assert len(plan.assignments) == 36


async def test_all_calls_share_one_call_timeout_and_what_was_answered_in_it_counts() -> None:
    async def only_a(request: SchedulePlanRequest, context: Any) -> bytes:
        requests.append(request.scheduledPod)
        if request.scheduledPod != "a":
            await anyio.sleep_forever()
        return SchedulePlanResponse(assignments={"a": "n1"}).SerializeToString()

    requests: list[str] = []
    pods = [pod(f"a{i or ''}", "10m") for i in range(20)]
    async with planner_behind_socket(only_a) as address:
        plan = await dialling(address, 0.2).plan(problem(NODES, pods))
    assert plan.assignments == {"a": "n1"}
    assert len(requests) == 1 + 8
    assert {reason.rpartition(": ")[2].split(" from")[0] for reason in plan.refused.values()} == {"no answer"}


async def test_a_pod_that_can_go_nowhere_yet_is_taken_from_the_answers_for_the_others() -> None:
    """It has to be near to a pod that has no place yet."""
    planner = Planner(SchedulePlanResponse(assignments={"a": "n1", "b": "n1"}))
    pods = [pod("a", app="a"), pod("b", app="b", near=["a"]), pod("c", "100")]
    async with planner_behind_socket(planner.respond) as address:
        plan = await dialling(address).plan(problem(NODES[:1], pods))
    assert asked(planner) == {"a": ["n1"]}
    assert plan.assignments == {"a": "n1", "b": "n1"}
    assert plan.refused == {"c": "0/1 nodes are available: 1 Insufficient cpu."}


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
    return SchedulePlanResponse(assignments={"a": "x" * MAX_ANSWER}).SerializeToString()


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
