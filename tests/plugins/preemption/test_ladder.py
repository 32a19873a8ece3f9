"""Pods in the order of their importance: rows sorted at once are as rows sorted one by one."""

from random import Random
from unittest.mock import patch

import numpy as np
import pytest

from pallet.api.pod import Pod
from pallet.api.requests import CPU, PODS
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from pallet.plugins.preemption import ladder
from pallet.plugins.preemption.importance import by_importance
from pallet.plugins.preemption.ladder import NOBODY
from tests.builders import make_node, make_pod
from tests.plugins.preemption.scene import Scene

NODES = [f"n{number}" for number in range(6)]
STEPS = 25


def placed(number: int, rng: Random) -> Pod:
    return make_pod(
        f"p{number}",
        pod_set="",
        node=rng.choice(NODES),
        cpu=str(rng.randrange(10)),
        priority=rng.randrange(-1, 3),
        started=rng.choice((None, 0, 10)),
    )


@pytest.mark.parametrize("few", [0, len(NODES)], ids=["at once", "one by one"])
def test_columns_say_what_stands_on_the_nodes(few: int) -> None:
    rng = Random(0)  # noqa: S311 - chooses what happens
    scene = Scene([make_node(name) for name in NODES])
    standing: list[Pod] = []
    with patch.object(ladder, "FEW_ROWS", few):
        for step in range(STEPS):
            for number in range(rng.randrange(12)):
                standing.append(placed(step * 100 + number, rng))
                scene.cache.put_pod(standing[-1])
            rng.shuffle(standing)
            for _ in range(min(len(standing), rng.randrange(6))):
                scene.cache.drop_pod(standing.pop())
            scene.cache.reserve(PodInfo(make_pod(f"planned{step}", pod_set="")), rng.choice(NODES), Owner())
            compare(scene, standing)


def compare(scene: Scene, standing: list[Pod]) -> None:
    table, found = scene.cache.snapshot.table, scene.plugin._ladder
    assert found.refresh(table.live).tolist() == table.live.tolist()
    for name in NODES:
        row = table.row_of[name]
        pods = [info.pod for info in found.pods(row)]
        assert {pod.key for pod in pods} == {pod.key for pod in standing if pod.spec.node_name == name}
        keys = [by_importance(pod) for pod in pods]
        assert keys == sorted(keys)
        height = found.height[row]
        assert height == len(pods)
        assert [
            (-p, s) for p, s in zip(found.priority[:, row], found.start[:height, row], strict=False)
        ] == keys
        assert (found.priority[height:, row] == NOBODY).all()
        weights = [[1, info.requests.of(CPU)] for info in found.pods(row)]
        assert found.weights((PODS, CPU))[found.kind[:height, row]].tolist() == weights
        assert found.lowest(np.array([row]))[0] == (pods[-1].spec.priority if pods else NOBODY)
    asked = {PodInfo(pod).requests for pod in standing}
    assert found._kinds._number_of.keys() == asked
    assert {each for each in found._kinds._requests if each is not None} == asked
