"""Pods on other nodes that keep a preemptor away: told without trying, and only where it is certain."""

import dataclasses
from itertools import combinations
from random import Random
from unittest.mock import patch

import numpy as np
import pytest

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.framework.state import CycleState
from pallet.plugins import names
from pallet.plugins.inter_pod_affinity import InterPodAffinity
from pallet.plugins.preemption import candidates
from pallet.runtime.evaluator import Evaluator
from tests.builders import ZONE, make_node, make_pod, pod_affinity, pod_term
from tests.plugins.preemption.scene import Scene
from tests.plugins.preemption.test_default_preemption import nodes, pod

KEEPER = pod_affinity(away=[pod_term("y", ZONE)])
SHY = pod_affinity(away=[pod_term("x", ZONE)])
WISHES = [None, SHY, KEEPER, pod_affinity(away=[pod_term("x"), pod_term("y", ZONE)])]


def keeper(node: str, priority: int) -> Pod:
    return pod(f"keeper-{node}", node, priority, "0", labels={"app": "x"}, affinity=KEEPER)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (pod("p", priority=5, labels={"app": "y"}), "didn't satisfy existing pods anti-affinity rules"),
        (pod("p", priority=5, affinity=SHY), "didn't match pod anti-affinity rules"),
    ],
    ids=["their terms", "its own terms"],
)
def test_what_pods_on_other_nodes_refuse_is_not_tried(wanted: Pod, reason: str) -> None:
    weak = [pod("v", "a", 1), pod("w", "b", 1)]
    scene = Scene(nodes(1, 1, labels={ZONE: "z"}), [*weak, keeper("a", 1), keeper("b", 1)])
    with patch.object(candidates, "MOST_MOVES", 0):
        assert scene.decision(wanted) == f"0/2 nodes are available: 2 node(s) {reason}."


def test_where_all_that_refuse_are_on_the_node_itself_they_may_be_victims() -> None:
    weak = [pod("v", "a", 1), pod("w", "b", 1)]
    scene = Scene(nodes(1, 1, labels={ZONE: "z"}), [*weak, keeper("a", 1)])
    assert scene.decision(pod("p", priority=5, labels={"app": "y"})) == "a: v keeper-a"


def test_what_is_said_with_a_nominated_pod_there_comes_first() -> None:
    keepers = [pod(f"keeper-{node}", node, 1, "0", affinity=KEEPER) for node in "ab"]
    held = [pod("v", "a", 1), pod("w", "b", 1), *keepers]
    ahead = {"a": [pod("ahead", "", 9, "0", labels={"app": "x"})]}
    scene = Scene(nodes(1, 1, labels={ZONE: "z"}), held, nominated=ahead)
    message = scene.decision(
        pod("p", priority=5, labels={"app": "y"}, affinity=pod_affinity(away=[pod_term("x")]))
    )
    assert message == (
        "0/2 nodes are available: 1 node(s) didn't match pod anti-affinity rules, "
        "1 node(s) didn't satisfy existing pods anti-affinity rules."
    )


@pytest.mark.parametrize("seed", range(8))
def test_a_code_regardless_of_pods_is_what_the_filter_says_whichever_are_removed(seed: int) -> None:
    rng = Random(seed)  # noqa: S311 - chooses what happens
    scene = Scene(
        [make_node(name, labels={ZONE: rng.choice("zy")} if name != "d" else {}) for name in "abcd"]
    )
    for number in range(8):
        wishes = rng.choice(WISHES)
        scene.cache.put_pod(
            make_pod(
                f"p{number}",
                pod_set="",
                node=rng.choice("abcd"),
                labels={"app": rng.choice("xy")},
                affinity=wishes,
            )
        )
    snapshot = scene.cache.snapshot
    plugin = scene.profile.plugins[names.INTER_POD_AFFINITY]
    assert isinstance(plugin, InterPodAffinity)
    certain = 0
    for wishes in WISHES:
        info = PodInfo(make_pod("wanted", pod_set="", labels={"app": rng.choice("xy")}, affinity=wishes))
        rows = np.array(sorted(snapshot.rows()))
        for row, code in zip(
            rows.tolist(), plugin.filter_regardless(info, snapshot, rows).tolist(), strict=True
        ):
            there = list(snapshot.pods(row))
            codes = set()
            for count in range(len(there) + 1):
                for removed in combinations(there, count):
                    with snapshot.fork() as fork:
                        for each in removed:
                            fork.remove(each, row)
                        codes.add(plugin.filter_row(CycleState(), info, fork, row))
            assert code == (codes.pop() if len(codes) == 1 else 0)
            certain += code != 0
    assert certain


@pytest.mark.parametrize(
    ("reordered", "reason"),
    [(False, "Insufficient cpu"), (True, "node(s) didn't satisfy existing pods anti-affinity rules")],
)
def test_what_a_filter_says_that_comes_before_sums_is_said_also_where_sums_refuse(
    *, reordered: bool, reason: str
) -> None:
    staying = pod("staying", "a", 9, "1", labels={"app": "x"}, affinity=KEEPER)
    scene = Scene(nodes(1, labels={ZONE: "z"}), [staying, pod("weak", "a", 1, "0")])
    if reordered:
        first = [plugin for plugin in scene.profile.filter if plugin.name == names.INTER_POD_AFFINITY]
        others = [plugin for plugin in scene.profile.filter if plugin not in first]
        profile = dataclasses.replace(scene.profile, filter=(*first, *others))
        scene.evaluator = Evaluator(profile, scene.cache.snapshot, Random(0))  # noqa: S311 - breaks ties
    wanted = pod("p", priority=5, labels={"app": "y"})
    assert scene.decision(wanted) == f"0/1 nodes are available: 1 {reason}."
    assert scene.decision(wanted) == f"0/1 nodes are available: 1 {reason}."
