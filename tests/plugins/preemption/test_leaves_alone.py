"""Preempting and planning change nothing: neither the live snapshot nor what it has logged."""

import pytest

from pallet.api.labels import Labels
from pallet.api.pod import ContainerPort
from pallet.api.requests import CPU
from pallet.api.selectors import LabelSelector
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from pallet.cache.selection import PodSelector, all_of
from pallet.cache.snapshot import Snapshot
from pallet.framework.state import CycleState
from pallet.loop_budget import LoopBudget
from pallet.planner.greedy import GreedyPlanner
from pallet.planner.problem import pose
from pallet.runtime.evaluator import Evaluator
from tests.builders import SCHEDULER, make_node, make_pod, pod_affinity, pod_term
from tests.plugins.preemption.scene import Scene

X = all_of(PodSelector(LabelSelector(Labels({"app": "x"})), frozenset({"default"})))
AWAY = pod_affinity(away=[pod_term("x")])
PORT = [ContainerPort(host_port=80)]


@pytest.fixture
def one() -> Scene:
    """Two full nodes, with pods that filters look at one by one, and a pod nominated to one of them."""
    pods = [
        make_pod(f"{node}{number}", pod_set="", node=node, labels={"app": "x"}, priority=1, ports=ports)
        for node in ("n1", "n2")
        for number, ports in enumerate((PORT, (), ()))
    ]
    nominated = {"n1": [make_pod("waits", pod_set="", cpu="1", priority=9)]}
    return Scene([make_node("n1"), make_node("n2")], pods, nominated=nominated)


def said(snapshot: Snapshot) -> list[object]:
    """The stamps of all logs, and what is placed."""
    tally = snapshot.counters.tally(X)
    logs = (snapshot.table.node_changes, snapshot.table.load_changes, snapshot.starts, tally.changes)
    return [
        [log.stamp for log in logs],
        tally.by_row.tolist(),
        [list(snapshot.pods(row)) for row in snapshot.rows()],
        snapshot.table.resources[CPU].requested.tolist(),
        snapshot.nominator.changes.stamp,
        list(snapshot._forks),
    ]


def test_a_preemption_attempt_leaves_the_live_snapshot_and_its_logs_untouched(one: Scene) -> None:
    preemptor = make_pod("p", pod_set="", cpu="2", priority=5, affinity=AWAY, ports=PORT)
    state, choice = one.choose(preemptor)
    before = said(one.cache.snapshot)
    decision = one.plugin.decide(
        state, PodInfo(preemptor), one.cache.snapshot, choice.refusals, one.evaluator.row_filters
    )
    assert len(decision.victims) == 3
    assert said(one.cache.snapshot) == before


@pytest.mark.anyio
async def test_planning_leaves_the_live_snapshot_and_its_logs_untouched(one: Scene) -> None:
    before = said(one.cache.snapshot)
    members = [PodInfo(make_pod(f"m{number}", cpu="1", ports=PORT)) for number in range(3)]
    problem = pose(one.cache, {SCHEDULER: one.profile}, "default", "set", members)
    with problem.snapshot:
        plan = await GreedyPlanner(LoopBudget()).plan(problem)
    assert len(plan.refused) == 3
    assert said(one.cache.snapshot) == before


@pytest.mark.parametrize("ports", [[], PORT], ids=["all rows at once", "one by one"])
def test_on_a_fork_pods_are_victims_that_are_there_and_on_the_live_snapshot(
    ports: list[ContainerPort],
) -> None:
    low = [
        make_pod(name, pod_set="", node="a", cpu="1", priority=1, started=started)
        for name, started in (("first", 0), ("last", 10), ("removed", 20))
    ]
    one = Scene([make_node("a", cpu="3")], low)
    preemptor = PodInfo(make_pod("p", pod_set="", cpu="1", priority=5, ports=ports))
    with one.cache.snapshot.fork() as fork:
        fork.remove(PodInfo(low[2]), fork.table.row_of["a"])
        fork.place(PodInfo(make_pod("placed", pod_set="", cpu="1", priority=1)), "a")
        evaluator, state = one.evaluator.on(fork), CycleState()
        choice = evaluator.choose(state, preemptor)
        decision = one.plugin.decide(state, preemptor, fork, choice.refusals, evaluator.row_filters)
    assert [victim.metadata.name for victim in decision.victims] == ["last"]


@pytest.mark.parametrize(
    ("ports", "planned", "asked"), [((), "2", "4"), (PORT, "1", "3")], ids=["all rows at once", "one by one"]
)
def test_what_is_found_on_a_fork_is_not_kept_for_the_live_snapshot_nor_the_other_way_round(
    ports: list[ContainerPort], planned: str, asked: str
) -> None:
    one = Scene([make_node("a")], [make_pod("low", pod_set="", node="a", cpu="2", priority=1)])
    one.cache.reserve(PodInfo(make_pod("planned", cpu=planned, priority=1, ports=ports)), "a", Owner())
    preemptor = PodInfo(make_pod("p", pod_set="", cpu=asked, priority=5, ports=ports))

    def victims(evaluator: Evaluator) -> list[str]:
        state = CycleState()
        choice, snapshot = evaluator.choose(state, preemptor), evaluator.snapshot
        decision = one.plugin.decide(state, preemptor, snapshot, choice.refusals, evaluator.row_filters)
        return [victim.metadata.name for victim in decision.victims]

    with one.cache.snapshot.fork() as fork:
        (reservation,) = one.cache.yielding(5)
        fork.remove(reservation.info, fork.table.row_of["a"])
        without = one.evaluator.on(fork)
        found = [victims(evaluator) for evaluator in (one.evaluator, without, one.evaluator, without)]
    assert found == [[], ["low"], [], ["low"]]
