"""Refusals are kept for as long as they are right, and no longer."""

from collections.abc import Callable
from random import Random

import pytest

from pallet.api.node import Taint
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.framework.state import CycleState
from pallet.runtime.evaluator import Choice, Evaluator
from tests.builders import make_node, make_pod
from tests.profiles import default_profile


class Scene:
    """Two nodes, the second of them full, and pods that fit on neither."""

    def __init__(self) -> None:
        self.cache = Cache()
        self.cache.put_node(make_node("a", cpu="2"))
        self.cache.put_node(make_node("b", cpu="4"))
        self.placed = make_pod("placed", node="b", cpu="4")
        self.cache.put_pod(self.placed)
        self.profile = default_profile(self.cache)
        self.evaluator = Evaluator(self.profile, self.cache.snapshot, Random(0))  # noqa: S311 - breaks ties

    def choose(self, name: str = "new", **spec: object) -> Choice:
        pod = make_pod(name, pod_set="", **{"cpu": "4", **spec})  # type: ignore[arg-type]  # any field of it
        return self.evaluator.choose(CycleState(), PodInfo(pod))


def test_alike_pods_get_the_same_refusals_while_nothing_they_are_refused_for_changes() -> None:
    scene = Scene()
    first = scene.choose()
    scene.cache.put_pod(make_pod("small", node="a", cpu="1"))
    again = scene.choose("another")
    assert again.refusals is first.refusals
    assert again.message == first.message == "0/2 nodes are available: 2 Insufficient cpu."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda scene: scene.cache.put_node(make_node("a", cpu="2", taints=[Taint("t", "NoSchedule")])),
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s).",
            id="a node changes",
        ),
        pytest.param(
            lambda scene: scene.cache.put_node(make_node("c", cpu="1")),
            "0/3 nodes are available: 3 Insufficient cpu.",
            id="a node comes",
        ),
        pytest.param(
            lambda scene: scene.cache.drop_node("a"),
            "0/1 nodes are available: 1 Insufficient cpu.",
            id="a node goes",
        ),
        pytest.param(
            lambda scene: [
                scene.cache.put_pod(make_pod(f"p{number}", node="a", cpu="0")) for number in range(110)
            ],
            "0/2 nodes are available: 1 Too many pods, 2 Insufficient cpu.",
            id="a load changes what a node is refused for",
        ),
        pytest.param(
            lambda scene: scene.cache.snapshot.nominator.nominate(
                PodInfo(make_pod("nominated", cpu="2")), "a"
            ),
            "0/2 nodes are available: 2 Insufficient cpu.",
            id="a pod is nominated",
        ),
    ],
)
def test_a_change_that_matters_is_seen(change: Callable[[Scene], object], message: str) -> None:
    scene = Scene()
    before = scene.choose()
    change(scene)
    after = scene.choose()
    assert after.refusals is not before.refusals
    assert after.message == message


def test_other_pods_have_other_reasons() -> None:
    scene = Scene()
    scene.choose()
    message = scene.choose(node_selector={"disk": "ssd"}).message
    assert message == "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."


def test_room_that_is_made_is_found() -> None:
    scene = Scene()
    scene.choose()
    scene.cache.drop_pod(scene.placed)
    assert scene.choose().node == "b"
