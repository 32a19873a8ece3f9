"""A crash between any two writes, lost and refused answers, and an API server that restarts.

What must hold is checked over the whole recorded history: every pod is bound once and only when its trigger
says Schedule, no node is overcommitted, and at rest the plan is what is bound.
"""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import anyio
import pytest
from aiohttp import web

from tests.e2e.history import recording
from tests.e2e.interception import Interception
from tests.e2e.workload import Workload, eventually
from tests.running import Pallet, configuration, running
from tools.controlplane import ControlPlane
from tools.controlplane.pytest_plugin import NodePool
from tools.faults.proxy import Exchange, Fault, answer, cut, hold, lose_answer, pass_on

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("pallet")]

PODS = "a b c d"
ROOM = {"cpu": "4"}
ASKED = "1500m"
"""Two pods fill a node of that size, so that a place given away twice would show."""


@pytest.fixture(scope="module")
def pallet(control_plane: ControlPlane, interception: Interception) -> Iterator[Pallet]:
    """As for other modules, but through the proxy."""
    with running(control_plane, configuration(), kubeconfig=None, master=interception.url) as process:
        yield process


@dataclass
class Crash:
    """Kills a process at the n-th of its writes of one kind, before or after it is carried out.

    Writes other than events go through one by one, so that what came before is done, and what would come
    after is not.
    """

    pallet: Pallet
    kind: str
    number: int
    carried_out: bool
    writes: list[str] = field(default_factory=list)
    bound: list[str] = field(default_factory=list)
    came: bool = False
    lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def meet(self, exchange: Exchange) -> web.StreamResponse:
        """Pass on what is written before the crash, and by the process that is started after it."""
        started_after = self.came
        if started_after:
            # What the killed process had sent before is followed at once by the end of its connection, which
            # cancels this: let the loop come to it.
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
        async with self.lock:
            if self.came and not started_after:
                return await cut(exchange)
            self.writes.append(_told(exchange))
            fatal = self.writes[-1] == self.kind and self.writes.count(self.kind) == self.number
            if fatal and not self.carried_out:
                return await self._crash(exchange)
            reply = await pass_on(exchange)
            if exchange.request.path.endswith("/binding") and reply.status < 300:
                self.bound.append(exchange.request.path)
            return await self._crash(exchange) if fatal else reply

    async def _crash(self, exchange: Exchange) -> web.StreamResponse:
        self.pallet.kill()  # and nothing is awaited: this very request ends with the process
        self.came = True
        return await cut(exchange)


def _told(exchange: Exchange) -> str:
    """A write in short: POST binding, PATCH status..."""
    path = exchange.request.path
    what = next((word for word in ("binding", "status") if path.endswith(word)), "")
    kind = re.search(r"/namespaces/[^/]+/(\w+)", path)
    switch = " to Schedule" if b'"state":"Schedule"' in exchange.body else ""
    return f"{exchange.request.method} {kind[1] if kind else path}{what and '/' + what}{switch}"


def place(
    control_plane: ControlPlane, pool: NodePool, pallet: Pallet, interception: Interception, crash: Crash
) -> bool:
    """A set is placed, with a crash and a restart on the way; tells whether the crash came at all."""
    namespace = f"crash-{secrets.token_hex(4)}"
    control_plane.create_namespace(namespace)
    workload = Workload(control_plane, namespace, pool)
    for method in ("POST", "PATCH", "DELETE"):
        interception.on(method, f"/namespaces/{namespace}/(?!events)", crash.meet, times=float("inf"))
    with recording(workload) as history:
        workload.add_trigger("web", "Planning", quiet_time="100ms")
        workload.add_pods(PODS, "web", cpu=ASKED)
        eventually("a crash, or a set at rest", lambda: crash.came or _at_rest(workload))
        crash.number = 0  # what has not come by now is not to come later
        if not pallet.process.running:
            pallet.start()
        bindings = workload.await_plan_as_bound("web", PODS)
        workload.await_status(total=4, gated=0, planned=4, bound=4)
        history.check()
        assert len(crash.bound) == len(set(crash.bound)) == len(bindings)
        for pod in bindings:
            workload.delete_pod(pod)
        eventually("the plan to go with the last pod", lambda: workload.plan_object("web") is None)
    control_plane.client.request("DELETE", f"/api/v1/namespaces/{namespace}")
    return crash.came


def _at_rest(workload: Workload) -> bool:
    status = workload.status()
    return status.get("bound") == 4 and status["conditions"]["Bound"]["status"] == "True"


