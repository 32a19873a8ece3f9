from dataclasses import dataclass
from typing import Any

import anyio
import anyio.abc
import pytest

from pallet.api.labels import Labels
from pallet.api.meta import Status as ApiStatus
from pallet.api.pod import Pod
from pallet.api.storage import ClaimReference, PersistentVolume, PersistentVolumeClaim
from pallet.cache.pod_info import PodInfo
from pallet.client.errors import AnswerLost, ApiError
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status, error, unresolvable
from pallet.plugins.volumes.progress import Progress
from tests.builders import HOSTNAME, make_node, make_pod
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.plugins.volume_scene import Scene, a_pod, bound, late, local
from tests.storage import make_free_volume

pytestmark = pytest.mark.anyio

NO_MATCH = "node(s) didn't find available persistent volumes to bind"
DONE = {"pv.kubernetes.io/bind-completed": "yes"}
KEEPER = "pv.kubernetes.io/bound-by-controller"
SELECTED = "volume.kubernetes.io/selected-node"


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, object]]:
    return VIRTUAL_TIME


def chosen(state: CycleState) -> dict[str, str]:
    """The volume of each claim, or the node that one is made for."""
    choice = state.read("VolumeBinding/choice")
    if choice is None:
        return {}
    kept = {each.claim.metadata.name: each.volume.metadata.name for each in choice.bindings}
    return kept | {each.metadata.name: each.metadata.annotations[SELECTED] for each in choice.provisions}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([bound("c", "v"), make_free_volume("v")], {}, id="bound"),
        pytest.param([late("c")], {"c": "a"}, id="made"),
        pytest.param([late("c"), make_free_volume("v")], {"c": "v"}, id="rather one that is there"),
        pytest.param(
            [late("c"), *(make_free_volume(f"v{size}", size=f"{size}Gi") for size in (3, 1, 2))],
            {"c": "v1"},
            id="the smallest",
        ),
        pytest.param(
            [late("c"), make_free_volume("far", reach={HOSTNAME: "b"}), make_free_volume("near", size="9Gi")],
            {"c": "near"},
            id="of those in reach",
        ),
        pytest.param(
            [
                late("c"),
                make_free_volume("free"),
                make_free_volume("kept", size="9Gi", kept_for=ClaimReference("default", "c")),
            ],
            {"c": "kept"},
            id="rather the one that is kept",
        ),
        pytest.param([late("c", annotations={SELECTED: "a"})], {"c": "a"}, id="begun before"),
    ],
)
def test_what_is_chosen_for_a_claim(objects: list[PersistentVolume], expected: dict[str, str]) -> None:
    state, status = Scene(*objects).reserve(a_pod("c"), "a")
    assert (status, chosen(state)) == (SUCCESS, expected)


def test_small_claims_leave_the_large_volumes_to_large_ones() -> None:
    scene = Scene(
        late("l", "2Gi", "local"), late("s", "1Gi", "local"), local("v1", "a"), local("v2", "a", "2Gi")
    )
    state, status = scene.reserve(a_pod("l", "s"), "a")
    assert (status, chosen(state)) == (SUCCESS, {"s": "v1", "l": "v2"})


def test_nobody_else_gets_what_is_reserved_until_it_is_given_back() -> None:
    scene = Scene(late("c", storage_class="local"), late("d", storage_class="local"), local("v", "a"))
    state, _ = scene.reserve(a_pod("c"), "a")
    assert scene.messages(a_pod("d"))["a"] == NO_MATCH
    assert scene.messages(a_pod("c"))["a"] == "", "another pod with the same claim"
    assert scene.reserve(a_pod("d"), "a")[1] == unresolvable(NO_MATCH)
    scene.plugin.unreserve(state, PodInfo(a_pod("c")), "a")
    assert scene.messages(a_pod("d"))["a"] == ""
    scene.plugin.unreserve(state, PodInfo(a_pod("c")), "a")
    scene.plugin.unreserve(CycleState(), PodInfo(a_pod("c")), "a")


def test_a_claim_whose_volume_is_asked_for_takes_other_pods_to_the_same_node() -> None:
    scene = Scene(late("c"))
    state, _ = scene.reserve(a_pod("c"), "a")
    assert scene.messages(a_pod("c")) == {"a": "", "b": NO_MATCH}
    scene.plugin.unreserve(state, PodInfo(a_pod("c")), "a")
    assert scene.messages(a_pod("c")) == {"a": "", "b": ""}


