import logging
import socket
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from pallet.api.pod import Pod
from pallet.api.requests import CPU
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from pallet.loop_budget import LoopBudget
from pallet.planner import admission, server
from pallet.planner.greedy import GreedyPlanner
from pallet.planner.interface import Plan, Planner, PlannerError
from pallet.planner.protocol import SERVICE, TLSFiles
from pallet.planner.remote import RemotePlanner
from pallet.planner.server import PlannerServer
from pallet.planner.wire.planner_pb2 import SchedulePlanResponse
from tests.budgets import UsedUpBudget
from tests.planner import cluster
from tests.planner.scene import PROFILES, FixedPlanner, ask, cache_of, node, pod, problem, served
from tools.controlplane.certificates import Authority, Pair

pytestmark = pytest.mark.anyio

PODS = [pod(f"p{i}", "3") for i in range(4)]
NODES = [node("n1"), node("n2"), node("n3")]


async def said(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Wait for a line of the log."""
    with anyio.fail_after(10):
        while words not in caplog.text:  # noqa: ASYNC110 - a log has no event
            await anyio.sleep(0.001)


async def healthy(address: str, service: str) -> bool:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_a_set_is_planned_and_what_does_not_fit_is_explained() -> None:
    async with served(cache_of(NODES), PODS) as address:
        answer = await ask(address)
    assert sorted(answer.assignments.values()) == ["n1", "n2", "n3"]
    assert list(answer.refused.values()) == ["0/3 nodes are available: 3 Insufficient cpu."]


async def test_the_eligible_nodes_are_those_of_the_scheduled_pod_alone() -> None:
    async with served(cache_of(NODES), PODS) as address:
        answer = await ask(address, pod="p3", nodes=["n2", "gone"])
        assert answer.assignments["p3"] == "n2"
        assert sorted(answer.assignments) == ["p0", "p1", "p3"]
        assert sorted(answer.assignments.values()) == ["n1", "n2", "n3"]
        refused = await ask(address, pod="p3", nodes=["gone"])
    assert sorted(refused.assignments) == ["p0", "p1", "p2"]
    assert set(refused.refused) == {"p3"}


async def test_members_that_have_a_node_keep_it() -> None:
    """Fault 6. One is bound, one about to be, one has room kept for it by an earlier plan."""
    bound, assumed, reserved = pod("bound", "3", on="n1"), pod("assumed", "3"), pod("reserved", "3")
    cache = cache_of(NODES, [bound])
    cache.assume(PodInfo(assumed), "n2")
    cache.reserve(PodInfo(reserved), "n3", Owner())
    async with served(cache, [bound, assumed, reserved]) as address:
        answer = await ask(address)
    assert dict(answer.assignments) == {"bound": "n1", "assumed": "n2", "reserved": "n3"}


async def test_the_pods_of_a_large_set_are_looked_at_in_slices() -> None:
    pods, pauses = [pod(f"p{number}", on="n1") for number in range(20)], count()
    async with served(cache_of(NODES, pods), pods, budget=UsedUpBudget(lambda: next(pauses))) as address:
        assert len((await ask(address)).assignments) == 20
    assert next(pauses) == 20


async def test_a_plan_of_before_binds_nobody() -> None:
    cache = cache_of(NODES)
    cache.reserve(PodInfo(pod("a", "9")), "n3", Owner())
    async with served(cache, [pod("a", "9")]) as address:
        answer = await ask(address)
    assert dict(answer.assignments) == {}
    assert set(answer.refused) == {"a"}


async def test_the_live_model_is_left_as_it_is() -> None:
    cache = cache_of(NODES)
    async with served(cache, PODS) as address:
        first = await ask(address)
        assert await ask(address) == first
    assert not cache.snapshot.table.resources[CPU].requested.any()


@pytest.mark.parametrize(
    ("pods", "pod_set", "answer"),
    [
        ([], "web", {}),
        (PODS, "unknown", {}),
        ([pod("there", on="n1")], "web", {"there": "n1"}),
    ],
    ids=["empty", "unknown", "all bound"],
)
async def test_a_set_without_a_pod_to_place_is_answered_without_work(
    monkeypatch: pytest.MonkeyPatch, pods: list[Pod], pod_set: str, answer: dict[str, str]
) -> None:
    """Neither the planner nor a fork of the snapshot is needed, nor a turn behind plans that are made."""
    planner, cache = (
        FixedPlanner("p", Plan("p")),
        cache_of(NODES, [each for each in pods if each.spec.node_name]),
    )
    monkeypatch.setattr(type(cache.snapshot), "fork", None)
    async with served(cache, pods, planner) as address:
        assert await ask(address, pod_set=pod_set) == SchedulePlanResponse(assignments=answer)
    assert planner.asked == []


@pytest.mark.parametrize(
    ("planner", "pod_set", "code", "details"),
    [
        (
            GreedyPlanner(LoopBudget()),
            "",
            grpc.StatusCode.INVALID_ARGUMENT,
            "namespace and podSet must be given",
        ),
        (FixedPlanner("p", PlannerError("no luck")), "web", grpc.StatusCode.UNAVAILABLE, "no luck"),
    ],
    ids=["no set", "planner failed"],
)
async def test_errors_have_their_status(
    planner: Planner, pod_set: str, code: grpc.StatusCode, details: str
) -> None:
    async with served(cache_of(NODES), PODS, planner) as address:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(address, pod_set=pod_set)
    assert (caught.value.code(), caught.value.details()) == (code, details)


async def test_calls_in_progress_are_answered_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE", 60.0)
    asked, go_on = anyio.Event(), anyio.Event()

    class Slow(GreedyPlanner):
        async def plan(self, problem: Any) -> Any:
            asked.set()
            await go_on.wait()
            return await super().plan(problem)

    answers = []

    async def call(address: str) -> None:
        answers.append(await ask(address))

    async def go_on_when_the_end_has_begun(address: str) -> None:
        with suppress(grpc.aio.AioRpcError):
            while True:
                await healthy(address, SERVICE)
        go_on.set()

    async with (
        anyio.create_task_group() as tasks,
        served(cache_of(NODES), PODS, Slow(LoopBudget())) as address,
    ):
        tasks.start_soon(call, address)
        await asked.wait()
        tasks.start_soon(go_on_when_the_end_has_begun, address)
    assert len(answers[0].assignments) == 3


async def test_the_end_does_not_wait_for_a_caller_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "READ_SECONDS", 1000.0)
    with anyio.fail_after(30):
        async with served(cache_of(NODES), PODS) as address:
            channel = grpc.aio.insecure_channel(address)
            idle = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
            await idle.write(reflection_pb2.ServerReflectionRequest(list_services=""))
            await idle.read()
        await channel.close(None)


async def test_a_taken_port_is_one_error_that_names_it(capfd: pytest.CaptureFixture[str]) -> None:
    async with served(cache_of(NODES), PODS) as address:
        second = PlannerServer(
            GreedyPlanner(LoopBudget()), Cache(), PROFILES, lambda _namespace, _set: (), LoopBudget()
        )
        with pytest.raises(OSError, match=f"the planner cannot listen on {address}: Address already in use$"):
            await second.serve(address)
    # gRPC says nothing of it. What it says of the closed loops of earlier tests may come at any time.
    assert address not in capfd.readouterr().err


async def test_reflection_tells_the_services_and_the_messages() -> None:
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
    ]
    async with served(cache_of(NODES), PODS) as address, grpc.aio.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        services, file = [answer async for answer in stub.ServerReflectionInfo(iter(questions))]
    assert {service.name for service in services.list_services_response.service} == {
        "planner.SchedulePlanner",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert b"BuildSchedulePlan" in file.file_descriptor_response.file_descriptor_proto[0]


@pytest.mark.parametrize("service", ["", SERVICE])
async def test_health_is_serving(service: str) -> None:
    async with served(cache_of(NODES), PODS) as address:
        assert await healthy(address, service)


def files(folder: Path, authority: Authority, pair: Pair) -> TLSFiles:
    """Write what one side needs, and give the paths."""
    contents = {"ca.pem": authority.pair.certificate, "tls.crt": pair.certificate, "tls.key": pair.key}
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return TLSFiles(*(str(folder / name) for name in contents))


async def test_both_sides_of_mutual_tls_know_each_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 4: the original dials in plain text."""
    caplog.set_level(logging.INFO, "pallet")
    authority, stranger = Authority.create(), Authority.create()
    server = files(tmp_path / "server", authority, authority.server(["127.0.0.1"]))
    client = files(tmp_path / "client", authority, authority.client("scheduler"))
    intruder = files(tmp_path / "intruder", authority, stranger.client("scheduler"))
    async with served(cache_of(NODES), PODS, tls=server) as address:
        assert 'callers="with a certificate"' in caplog.text

        def remote(tls: TLSFiles | None) -> RemotePlanner:
            return RemotePlanner("ops", "planner", LoopBudget(), lambda _ns, _svc: address, tls=tls)

        plan = await remote(client).plan(problem(NODES, PODS))
        assert len(plan.assignments) == 3
        for stranger_to_the_server in (None, intruder):
            with pytest.raises(PlannerError, match="UNAVAILABLE"):
                await remote(stranger_to_the_server).plan(problem(NODES, PODS))


async def test_a_missing_tls_file_is_named() -> None:
    missing = TLSFiles("/nowhere/ca.pem", "/nowhere/tls.crt", "/nowhere/tls.key")
    remote = RemotePlanner("ops", "p", LoopBudget(), lambda _ns, _svc: "", tls=missing)
    with pytest.raises(PlannerError, match=r"^planner ops/p: cannot read the TLS files: .*/nowhere/ca\.pem"):
        await remote.plan(problem(NODES, PODS))


async def test_it_serves_while_the_own_service_selects_this_pod(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As with the original's manifests, which configure no address."""
    caplog.set_level(logging.INFO, "pallet")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(server, "ADDRESS", f"127.0.0.1:{port}")
        known = cluster.Cluster({"app": "scheduler"})
        fixed = FixedPlanner("p", Plan("p", {"p0": "n1"}))
        planner = PlannerServer(fixed, cache_of(NODES), PROFILES, lambda _namespace, _set: PODS, LoopBudget())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(planner.serve_while_selected, known.own_service, None)
            await anyio.wait_all_tasks_blocked()
            known.put_service({"app": "scheduler"})
            await said(caplog, "Plans are not served")
            assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in caplog.text
            known.put_service({"app": "other"})
            taken.close()
            await anyio.wait_all_tasks_blocked()
            known.put_service({"app": "scheduler"})
            await said(caplog, 'callers="anybody, since planner.tls is not configured"')
            assert (await ask(f"127.0.0.1:{port}")).assignments == {"p0": "n1"}
            known.put_service({"app": "other"})
            await said(caplog, "Plans are served no longer")
            tasks.cancel_scope.cancel()