@pytest.mark.time_limit(120)
@pytest.mark.parametrize(
    ("kind", "numbers", "carried_out"),
    [
        pytest.param("PATCH scheduletriggers", [1], True, id="after keeping the times"),
        pytest.param("PATCH pods/status", [2], True, id="after a condition"),
        pytest.param("PATCH scheduletriggers to Schedule", [1], False, id="before the switch"),
        pytest.param("PATCH scheduletriggers to Schedule", [1], True, id="after the switch"),
        pytest.param("POST scheduleplans", [1], False, id="before the plan"),
        pytest.param("POST scheduleplans", [1], True, id="after the plan"),
        pytest.param("POST pods/binding", [1, 2, 3, 4], False, id="before each binding"),
        pytest.param("POST pods/binding", [4], True, id="after the last binding"),
        pytest.param("PATCH scheduletriggers/status", [2], True, id="after a status"),
    ],
)
def test_a_crash_at_any_write_of_a_set_s_placement(
    control_plane: ControlPlane,
    node_pool: NodePool,
    pallet: Pallet,
    interception: Interception,
    kind: str,
    numbers: list[int],
    *,
    carried_out: bool,
) -> None:
    node_pool.add(3, capacity=ROOM)
    for number in numbers:
        crash = Crash(pallet, kind, number, carried_out)
        assert place(control_plane, node_pool, pallet, interception, crash), crash.writes


def test_nothing_is_bound_before_its_plan_is_stored(workload: Workload, interception: Interception) -> None:
    workload.pool.add(2, capacity=ROOM)
    released = anyio.Event()
    interception.on("POST", workload.plans_path, hold(released))
    with recording(workload) as history:
        workload.add_pods(PODS, "web", cpu=ASKED)
        workload.await_reason(PODS, "AwaitingTrigger")
        workload.add_trigger("web", "Schedule")
        eventually("the plan", lambda: f"POST {workload.plans_path}" in interception.requests)
        workload.add_pods("plain", cpu="10m")
        workload.await_bound("plain")
        assert workload.bindings("web") == {}
        interception.portal.call(released.set)
        workload.await_plan_as_bound("web", PODS)
        history.check()


def test_a_binding_whose_answer_is_lost_is_not_repeated(
    workload: Workload, interception: Interception
) -> None:
    workload.pool.add(2, capacity=ROOM)
    path = f"{workload.pods_path}/(a|b|c|d)/binding"
    interception.on("POST", path, lose_answer, times=4)
    with recording(workload) as history:
        workload.add_trigger("web", "Schedule")
        workload.add_pods(PODS, "web", cpu=ASKED)
        workload.await_plan_as_bound("web", PODS)
        eventually("events", lambda: all("Scheduled" in workload.events(pod) for pod in PODS.split()))
        history.check()
    assert sum(bool(re.search(f"POST {path}", request)) for request in interception.requests) == 4


@pytest.mark.parametrize(
    "fault", [answer(409), answer(429), answer(500), lose_answer], ids=["409", "429", "500", "lost"]
)
def test_writes_of_a_plan_that_fail_are_tried_again(
    workload: Workload, interception: Interception, fault: Fault
) -> None:
    workload.pool.add(3, capacity=ROOM)
    for method in ("POST", "PATCH", "DELETE"):
        interception.on(method, workload.plans_path, fault, times=2)
    with recording(workload) as history:
        workload.add_trigger("web", "Schedule")
        workload.add_pods(PODS, "web", cpu=ASKED)
        workload.await_plan_as_bound("web", PODS)
        workload.add_pods("e", "web", cpu=ASKED)
        workload.await_plan_as_bound("web", f"{PODS} e")
        for pod in f"{PODS} e".split():
            workload.delete_pod(pod)
        eventually("the plan to go", lambda: workload.plan_object("web") is None)
        history.check()


# Python loses an SSLSocket whose peer goes away between connecting and the handshake.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_the_api_server_goes_away_in_the_middle_of_a_set(
    control_plane: ControlPlane, workload: Workload, interception: Interception
) -> None:
    workload.pool.add(2, capacity=ROOM)
    gone: list[str] = []

    with recording(workload) as history:

        async def pull_the_plug(exchange: Exchange) -> web.StreamResponse:
            """Bind, and have the API server end before it can answer, with the other bindings under way."""
            await anyio.to_thread.run_sync(history.catch_up)
            if gone:
                return await cut(exchange)
            await pass_on(exchange)
            control_plane.kill_apiserver()
            gone.append(exchange.request.path)
            return await cut(exchange)

        interception.on("POST", f"{workload.pods_path}/./binding", pull_the_plug, times=len(PODS.split()))
        workload.add_pods(PODS, "web", cpu=ASKED)
        try:
            workload.add_trigger("web", "Schedule")
            eventually("the API server to go", lambda: gone)
        finally:
            control_plane.restart_apiserver()
        workload.await_plan_as_bound("web", PODS)
        history.check()
