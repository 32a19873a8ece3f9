"""What callers of the served planner may cost: connections, calls, bytes kept, and turns."""

import asyncio
import struct
from collections import Counter
from typing import Any, cast

import anyio
import anyio.abc
import anyio.lowlevel
import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pallet.planner import admission, server
from pallet.planner.admission import (
    BURST,
    CALL_BYTES,
    CALLS_PER_SECOND,
    OPTIONS,
    Context,
    RestingLock,
    Turnstile,
)
from pallet.planner.interface import Plan, Problem
from pallet.planner.protocol import MAX_REQUEST, METHOD, SERVICE
from pallet.planner.server import MAX_CALLS, MAX_CALLS_OF_HOST
from pallet.planner.wire.planner_pb2 import SchedulePlanRequest
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.planner.scene import FixedPlanner, ask, cache_of, node, pod, served

pytestmark = pytest.mark.anyio

NODES, PODS = [node("n1")], [pod("a")]
PATH = f"/{SERVICE}/{METHOD}"


class Slow(FixedPlanner):
    """A planner that is held up until it is told to go on."""

    def __init__(self) -> None:
        super().__init__("slow", Plan("slow", {"a": "n1"}))
        self.begun, self.go_on = anyio.Event(), anyio.Event()

    async def plan(self, problem: Problem) -> Plan:
        plan = await super().plan(problem)
        self.begun.set()
        await self.go_on.wait()
        return plan


class Sent:
    """The context of a call that has sent a message."""

    def __init__(self, message: bytes) -> None:
        self._message = message

    async def read(self) -> bytes:
        return self._message


async def code_of(call: Any) -> grpc.StatusCode:
    """How a call ends."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def send(address: str, message: bytes, path: str = PATH) -> grpc.StatusCode:
    """Send any bytes as a request."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(path, request_serializer=None, response_deserializer=None)
        return await code_of(call(message))


async def test_one_plan_is_made_at_a_time_and_few_calls_wait_for_theirs() -> None:
    planner, codes = Slow(), Counter[grpc.StatusCode]()

    async def call(address: str) -> None:
        code = await code_of(ask(address))
        codes[code] += 1
        if codes[grpc.StatusCode.RESOURCE_EXHAUSTED] == 2:
            planner.go_on.set()

    async with served(cache_of(NODES), PODS, planner) as address, anyio.create_task_group() as tasks:
        for _ in range(MAX_CALLS_OF_HOST + 2):
            tasks.start_soon(call, address)
        await planner.begun.wait()
        assert len(planner.asked) == 1
    assert codes == {grpc.StatusCode.OK: MAX_CALLS_OF_HOST, grpc.StatusCode.RESOURCE_EXHAUSTED: 2}


async def test_all_hosts_together_have_few_calls_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CALLS_OF_HOST", MAX_CALLS + 2)
    planner, codes = Slow(), Counter[grpc.StatusCode]()

    async def call(address: str) -> None:
        code = await code_of(ask(address))
        codes[code] += 1
        if codes[grpc.StatusCode.RESOURCE_EXHAUSTED] == 2:
            planner.go_on.set()

    async with served(cache_of(NODES), PODS, planner) as address, anyio.create_task_group() as tasks:
        for _ in range(MAX_CALLS + 2):
            tasks.start_soon(call, address)
    assert codes == {grpc.StatusCode.OK: MAX_CALLS, grpc.StatusCode.RESOURCE_EXHAUSTED: 2}


async def test_callers_that_do_not_read_their_answers_keep_nobody_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "WRITE_SECONDS", 0.05)
    answer = {f"pod-{number}": "node" * 50 for number in range(1000)}  # more than is sent without a reader
    planner = FixedPlanner("p", Plan("p", answer))
    async with served(cache_of(NODES), PODS, planner) as address:
        host, _, port = address.rpartition(":")
        writers = []
        for _ in range(MAX_CALLS_OF_HOST):
            _reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request_without_window())
            writers.append(writer)
        try:
            with anyio.fail_after(20):
                while len(planner.asked) < MAX_CALLS_OF_HOST:  # noqa: ASYNC110 - of the server no event tells
                    await anyio.sleep(0.01)
                while await code_of(ask(address)) is not grpc.StatusCode.OK:  # noqa: ASYNC110 - a caller polls
                    await anyio.sleep(0.01)
        finally:
            for writer in writers:
                writer.close()