def test_what_the_api_says_of_a_reserved_volume_wins() -> None:
    scene = Scene(late("c", storage_class="local"), late("d", storage_class="local"), local("v", "a"))
    state, _ = scene.reserve(a_pod("c"), "a")
    scene.change(PersistentVolume, "v", metadata={"labels": Labels({"new": "label"})})
    assert scene.messages(a_pod("d"))["a"] == ""
    taken, _ = scene.reserve(a_pod("d"), "a")
    scene.plugin.unreserve(state, PodInfo(a_pod("c")), "a")
    assert chosen(taken) == {"d": "v"}
    assert scene.messages(a_pod("c"))["a"] == NO_MATCH, "the first one has nothing to give back any more"


def test_what_the_api_says_of_a_claim_wins() -> None:
    scene = Scene(late("c"))
    scene.reserve(a_pod("c"), "a")
    scene.change(PersistentVolumeClaim, "default/c", metadata={})
    assert scene.messages(a_pod("c")) == {"a": "", "b": ""}


def test_a_volume_that_is_gone_is_given_back_to_nobody() -> None:
    scene = Scene(late("c", storage_class="local"), local("v", "a"))
    state, _ = scene.reserve(a_pod("c"), "a")
    scene.lose(scene.api.objects["v"])
    scene.plugin.unreserve(state, PodInfo(a_pod("c")), "a")
    assert scene.messages(a_pod("c"))["a"] == NO_MATCH


def test_a_node_that_is_gone_reserves_nothing() -> None:
    assert Scene(late("c")).reserve(a_pod("c"), "z")[1] == error('node "z" not found')


def test_what_moved_on_since_the_filter_is_not_assumed() -> None:
    scene, state = Scene(late("c"), late("d"), make_free_volume("v")), CycleState()
    scene.pre_filter(a_pod("c", "d"), state)
    scene.change(PersistentVolumeClaim, "default/d", metadata={})
    message = '"default/d" is out of sync (stored: 2, assume: 1)'
    assert scene.plugin.reserve(state, PodInfo(a_pod("c", "d")), "a") == error(message)
    assert scene.reserve(a_pod("c"), "a")[1] == SUCCESS
    scene.lose(scene.api.objects["default/d"])
    assert scene.plugin.reserve(state, PodInfo(a_pod("c", "d")), "a") == error('"default/d" not found')


@dataclass
class Binding:
    """A PreBind under way."""

    scene: Scene
    status: Status | None = None

    async def settle(self) -> Status | None:
        """The outcome as of now."""
        await anyio.wait_all_tasks_blocked()
        return self.status


async def begin(tasks: anyio.abc.TaskGroup, scene: Scene, pod: Pod, node: str = "a") -> Binding:
    """Reserve, and start PreBind."""
    scene.see(pod)
    state, status = scene.reserve(pod, node)
    assert status == SUCCESS
    binding = Binding(scene)

    async def run() -> None:
        binding.status = await scene.plugin.pre_bind(state, PodInfo(pod), node)
        if not binding.status.ok:
            scene.plugin.unreserve(state, PodInfo(pod), node)

    tasks.start_soon(run)
    await binding.settle()
    return binding


def finish(scene: Scene, claim: str, volume: str) -> None:
    """What the volume controller does in the end."""
    annotations = scene.api.objects[f"default/{claim}"].metadata.annotations
    scene.change(
        PersistentVolumeClaim,
        f"default/{claim}",
        metadata={"annotations": Labels({**annotations, **DONE})},
        spec={"volume_name": volume},
    )


async def test_nothing_is_written_where_all_claims_are_bound() -> None:
    scene = Scene(bound("c", "v"), make_free_volume("v"))
    async with anyio.create_task_group() as tasks:
        binding = await begin(tasks, scene, a_pod("c"))
        assert (binding.status, scene.api.patches) == (SUCCESS, [])


async def test_a_volume_is_kept_for_its_claim_and_then_waited_for() -> None:
    scene = Scene(late("c", storage_class="local"), local("v", "a"))
    async with anyio.create_task_group() as tasks:
        binding = await begin(tasks, scene, a_pod("c"))
        assert scene.api.patches == [
            (
                "v",
                {
                    "metadata": {"uid": "uid-v", "annotations": {KEEPER: "yes"}},
                    "spec": {
                        "claimRef": {
                            "apiVersion": "v1",
                            "kind": "PersistentVolumeClaim",
                            "namespace": "default",
                            "name": "c",
                            "uid": "uid-c",
                            "resourceVersion": "1",
                        }
                    },
                },
            )
        ]
        assert binding.status is None, "our own write is still to be seen"
        scene.see(scene.api.objects["v"])
        assert await binding.settle() is None
        scene.change(PersistentVolume, "v", status={"phase": "Bound"})
        scene.change(PersistentVolumeClaim, "default/c", spec={"volume_name": "v"})
        assert await binding.settle() is None, "the volume controller is not done yet"
        finish(scene, "c", "v")
        assert await binding.settle() == SUCCESS


