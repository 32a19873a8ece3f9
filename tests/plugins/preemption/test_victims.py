"""The pods of each row in the order of their importance, as columns."""

from random import Random
from unittest.mock import patch

import pytest

from pallet.api.pod import Pod
from pallet.api.requests import CPU, PODS
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from pallet.plugins.preemption import victims
from pallet.plugins.preemption.importance import by_importance
from pallet.plugins.preemption.victims import NO_POD
from tests.builders import make_node, make_pod
from tests.plugins.preemption.scene import Scene

NODES = [f"n{number}" for number in range(6)]
STEPS = 25


def drawn(number: int, rng: Random) -> Pod:
    return make_pod(
        f"p{number}",
        pod_set="",
        node=rng.choice(NODES),
        cpu=str(rng.randrange(10)),
        priority=rng.randrange(-1, 3),
        started=rng.choice((None, 0, 10)),
    )


@pytest.mark.parametrize("few", [4096, 0], ids=["all requests kept", "requests of pods that left forgotten"])
def test_columns_say_which_pods_are_on_the_nodes(few: int) -> None:
    rng = Random(0)  # noqa: S311 - chooses what happens
    placed: list[Pod] = []
    with patch.object(victims, "_FEW_REQUESTS", few):
        scene = Scene([make_node(name) for name in NODES])
        for step in range(STEPS):
            for number in range(rng.randrange(12)):
                placed.append(drawn(step * 100 + number, rng))
                scene.cache.put_pod(placed[-1])
            rng.shuffle(placed)
            for _ in range(min(len(placed), rng.randrange(6))):
                scene.cache.drop_pod(placed.pop())
            scene.cache.reserve(PodInfo(make_pod(f"planned{step}", pod_set="")), rng.choice(NODES), Owner())
            compare(scene, placed)


def compare(scene: Scene, placed: list[Pod]) -> None:
    table, found = scene.cache.snapshot.table, scene.plugin._potential
    assert found.refresh(table.live).tolist() == table.live.tolist()
    for name in NODES:
        row = table.row_of[name]
        pods = [info.pod for info in found.pods(row)]
        assert {pod.key for pod in pods} == {pod.key for pod in placed if pod.spec.node_name == name}
        keys = [by_importance(pod) for pod in pods]
        assert keys == sorted(keys)
        height = found.height[row]
        assert height == len(pods)
        assert [
            (-p, s) for p, s in zip(found.priority[:, row], found.start[:height, row], strict=False)
        ] == keys
        assert (found.priority[height:, row] == NO_POD).all()
        amounts = [[1, info.requests.of(CPU)] for info in found.pods(row)]
        assert found.amounts((PODS, CPU))[found.requests[:height, row]].tolist() == amounts


def test_requests_of_pods_that_left_are_forgotten() -> None:
    with patch.object(victims, "_FEW_REQUESTS", 8):
        scene = Scene([make_node("a")])
        found, live = scene.plugin._potential, scene.cache.snapshot.table.live
        for number in range(100):
            pod = make_pod(f"p{number}", pod_set="", node="a", cpu=f"{number}m")
            scene.cache.put_pod(pod)
            found.refresh(live)
            assert len(found._distinct) < 12
            scene.cache.drop_pod(pod)