def request_without_window() -> bytes:
    """A call in HTTP/2 by a client that takes no bytes of the answer."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": PATH,
        ":authority": "planner",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    block = b"".join(
        bytes((0, len(name))) + name.encode() + bytes((len(value),)) + value.encode()
        for name, value in headers.items()
    )
    message = SchedulePlanRequest(namespace="shop", podSet="web").SerializeToString()
    return b"".join(
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            frame(4, 0, 0, struct.pack(">HI", 4, 0)),  # settings: a window of 0
            frame(1, 4, 1, block),
            frame(0, 1, 1, struct.pack(">BI", 0, len(message)) + message),
        )
    )


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


async def test_a_set_without_pods_is_answered_while_a_plan_is_made() -> None:
    planner = Slow()
    async with served(cache_of(NODES), PODS, planner) as address, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, address)
        await planner.begun.wait()
        await ask(address, pod_set="unknown")
        assert not planner.go_on.is_set()
        planner.go_on.set()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\x0a\x01", grpc.StatusCode.INVALID_ARGUMENT),
        (SchedulePlanRequest(podSet="web").SerializeToString(), grpc.StatusCode.INVALID_ARGUMENT),
        (b"\x22\x00" * (MAX_REQUEST // 2 + 1), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
    ids=["garbage", "no namespace", "too long"],
)
async def test_a_bad_request_is_refused_without_a_traceback(
    caplog: pytest.LogCaptureFixture, message: bytes, code: grpc.StatusCode
) -> None:
    async with served(cache_of(NODES), PODS) as address:
        assert await send(address, message) is code
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("path", ["/grpc.health.v1.Health/Check", "/unknown/Method"])
async def test_garbage_for_other_methods_is_refused_without_a_traceback(
    caplog: pytest.LogCaptureFixture, path: str
) -> None:
    async with served(cache_of(NODES), PODS) as address:
        code = await send(address, b"\xff\xff", path)
    assert code in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED}
    assert not [record for record in caplog.records if record.exc_info]


async def test_calls_of_every_kind_wait_for_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []

    async def enter(_: Turnstile, host: str) -> None:
        waited.append(host)

    monkeypatch.setattr(Turnstile, "enter", enter)
    async with served(cache_of(NODES), PODS) as address:
        for path in (PATH, "/grpc.health.v1.Health/Check", "/unknown/Method"):
            await send(address, b"", path)
    assert len(waited) == 3


async def test_a_caller_that_sends_no_message_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "READ_SECONDS", 0.05)
    async with served(cache_of(NODES), PODS) as address, grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_unary(PATH, request_serializer=None, response_deserializer=None)
        assert await call(None).code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_idle_health_watches_do_not_lock_planners_out() -> None:
    """Forty of them did."""
    refused = Counter[grpc.StatusCode]()

    async def watch(address: str, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            try:
                await call.read()
                task_status.started()
                await anyio.sleep_forever()
            except grpc.aio.AioRpcError as error:
                refused[error.code()] += 1
                task_status.started()

    async with served(cache_of(NODES), PODS) as address, anyio.create_task_group() as tasks:
        for _ in range(40):
            await tasks.start(watch, address)
        assert refused == {grpc.StatusCode.RESOURCE_EXHAUSTED: 40 - admission.MAX_LASTING}
        assert (await ask(address)).assignments == {"a": "n1"}
        tasks.cancel_scope.cancel()


async def test_connections_are_counted_before_they_say_anything() -> None:
    allowed = dict(OPTIONS)["grpc.max_allowed_incoming_connections"]
    async with served(cache_of(NODES), PODS) as address:
        host, _, port = address.rpartition(":")
        writers = []
        try:
            for _ in range(allowed):
                reader, writer = await asyncio.open_connection(host, int(port))
                writers.append(writer)
                assert await reader.read(1)  # its settings
            reader, writer = await asyncio.open_connection(host, int(port))
            writers.append(writer)
            with pytest.raises(ConnectionError):
                assert await reader.read(1) or _raise()
        finally:
            for writer in writers:
                writer.close()


def _raise() -> bool:
    raise ConnectionError("closed")


class TestInVirtualTime:
    @pytest.fixture
    def anyio_backend(self) -> object:
        return VIRTUAL_TIME

    async def test_so_many_messages_a_second_are_let_through(self) -> None:
        turnstile, start = Turnstile(), anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(BURST + int(CALLS_PER_SECOND)):
                tasks.start_soon(turnstile.enter, "host")
        assert anyio.current_time() - start == pytest.approx(1.0)

    async def test_large_messages_count_as_many_calls(self) -> None:
        turnstile = Turnstile()
        for _ in range(BURST // 65):
            await turnstile.enter("host")
            assert await turnstile.read(cast("Context", Sent(b"x" * 64 * CALL_BYTES)))
        await turnstile.enter("host")
        await turnstile.read(cast("Context", Sent(b"x" * 64 * CALL_BYTES)))
        start = anyio.current_time()
        await turnstile.enter("host")
        owed = (BURST // 65 + 1) * 65 + 1 - BURST
        assert anyio.current_time() - start == pytest.approx(owed / CALLS_PER_SECOND)

    async def test_the_hosts_take_turns(self) -> None:
        turnstile, passed = Turnstile(), list[str]()

        async def enter(host: str) -> None:
            await turnstile.enter(host)
            passed.append(host)

        async with anyio.create_task_group() as tasks:
            for _ in range(BURST + 50):
                tasks.start_soon(enter, "flood")
            await anyio.lowlevel.checkpoint()
            tasks.start_soon(enter, "planner")
            tasks.start_soon(enter, "planner")
        assert passed.index("planner") <= BURST + 1
        assert passed[BURST:].count("flood") == 50
        assert passed[BURST : BURST + 4].count("planner") == 2

    async def test_calls_that_are_given_up_leave_nothing_behind(self) -> None:
        turnstile = Turnstile()
        for _ in range(BURST):
            await turnstile.enter("host")
        for _ in range(3):
            with anyio.move_on_after(0):
                await turnstile.enter("flood")
        assert not turnstile._waiting

    async def test_the_planner_rests_for_as_long_as_it_worked(self) -> None:
        lock, begun = RestingLock(), list[float]()
        start = anyio.current_time()

        async def work(seconds: float) -> None:
            async with lock.hold():
                begun.append(anyio.current_time() - start)
                await anyio.sleep(seconds)

        async with anyio.create_task_group() as tasks:
            for seconds in (2.0, 1.0, 0.0):
                tasks.start_soon(work, seconds)
        assert begun == pytest.approx([0.0, 4.0, 6.0])
