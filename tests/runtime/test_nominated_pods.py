"""Yielding to nominated pods: feasibility, reasons, and what is remembered of them."""

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallet.api.pod import ContainerPort, Pod
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from pallet.framework.state import CycleState
from pallet.runtime.evaluator import Choice, Evaluator
from pallet.runtime.incremental_totals import INFEASIBLE
from tests.builders import make_node, make_pod, pod_affinity, pod_term
from tests.profiles import default_profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pallet.runtime.profile import Profile


class Scene:
    """Nodes a and b of four CPUs, and pods nominated to them."""

    def __init__(self, **nominated: list[Pod]) -> None:
        self.cache = Cache()
        for name in ("a", "b"):
            self.cache.put_node(make_node(name))
        self.profile: Profile = default_profile(self.cache)
        self.nominator = self.cache.snapshot.nominator
        for node, pods in nominated.items():
            for pod in pods:
                self.nominator.nominate(PodInfo(pod), node)
        self.evaluator = Evaluator(self.profile, self.cache.snapshot, Random(0))  # noqa: S311 - breaks ties

    def choose(self, pod: Pod) -> Choice:
        return self.evaluator.choose(CycleState(), PodInfo(pod))

    def feasible(self, pod: Pod) -> set[str]:
        totals = self.evaluator.totals(CycleState(), PodInfo(pod))
        table = self.cache.snapshot.table
        return {table.name(row) for row in (totals != INFEASIBLE).nonzero()[0].tolist()}


def pod(name: str = "p", cpu: str = "2", priority: int = 1, **more: Any) -> Pod:
    return make_pod(name, pod_set="", cpu=cpu, priority=priority, **more)


@pytest.mark.parametrize(
    ("nominated", "feasible"),
    [
        (pod("other", cpu="3", priority=1), {"b"}),
        (pod("other", cpu="3", priority=2), {"b"}),
        (pod("other", cpu="3", priority=0), {"a", "b"}),
        (pod("other", cpu="2", priority=1), {"a", "b"}),
        (pod("p", cpu="3", priority=1), {"a", "b"}),
    ],
    ids=["an equal", "a stronger", "a weaker", "one that leaves room", "itself"],
)
def test_room_is_left_to_pods_of_the_same_priority_and_above(nominated: Pod, feasible: set[str]) -> None:
    scene = Scene(a=[nominated])
    assert scene.feasible(pod()) == feasible
    assert scene.feasible(pod()) == feasible, "asked again"


def test_the_reason_is_that_of_the_crowded_node() -> None:
    scene = Scene(a=[pod("x", cpu="3")], b=[pod("y", cpu="1", requests={"cpu": "1", "memory": "16Gi"})])
    wanted = pod(requests={"cpu": "2", "memory": "1Gi"})
    assert (
        scene.choose(wanted).message == "0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."
    )


@pytest.mark.parametrize("ports", [(), [ContainerPort(host_port=80)]], ids=["at once", "one by one"])
def test_the_reasons_are_those_of_the_crowded_node_however_many_resources_there_are(
    ports: list[ContainerPort],
) -> None:
    many = {f"example.com/r{number:02}": "1" for number in range(40)}
    taken = [name for number, name in enumerate(many) if number % 13 == 0]
    scene = Scene(a=[pod("x", requests=dict.fromkeys(taken, "1"))])
    scene.cache.drop_node("b")
    scene.cache.put_node(make_node("a", offers=many))
    reasons = ", ".join(f"1 Insufficient {name}" for name in taken)
    wanted = pod(requests=many, ports=ports)
    assert scene.choose(wanted).message == f"0/1 nodes are available: {reasons}."


def test_a_crowded_node_that_is_refused_without_the_crowd_has_the_reason_of_that() -> None:
    near = pod_affinity(near=[pod_term("x")])
    scene = Scene(a=[pod("x", labels={"app": "x"})])
    choice = scene.choose(pod(affinity=near, labels={"app": "p"}))
    assert choice.message == "0/2 nodes are available: 2 node(s) didn't match pod affinity rules."


def test_a_node_that_is_refused_with_and_without_the_crowd_is_counted_once() -> None:
    scene = Scene(a=[pod("x", cpu="3")])
    choice = scene.choose(pod(cpu="5"))
    assert choice.message == "0/2 nodes are available: 2 Insufficient cpu."
    assert sum(refused.rows.size for refused in choice.refusals) == 2


