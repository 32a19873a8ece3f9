"""Preempting: what is written, in which words, and when the preemptor may be tried again."""

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

import anyio
import pytest
from aiohttp import web
from msgspec.structs import replace as changed

from pallet.api.core import ObjectReference
from pallet.api.pod import PODS, Pod, PodCondition
from pallet.cache.pod_info import PodInfo
from pallet.client.client import Client
from pallet.framework.waiting import WaitingPod
from pallet.plugins.preemption.executor import PATIENCE_SECONDS, Executor
from tests.builders import SCHEDULER, at, make_pod
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.profiles import make_handle
from tools.faults.proxy import Exchange, FaultProxy, answer, hold

pytestmark = pytest.mark.anyio

ALWAYS = float("inf")

WORDS = f"{SCHEDULER}: preempting to accommodate a higher priority pod"


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


class Recorder:
    """Keeps events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, ...]] = []

    def event(
        self, regarding: ObjectReference, controller: str, *, kind: str, reason: str, action: str, note: str
    ) -> None:
        self.events.append((regarding.name, controller, kind, reason, action, note))


class Scene:
    """An executor, and an API server that does what it is told."""

    def __init__(self, server: FaultProxy, client: Client) -> None:
        self.server = server
        self.written: list[tuple[str, str, Any]] = []
        self.activated: list[str] = []
        self.ungated: list[str] = []
        self.recorder = Recorder()
        self.handle = replace(
            make_handle(),
            client=client,
            recorder=self.recorder,
            activate=self.activated.extend,
            ungate=self.ungated.extend,
        )
        self.executor = Executor("DefaultPreemption", self.handle)
        self.preemptor = make_pod("preemptor", priority=9)

    def serve(self) -> None:
        """Answer from now on, where no earlier rule does."""
        for method in ("PATCH", "DELETE"):
            self.server.on(method, "/pods/", self.note, times=ALWAYS)

    async def note(self, exchange: Exchange) -> web.StreamResponse:
        path = exchange.request.path.partition("/pods/")[2]
        self.written.append((exchange.request.method, path, json.loads(exchange.body)))
        return web.json_response({"kind": "Pod", "metadata": {"name": path}})

    def start(self, victims: Iterable[Pod]) -> None:
        self.executor.start(self.preemptor, "n1", list(victims))

    @property
    def requests(self) -> list[str]:
        return sorted(f"{method} {path}" for method, path, _ in self.written)

    @property
    def is_running(self) -> bool:
        return self.executor.is_running(self.preemptor)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with FaultProxy.start() as server, Client.connect(master=server.url, qps=0) as client:
        scene = Scene(server, client)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scene.handle.tasks.run)
            yield scene
            tasks.cancel_scope.cancel()


def victim(name: str = "v", **more: Any) -> Pod:
    return make_pod(name, node="n1", **more)


async def test_a_victim_carries_the_reason_and_is_deleted(scene: Scene) -> None:
    scene.serve()
    scene.start([victim()])
    assert scene.is_running
    await anyio.sleep(1)
    patch, deletion = scene.written
    [condition] = patch[2]["status"]["conditions"]
    assert condition.pop("lastTransitionTime").endswith("Z")
    assert condition == {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": WORDS,
        "observedGeneration": 0,
        "lastProbeTime": None,
    }
    assert (patch[0], patch[1], patch[2]["metadata"]) == ("PATCH", "v/status", {"uid": "uid-v"})
    assert deletion == ("DELETE", "v", {"preconditions": {"uid": "uid-v"}})
    note = "Preempted by pod uid-preemptor on node n1"
    assert scene.recorder.events == [("v", SCHEDULER, "Normal", "Preempted", "Preempting", note)]
    assert (scene.is_running, scene.ungated, scene.activated) == (False, ["uid-preemptor"], [])


async def test_all_victims_are_told_and_counted(scene: Scene) -> None:
    scene.serve()
    scene.start([victim("v1"), victim("v2", deleted=5), victim("v3")])
    await anyio.sleep(1)
    assert scene.requests == ["DELETE v1", "DELETE v3", "PATCH v1/status", "PATCH v3/status"]
    assert scene.handle.metrics.preemption_victims.sum == 3


async def test_nothing_is_done_about_victims_that_terminate_already(scene: Scene) -> None:
    scene.start([victim(deleted=5)])
    assert not scene.is_running
    await anyio.sleep(1)
    assert scene.server.requests == []


@pytest.mark.parametrize(
    ("condition", "requests"),
    [
        (PodCondition("DisruptionTarget", "True", "PreemptionByScheduler", WORDS), ["DELETE v"]),
        (
            PodCondition("DisruptionTarget", "True", "EvictionByEvictionAPI", WORDS, at(3)),
            ["DELETE v", "PATCH v/status"],
        ),
    ],
    ids=["the same", "another"],
)
async def test_a_condition_that_is_there(scene: Scene, condition: PodCondition, requests: list[str]) -> None:
    scene.serve()
    scene.start([victim(conditions=[condition])])
    await anyio.sleep(1)
    assert scene.requests == requests
    for _, _, body in scene.written[:-1]:
        assert body["status"]["conditions"][0]["lastTransitionTime"] == "2030-01-01T00:00:03Z"


@pytest.mark.parametrize("code", [404, 409])
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_victim_that_is_gone_is_no_failure(scene: Scene, method: str, code: int) -> None:
    scene.server.on(method, "/pods/v", answer(code))
    scene.serve()
    scene.start([victim()])
    await anyio.sleep(1)
    assert (scene.recorder.events, scene.ungated, scene.activated) == ([], ["uid-preemptor"], [])


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_after_a_failure_the_preemptor_is_tried_again_at_once(scene: Scene, method: str) -> None:
    forbidden = answer(403, {"kind": "Status", "code": 403, "reason": "Forbidden"})
    scene.server.on(method, "/pods/v", forbidden)
    scene.serve()
    scene.start([victim()])
    await anyio.sleep(1)
    assert (scene.is_running, scene.ungated, scene.activated) == (False, [], ["uid-preemptor"])
    assert scene.recorder.events == []


async def test_the_preemptor_is_kept_out_until_all_is_written(scene: Scene) -> None:
    answered = anyio.Event()
    scene.server.on("DELETE", "/pods/v1", hold(answered))
    scene.serve()
    scene.start([victim("v1"), victim("v2")])
    await anyio.sleep(1)
    assert (scene.is_running, scene.ungated) == (True, [])
    answered.set()
    await anyio.sleep(1)
    assert not scene.is_running


async def test_the_last_victim_is_deleted_after_the_others(scene: Scene) -> None:
    answered = anyio.Event()
    scene.server.on("DELETE", "/pods/v1", hold(answered))
    scene.serve()
    scene.start([victim("v1"), victim("v2"), victim("v3")])
    await anyio.sleep(1)
    assert scene.requests == ["DELETE v2", "PATCH v1/status", "PATCH v2/status"]
    answered.set()
    await anyio.sleep(1)
    assert {"DELETE v3", "PATCH v3/status"} < set(scene.requests)


async def test_the_last_victim_is_spared_when_another_one_could_not_be_told(scene: Scene) -> None:
    scene.server.on("DELETE", "/pods/v1", answer(403, {"kind": "Status", "code": 403, "reason": "Forbidden"}))
    scene.serve()
    scene.start([victim("v1"), victim("v2")])
    await anyio.sleep(1)
    assert scene.requests == ["PATCH v1/status"]
    assert scene.activated == ["uid-preemptor"]


async def test_what_helped_meanwhile_counts_when_the_victims_are_gone(scene: Scene) -> None:
    scene.serve()
    pods = scene.handle.informers.informer(PODS)
    pods.put(victim(version=1))
    scene.start([victim(version=1)])
    await anyio.sleep(PATIENCE_SECONDS / 2)
    pods.put(victim(version=2, deleted=5))
    await anyio.wait_all_tasks_blocked()
    assert (scene.is_running, scene.ungated) == (False, [])
    pods.remove(victim(version=3))
    await anyio.wait_all_tasks_blocked()
    assert scene.ungated == ["uid-preemptor"]


async def test_victims_that_take_their_time_are_not_waited_for(scene: Scene) -> None:
    scene.serve()
    scene.handle.informers.informer(PODS).put(victim(version=1))
    scene.start([victim(version=1)])
    await anyio.sleep(PATIENCE_SECONDS + 0.1)
    assert scene.ungated == ["uid-preemptor"]


async def test_weaker_pods_that_are_nominated_to_the_node_lose_it(scene: Scene) -> None:
    scene.serve()
    for name, priority, node in (("weaker", 1, "n1"), ("equal", 9, "n1"), ("elsewhere", 1, "n2")):
        pod = make_pod(name, priority=priority, nominated=node)
        scene.handle.nominator.nominate(PodInfo(pod), node)
    scene.start([victim()])
    await anyio.sleep(1)
    assert scene.requests == ["DELETE v", "PATCH v/status", "PATCH weaker/status"]
    [taken] = [body for _, path, body in scene.written if path == "weaker/status"]
    assert taken["status"] == {"nominatedNodeName": None}


async def test_a_pod_that_waits_for_permission_is_sent_back_and_not_deleted(scene: Scene) -> None:
    scene.serve()
    pod = changed(victim(), spec=changed(victim().spec, node_name=""))
    waiting = WaitingPod(pod, "n1", {"Gang": 60.0})
    scene.handle.waiting.add(waiting)
    scene.handle.informers.informer(PODS).put(pod)
    scene.start([pod])
    await anyio.sleep(PATIENCE_SECONDS / 2)
    assert scene.ungated == ["uid-preemptor"]
    status = await waiting.wait()
    assert (status.message, status.plugin) == ("waiting on permit for pod: preempted", "DefaultPreemption")
    assert not status.rejected
    assert scene.written == []
    [event] = scene.recorder.events
    assert event[-1] == "Preempted by pod uid-preemptor on node n1 (in kube-scheduler memory)."


async def test_a_pod_whose_permission_came_is_deleted(scene: Scene) -> None:
    scene.serve()
    waiting = WaitingPod(victim(), "n1", {"Gang": 60.0})
    scene.handle.waiting.add(waiting)
    waiting.allow("Gang")
    scene.start([victim()])
    await anyio.sleep(1)
    assert scene.requests == ["DELETE v", "PATCH v/status"]
