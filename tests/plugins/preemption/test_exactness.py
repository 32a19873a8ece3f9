"""What is pruned, done at once and remembered is what trying every node on a copy finds."""

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallet.api.pod import ContainerPort, Pod
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from pallet.framework.state import CycleState
from pallet.plugins.default_preemption import DefaultPreemptionArgs
from pallet.plugins.preemption import dry_run
from tests.builders import make_node, make_pod, pod_affinity, pod_term
from tests.plugins.preemption.oracle import candidates
from tests.plugins.preemption.scene import Scene, make_budget

NODES = ("a", "b", "c", "d")

ALL_NODES = DefaultPreemptionArgs(min_candidate_nodes_percentage=100)

looks = st.sampled_from(("x", "y"))
priorities = st.integers(-1, 3)
affinities = st.sampled_from(
    (None, None, pod_affinity(away=[pod_term("x")]), pod_affinity(near=[pod_term("y")]))
)
ports = st.sampled_from(((), (), (ContainerPort(host_port=80),)))


@st.composite
def pods(draw: st.DrawFn, /, name: str, **fixed: Any) -> Pod:
    return make_pod(
        name,
        pod_set="",
        labels={"app": draw(looks)},
        cpu=str(draw(st.integers(0, 3))),
        priority=draw(priorities),
        started=draw(st.sampled_from((None, 0, 10, 20))),
        affinity=draw(affinities),
        ports=draw(ports),
        **fixed,
    )


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    nodes = [make_node(name, cpu=str(draw(st.integers(1, 6))), pods=5) for name in NODES]
    placed = [
        draw(pods(f"{name}{number}", node=name))
        for name in NODES
        for number in range(draw(st.integers(0, 4)))
    ]
    budgets = [
        make_budget(f"for-{app}", {"app": app}, draw(st.integers(0, 2)), disrupted=["a0"])
        for app in draw(st.sets(looks))
    ]
    nominated = {name: [draw(pods(f"waits-{name}"))] for name in draw(st.sets(st.sampled_from(NODES)))}
    scene = Scene(nodes, placed, budgets, nominated=nominated, args=ALL_NODES)
    for name in draw(st.sets(st.sampled_from(NODES), max_size=1)):
        scene.cache.reserve(PodInfo(draw(pods(f"planned-{name}"))), name, Owner())
    return scene


@pytest.mark.parametrize("few", [0, 8], ids=["all rows at once", "few rows one by one"])
@settings(max_examples=120)
@given(data=st.data())
def test_the_choice_is_one_that_trying_every_node_finds(few: int, data: st.DataObject) -> None:
    with patch.object(dry_run, "FEW_ROWS", few):
        check(data)


def check(data: st.DataObject) -> None:
    scene = data.draw(scenes())
    pod = data.draw(pods("preemptor"))
    for number in range(data.draw(st.integers(1, 4), label="preemptors")):
        preemptor = make_pod(
            f"p{number}",
            pod_set="",
            labels=dict(pod.metadata.labels),
            requests=dict(pod.spec.containers[0].resources.requests),
            priority=pod.spec.priority,
            affinity=pod.spec.affinity,
            ports=pod.spec.containers[0].ports,
        )
        info = PodInfo(preemptor)
        state, choice = scene.choose(preemptor)
        if choice.node is not None:
            scene.cache.assume(info, choice.node)
            continue
        with scene.cache.snapshot.fork() as fork:
            evaluator = scene.evaluator
            if data.draw(st.booleans(), label="without reservations"):
                for reservation in scene.cache.yielding(10):
                    fork.remove(reservation.info, fork.table.row_of[reservation.node])
                evaluator = evaluator.on(fork)
                state = CycleState()
                choice = evaluator.choose(state, info)
            if choice.node is not None:
                continue
            snapshot = evaluator.snapshot
            expected = candidates(scene, snapshot, state, preemptor, choice, scene.budgets)
            decision = scene.plugin.decide(state, info, snapshot, choice.refusals, evaluator.row_filters)
        if not expected:
            assert not decision.status.ok
            continue
        assert decision.node
        rank, victims = expected[decision.node]
        assert rank == min(each for each, _ in expected.values())
        assert {victim.metadata.uid for victim in decision.victims} == victims
        scene.handle.nominator.nominate(info, decision.node)
        if data.draw(st.booleans(), label="the victims are gone at once"):
            for victim in decision.victims:
                scene.cache.drop_pod(victim)