def test_a_pod_goes_to_its_own_nominated_node_first() -> None:
    scene = Scene(b=[pod()])
    scene.cache.put_pod(pod("other", cpu="2", node="b"))
    choice = scene.choose(pod(nominated="b"))
    assert (choice.node, choice.feasible, choice.evaluated) == ("b", 1, 1)


def test_a_nominated_node_that_is_full_gone_or_taken_is_passed_over() -> None:
    scene = Scene(b=[pod("stronger", cpu="3", priority=2)])
    assert scene.choose(pod(nominated="gone")).node in ("a", "b")
    assert scene.choose(pod(nominated="b")).node == "a"
    scene.cache.put_pod(pod("full", cpu="4", node="b"))
    assert scene.choose(pod(nominated="b")).node == "a"


def test_a_planned_pod_that_is_nominated_too_weighs_once() -> None:
    scene = Scene(a=[pod("planned", cpu="2")])
    scene.cache.reserve(PodInfo(pod("planned", cpu="2")), "a", Owner())
    assert scene.feasible(pod()) == {"a", "b"}


def test_anti_affinity_of_and_against_nominated_pods() -> None:
    away = pod_affinity(away=[pod_term("x")])
    scene = Scene(a=[pod("x", cpu="0", labels={"app": "x"})])
    assert scene.feasible(pod(affinity=away)) == {"b"}
    # A placed pod with such a term is what has the plugin look at all.
    scene = Scene(a=[pod("y", cpu="0", affinity=away)])
    assert scene.feasible(pod(labels={"app": "x"})) == {"a", "b"}
    scene.cache.put_pod(pod("z", cpu="0", affinity=away, node="b"))
    assert scene.feasible(pod(labels={"app": "x"})) == set()


def test_host_ports_of_nominated_pods() -> None:
    port = [ContainerPort(host_port=80)]
    scene = Scene(a=[pod("x", cpu="0", ports=port)])
    assert scene.feasible(pod(ports=port)) == {"b"}
    assert scene.feasible(pod()) == {"a", "b"}


def crowded(scene: Scene, wanted: Pod) -> set[str]:
    """The feasible nodes by the book: placing the nominated pods of one node after the other on a copy."""
    found = set()
    for name in ("a", "b"):
        there = []
        for supposed in (True, False):
            trial = scene.cache.snapshot.fork()
            for each in scene.nominator.ahead_of(wanted, name) if supposed else ():
                if not trial.is_placed(each.uid, trial.table.row_of[name]):
                    trial.place(each, name)
            state, info = CycleState(), PodInfo(wanted)
            for plugin in scene.profile.pre_filter:
                _, status = plugin.pre_filter(state, info, scene.cache.snapshot)
                if not status.ok:
                    state.skipped["filter"].add(plugin.name)
            row = trial.table.row_of[name]
            there.append(
                all(
                    not plugin.filter_rows(state, info, trial, slice(row, row + 1)).any()
                    for plugin in scene.profile.filter
                    if plugin.name not in state.skipped["filter"]
                    and plugin.filter_signature(info) is not None
                )
            )
            trial.close()
        if all(there):
            found.add(name)
    return found


looks = st.sampled_from(("x", "y"))


@st.composite
def pods(draw: st.DrawFn, name: str, node: str = "") -> Pod:
    terms = st.sampled_from(
        (None, None, pod_affinity(away=[pod_term("x")]), pod_affinity(near=[pod_term("y")]))
    )
    return pod(
        name,
        cpu=str(draw(st.integers(0, 3))),
        priority=draw(st.integers(0, 2)),
        labels={"app": draw(looks)},
        affinity=draw(terms),
        ports=draw(st.sampled_from(((), (), (ContainerPort(host_port=80),)))),
        node=node,
    )


@settings(max_examples=150)
@given(st.data())
def test_what_is_remembered_is_what_trying_finds(data: st.DataObject) -> None:
    scene = Scene()
    names: Mapping[str, str] = {f"{kind}{number}": kind for kind in "np" for number in range(3)}
    kinds = [data.draw(pods(f"asks{number}")) for number in range(2)]
    for _ in range(data.draw(st.integers(1, 6))):
        name = data.draw(st.sampled_from(sorted(names)))
        node = data.draw(st.sampled_from(("a", "b", "")))
        if names[name] == "n":
            scene.nominator.nominate(PodInfo(data.draw(pods(name))), node)
        elif node:
            scene.cache.put_pod(data.draw(pods(name, node)))
        else:
            scene.cache.drop_pod(make_pod(name))
        for wanted in kinds:
            assert scene.feasible(wanted) == crowded(scene, wanted)
            assert (scene.choose(wanted).node is None) == (not crowded(scene, wanted))
