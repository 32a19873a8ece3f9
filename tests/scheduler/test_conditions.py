"""Conditions: written once, the newest only, and never over a binding."""

from collections.abc import AsyncIterator

import anyio
import pytest
from aiohttp import web

from pallet.api.pod import Pod, PodCondition
from pallet.client.client import Client
from pallet.scheduler import conditions as conditions_module
from pallet.scheduler.conditions import UNSCHEDULABLE, ConditionWriter
from tests.builders import at, make_pod
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.scheduler.world import API
from tools.faults.proxy import Exchange, FaultProxy, answer

pytestmark = pytest.mark.anyio

STATUS = "/pods/.*/status$"


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


class Scene:
    """A writer that runs, and the pods of an API server."""

    def __init__(self, server: FaultProxy, client: Client) -> None:
        self.server = server
        self.api = API(server)
        self.writer = ConditionWriter(client)

    def pod(self, *conditions: PodCondition, version: int = 1) -> Pod:
        return self.api.put(make_pod("a", conditions=conditions, version=version))

    def set(self, pod: Pod, message: str = "why") -> None:
        self.writer.set(pod, UNSCHEDULABLE, message)

    @property
    def messages(self) -> list[str]:
        return [condition["message"] for condition in self.api.conditions]

    @property
    def patches(self) -> int:
        return sum(request.startswith("PATCH") for request in self.server.requests)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with FaultProxy.start() as server, Client.connect(master=server.url, qps=0) as client:
        scene = Scene(server, client)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scene.writer.run)
            yield scene
            tasks.cancel_scope.cancel()


def carried(message: str = "why", status: str = "False") -> PodCondition:
    return PodCondition("PodScheduled", status, UNSCHEDULABLE, message, last_transition_time=at(5))


async def test_a_condition_has_kube_schedulers_fields(scene: Scene) -> None:
    scene.api.serve()
    pod = scene.pod()
    scene.set(pod)
    await anyio.sleep(1)
    (condition,) = scene.api.conditions
    assert condition.pop("lastTransitionTime").endswith("Z")
    assert condition == {
        "pod": "a",
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "why",
        "observedGeneration": 0,
        "lastProbeTime": None,
    }


@pytest.mark.parametrize(("status", "kept"), [("False", True), ("True", False)])
async def test_the_transition_time_changes_with_the_status_only(
    scene: Scene, status: str, *, kept: bool
) -> None:
    scene.api.serve()
    scene.set(scene.pod(carried("before", status)))
    await anyio.sleep(1)
    assert (scene.api.conditions[0]["lastTransitionTime"] == "2030-01-01T00:00:05Z") is kept


async def test_a_node_is_shown_without_a_condition(scene: Scene) -> None:
    scene.api.serve()
    scene.writer.nominate(scene.pod(), "n1")
    await anyio.sleep(1)
    assert scene.api.conditions == []
    assert scene.api.pod("default/a").status.nominated_node_name == "n1"
    scene.writer.nominate(scene.api.pod("default/a"), "n1")
    await anyio.sleep(1)
    assert scene.patches == 1, "what it shows already is not written again"


async def test_a_node_is_shown_beside_the_condition_that_is_there(scene: Scene) -> None:
    scene.api.serve()
    pod = scene.pod(carried("before"))
    scene.writer.nominate(pod, "n1")
    await anyio.sleep(1)
    assert scene.messages == ["before"]
    assert scene.api.pod("default/a").status.nominated_node_name == "n1"


async def test_what_a_pod_carries_is_not_written(scene: Scene) -> None:
    scene.set(scene.pod(carried()))
    await anyio.sleep(1)
    assert scene.patches == 0


async def test_what_was_written_and_is_not_seen_yet_is_not_written_again(scene: Scene) -> None:
    scene.api.serve()
    pod = scene.pod()
    scene.set(pod)
    await anyio.sleep(1)
    scene.set(pod)
    await anyio.sleep(1)
    assert scene.messages == ["why"]