async def test_who_kept_a_volume_is_not_noted_when_it_was_the_user() -> None:
    kept = ClaimReference("default", "c")
    scene = Scene(late("c", storage_class="local"), local("v", "a", kept_for=kept))
    async with anyio.create_task_group() as tasks:
        await begin(tasks, scene, a_pod("c"))
        [(_, patch)] = scene.api.patches
        assert patch["metadata"] == {"uid": "uid-v"}
        assert patch["spec"]["claimRef"]["uid"] == "uid-c"
        tasks.cancel_scope.cancel()


async def test_a_volume_is_asked_for_and_then_waited_for() -> None:
    scene = Scene(late("c"))
    async with anyio.create_task_group() as tasks:
        binding = await begin(tasks, scene, a_pod("c"))
        metadata = {"uid": "uid-c", "annotations": {SELECTED: "a"}}
        assert scene.api.patches == [("default/c", {"metadata": metadata})]
        finish(scene, "c", "v")
        assert await binding.settle() is None, "the volume is not to be seen yet"
        scene.see(make_free_volume("v", kept_for=ClaimReference("default", "c", "uid-c"), phase="Bound"))
        assert await binding.settle() == SUCCESS


async def test_all_claims_are_waited_for() -> None:
    scene = Scene(late("made"), late("kept", storage_class="local"), local("v", "a"))
    async with anyio.create_task_group() as tasks:
        binding = await begin(tasks, scene, a_pod("made", "kept"))
        assert [key for key, _ in scene.api.patches] == ["v", "default/made"]
        scene.see(scene.api.objects["v"])
        finish(scene, "kept", "v")
        assert await binding.settle() is None
        scene.see(
            make_free_volume("w", kept_for=ClaimReference("default", "made", "uid-made"), phase="Bound")
        )
        finish(scene, "made", "w")
        assert await binding.settle() == SUCCESS


async def test_a_claim_that_is_never_bound_is_given_up() -> None:
    scene = Scene(late("c"), timeout=30)
    async with anyio.create_task_group() as tasks:
        binding = await begin(tasks, scene, a_pod("c"))
        await anyio.sleep(29.9)
        assert binding.status is None
        await anyio.sleep(0.2)
        assert await binding.settle() == error("binding volumes: context deadline exceeded")


async def test_no_volume_is_given_back_that_was_written() -> None:
    scene = Scene(
        late("c", storage_class="local"), late("d", storage_class="local"), local("v", "a"), timeout=30
    )
    async with anyio.create_task_group() as tasks:
        await begin(tasks, scene, a_pod("c"))
        await anyio.sleep(31)
    assert scene.messages(a_pod("d"))["a"] == NO_MATCH
    scene.see(scene.api.objects["v"])
    assert scene.messages(a_pod("d"))["a"] == NO_MATCH


REFUSED = ApiError(ApiStatus(code=409, reason="Conflict", message="modified"), "patch", "persistentvolumes v")
LOST = AnswerLost("patch", "persistentvolumes v", "connection reset")


@pytest.mark.parametrize(("failure", "message"), [(REFUSED, "modified"), (LOST, str(LOST))])
async def test_a_write_that_fails_ends_it_and_gives_back_what_was_not_written(
    failure: Exception, message: str
) -> None:
    scene = Scene(late("c", storage_class="local"), late("made"), local("v", "a"))
    scene.api.failures["v"] = failure
    async with anyio.create_task_group() as tasks:
        binding = await begin(tasks, scene, a_pod("c", "made"))
        assert binding.status == error(message)
    assert [key for key, _ in scene.api.patches] == ["v"]
    assert scene.messages(a_pod("c", "made"))["a"] == ""
    assert scene.messages(a_pod("made"))["b"] == ""


async def refused_after(scene: Scene, change: object, pod: Pod) -> Status | None:
    """The outcome of a binding that a change has ended; without it, it would have been waited on."""
    async with anyio.create_task_group() as tasks:
        binding = await begin(tasks, scene, pod)
        for each in scene.api.objects.copy().values():
            scene.see(each)
        assert await binding.settle() is None
        assert callable(change)
        change(scene)
        status = await binding.settle()
        tasks.cancel_scope.cancel()
    return status


def lose(key: str) -> object:
    return lambda scene: scene.lose(scene.api.objects[key])


def relabel(scene: Scene) -> None:
    scene.see(make_node("a", labels={HOSTNAME: "renamed"}))


GONE_POD = 'pod does not exist any more: pod "p" not found'
NO_REACH = 'pv "v" node affinity doesn\'t match node "a": no matching NodeSelectorTerms'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lose("v"), 'failed to check binding: persistentvolumes "v" not found', id="volume gone"),
        pytest.param(
            lose("default/c"),
            'failed to check binding: persistentvolumeclaims "default/c" not found',
            id="claim gone",
        ),
        pytest.param(lose("default/p"), GONE_POD, id="pod gone"),
        pytest.param(lose("a"), 'failed to get node "a": node "a" not found', id="node gone"),
        pytest.param(relabel, NO_REACH, id="node out of reach"),
        pytest.param(
            lambda scene: scene.change(PersistentVolume, "v", spec={"claim_ref": None}),
            'ClaimRef got reset for pv "v"',
            id="volume taken back",
        ),
        pytest.param(
            lambda scene: scene.change(
                PersistentVolume, "v", spec={"claim_ref": ClaimReference("default", "c")}
            ),
            'ClaimRef got reset for pv "v"',
            id="volume kept by name only",
        ),
    ],
)
async def test_what_ends_the_wait_for_a_volume_that_was_there(change: object, message: str) -> None:
    scene = Scene(late("c", storage_class="local"), local("v", "a"))
    assert await refused_after(scene, change, a_pod("c")) == error(f"binding volumes: {message}")


def annotate(**annotations: str) -> object:
    names = {"selected": SELECTED, "other": "other"}
    found = {names[key]: value for key, value in annotations.items()}
    return lambda scene: scene.change(
        PersistentVolumeClaim, "default/c", metadata={"annotations": Labels(found)}
    )


def bind_out_of_reach(scene: Scene) -> None:
    scene.see(make_free_volume("v", reach={HOSTNAME: "b"}, kept_for=ClaimReference("default", "c", "uid-c")))
    finish(scene, "c", "v")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lose("default/c"),
            'failed to check provisioning pvc: persistentvolumeclaims "default/c" not found',
            id="claim gone",
        ),
        pytest.param(annotate(), 'selectedNode annotation reset for PVC "c"', id="no annotation left"),
        pytest.param(annotate(other="x"), 'provisioning failed for PVC "c"', id="node taken back"),
        pytest.param(annotate(selected="b"), 'provisioning failed for PVC "c"', id="another node"),
        pytest.param(bind_out_of_reach, NO_REACH, id="made out of reach"),
        pytest.param(lose("default/p"), GONE_POD, id="pod gone"),
    ],
)
async def test_what_ends_the_wait_for_a_volume_to_be_made(change: object, message: str) -> None:
    status = await refused_after(Scene(late("c")), change, a_pod("c"))
    assert status == error(f"binding volumes: {message}")


async def test_a_step_on_the_way_wakes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    is_done = Progress.is_done

    def counted(*asked: Any) -> bool:
        nonlocal looks
        looks += 1
        return is_done(*asked)

    monkeypatch.setattr(Progress, "is_done", counted)
    scene = Scene(late("c"))
    async with anyio.create_task_group() as tasks:
        binding = await begin(tasks, scene, a_pod("c"))
        scene.see(scene.api.objects["default/c"])
        scene.see(make_free_volume("v", kept_for=ClaimReference("default", "c", "uid-c")))
        assert await binding.settle() is None
        assert looks == 1
        finish(scene, "c", "v")
        assert await binding.settle() == SUCCESS
        assert looks == 2


async def test_what_happens_to_others_wakes_nobody() -> None:
    scene = Scene(late("c"), late("other"))
    async with anyio.create_task_group() as tasks:
        binding = await begin(tasks, scene, a_pod("c"))
        finish(scene, "other", "v")
        scene.see(make_node("b", labels={"new": "label"}), make_pod("q"), make_free_volume("free"))
        scene.lose(make_pod("q"), make_node("b"))
        assert await binding.settle() is None
        tasks.cancel_scope.cancel()