async def test_once_seen_nothing_is_remembered(scene: Scene) -> None:
    scene.api.serve()
    scene.set(scene.pod())
    await anyio.sleep(1)
    assert scene.writer._last
    scene.set(scene.api.pod("default/a"))
    assert not scene.writer._last


async def test_of_several_only_the_newest_is_written(scene: Scene) -> None:
    scene.api.serve()
    pod = scene.pod()
    for message in ("first", "second", "third"):
        scene.set(pod, message)
    await anyio.sleep(1)
    assert scene.messages == ["third"]


async def test_going_back_to_what_a_pod_carries_writes_nothing(scene: Scene) -> None:
    scene.api.serve()
    pod = scene.pod(carried())
    scene.set(pod, "other")
    scene.set(pod)
    await anyio.sleep(1)
    assert scene.messages == []


async def test_a_forgotten_pod_is_not_written(scene: Scene) -> None:
    pod = scene.pod()
    scene.set(pod)
    scene.writer.forget(pod)
    await anyio.sleep(1)
    assert scene.patches == 0


async def test_one_that_could_not_be_written_is_written_the_next_time(scene: Scene) -> None:
    scene.server.on("PATCH", STATUS, answer(403))
    scene.api.serve()
    pod = scene.pod()
    scene.set(pod)
    await anyio.sleep(1)
    assert scene.messages == []
    scene.set(pod)
    await anyio.sleep(1)
    assert scene.messages == ["why"]


async def test_one_for_an_older_version_is_written_over_the_newer_one(scene: Scene) -> None:
    scene.api.serve()
    old = make_pod("a")
    scene.pod(version=7)
    scene.set(old)
    await anyio.sleep(1)
    assert scene.messages == ["why"]


@pytest.mark.parametrize("what", ["bound", "gone", "created anew"])
async def test_one_that_comes_too_late_is_not_written(scene: Scene, what: str) -> None:
    """The binding sets PodScheduled=True; nobody would set it again."""
    scene.api.serve()
    old = make_pod("a")
    if what == "bound":
        scene.api.put(make_pod("a", node="n1", version=2))
    elif what == "created anew":
        scene.api.put(make_pod("a", uid="other"))
    scene.set(old)
    await anyio.sleep(5)
    assert scene.patches == 1
    assert scene.messages == []


async def test_a_pod_that_changes_all_the_time_is_given_up(scene: Scene) -> None:
    scene.server.on("PATCH", STATUS, answer(409), times=float("inf"))
    scene.api.serve()
    scene.set(scene.pod())
    await anyio.sleep(30)
    assert scene.patches == conditions_module.TRIES


async def test_a_slow_write_does_not_hold_up_the_others(scene: Scene) -> None:
    release = anyio.Event()

    async def slow(exchange: Exchange) -> web.StreamResponse:
        await release.wait()
        return await scene.api.patch(exchange)

    scene.server.on("PATCH", "/pods/a/status$", slow)
    scene.api.serve()
    scene.set(scene.pod())
    scene.set(scene.api.put(make_pod("b")), "other")
    await anyio.sleep(1)
    assert scene.messages == ["other"]
    release.set()
    await anyio.sleep(1)
    assert scene.messages == ["other", "why"]


async def test_pods_that_are_never_seen_again_take_bounded_memory(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions_module, "WRITTEN_BYTES", 8000)
    async with Client.connect(master=scene.server.url, qps=0) as client:
        scene.writer = ConditionWriter(client)
        scene.api.serve()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scene.writer.run)
            for number in range(50):
                scene.set(scene.api.put(make_pod(f"p{number}")))
            await anyio.sleep(1)
            tasks.cancel_scope.cancel()
    assert len(scene.messages) == 50
    assert 0 < len(scene.writer._last) < 50
    assert scene.writer._last.bytes <= 8000
