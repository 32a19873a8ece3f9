from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import count

import anyio
import pytest

from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.state import CycleState
from pallet.framework.status import Status, error
from pallet.loop_budget import SLICE_SECONDS, LoopBudget
from pallet.planner import placement
from pallet.planner.greedy import GreedyPlanner
from pallet.planner.interface import Plan, Problem
from pallet.planner.problem import pod_infos
from pallet.runtime import counting
from pallet.runtime.counting import FEW
from pallet.runtime.pod_limits import TERMS
from tests.budgets import UsedUpBudget
from tests.builders import SCHEDULER
from tests.planner.scene import PROFILES, ZONE, node, pod, problem

pytestmark = pytest.mark.anyio

TWO = (node("n1"), node("n2"))
THREE = (*TWO, node("n3"))


async def planned(nodes: Sequence[Node], pods: Sequence[Pod], placed: Sequence[Pod] = ()) -> Plan:
    return await GreedyPlanner(LoopBudget()).plan(problem(nodes, pods, placed))


async def test_the_order_of_placing() -> None:
    pods = [
        pod("needs-another", "3", app="a", near=["b"]),
        pod("needs-its-like", "3", app="b", near=["b"]),
        pod("small-2", "1"),
        pod("small-1", "1"),
        pod("large", "2"),
        pod("urgent", "1", app="c", near=["b"], priority=1),
    ]
    posed = problem(TWO, pods)
    order = await placement.placing_order(posed.pods, posed.snapshot, LoopBudget())
    assert [info.pod.metadata.name for info in order] == [
        "urgent",
        "large",
        "small-1",
        "small-2",
        "needs-its-like",
        "needs-another",
    ]


async def test_the_order_of_placing_on_nodes_that_offer_more_together_than_a_word_holds() -> None:
    nodes = [node(f"n{number}", "8E") for number in range(1100)]
    posed = problem(nodes, [pod("small", "1"), pod("large", "2")])
    order = await placement.placing_order(posed.pods, posed.snapshot, LoopBudget())
    assert [info.pod.metadata.name for info in order] == ["large", "small"]


@pytest.mark.parametrize(
    ("nodes", "pods", "placed", "expected"),
    [
        pytest.param(TWO, (), (), {}, id="no pods"),
        pytest.param(
            (node("n1", "2"), node("n2", "4")), (pod("a", "3"),), (), {"a": "n2"}, id="the only one with room"
        ),
        pytest.param(
            (node("n1", "4"), node("n2", "3")),
            (pod("a", "2"),),
            (pod("old", "3", on="n1"),),
            {"a": "n2"},
            id="what bound pods use counts",
        ),
        pytest.param(
            (node("n1", "4"), node("n2", "2")),
            (pod("a-small", "2"), pod("large", "4")),
            (),
            {"large": "n1", "a-small": "n2"},
            id="the larger one first",
        ),
        pytest.param(
            (node("n1", "4"),),
            (pod("large", "4"), pod("urgent", "1", priority=9)),
            (),
            {"urgent": "n1"},
            id="the higher priority before the larger one",
        ),
        pytest.param(
            (node("n1", taint="dedicated"), node("n2", "1")),
            (pod("a", "2", tolerates="dedicated"), pod("b", "1")),
            (),
            {"a": "n1", "b": "n2"},
            id="a tolerated taint is no obstacle (fault 12)",
        ),
        pytest.param(
            (node("n1", cordoned=True), node("n2")), (pod("a"),), (), {"a": "n2"}, id="a cordoned node"
        ),
        pytest.param(
            (node("n1", "1"), node("n2", "8")),
            (pod("a-client", "1", app="client", near=["server"]), pod("server", "2", app="server")),
            (),
            {"server": "n2", "a-client": "n2"},
            id="the anchor before the one that needs it",
        ),
        pytest.param(
            (node("n1", "8"),),
            (
                pod("a", app="a", near=["b"]),
                pod("b", app="b", near=["c"]),
                pod("c", app="c", near=["d"]),
                pod("d", app="d"),
            ),
            (),
            {"d": "n1", "c": "n1", "b": "n1", "a": "n1"},
            id="a chain in the wrong order",
        ),
        pytest.param(
            (node("n1", "1", zone="z1"), node("n2", "1", zone="z2"), node("n3", "2", zone="z2")),
            (pod("a", app="x", near=["x"], topology=ZONE), pod("b", "2", app="x", near=["x"], topology=ZONE)),
            (),
            {"b": "n3", "a": "n2"},
            id="a group that wants to be together starts somewhere",
        ),
        pytest.param(
            (node("n1", "2", zone="z1"), node("n2", "8", zone="z1"), node("n3", "8", zone="z2")),
            (pod("app-1", app="1", away=["2"], topology=ZONE), pod("app-2", app="2", away=["1"])),
            (pod("there", app="2", on="n2"),),
            {"app-1": "n3", "app-2": "n2"},
            id="anti-affinity, also of bound pods",
        ),
    ],
)
async def test_pods_go_where_they_fit_best(
    nodes: Sequence[Node], pods: Sequence[Pod], placed: Sequence[Pod], expected: dict[str, str]
) -> None:
    plan = await planned(nodes, pods, placed)
    assert plan.assignments == expected
    assert sorted([*plan.assignments, *plan.refused]) == sorted(each.metadata.name for each in pods)


async def test_the_set_s_own_sum_counts_and_every_pod_left_out_has_its_reason() -> None:
    """Faults 12 and 15: eight pods of 3 cpu on three nodes of 4."""
    plan = await planned(THREE, [pod(f"p{i}", "3") for i in range(8)])
    assert sorted(plan.assignments.values()) == ["n1", "n2", "n3"]
    assert set(plan.refused.values()) == {"0/3 nodes are available: 3 Insufficient cpu."}
    assert len(plan.refused) == 5


async def test_bare_pods_of_one_image_are_no_duplicates() -> None:
    """Fault 16."""
    plan = await planned(THREE, [pod(f"p{i}", "1") for i in range(8)])
    assert len(plan.assignments) == 8
    assert not plan.refused


async def test_required_anti_affinity_leaves_out_what_has_no_node_of_its_own() -> None:
    plan = await planned(TWO, [pod(f"p{i}", app="x", away=["x"]) for i in range(3)])
    assert sorted(plan.assignments.values()) == ["n1", "n2"]
    assert list(plan.refused.values()) == [
        "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."
    ]


async def test_preferred_anti_affinity_spreads_but_refuses_nobody() -> None:
    """Fault 12."""
    plan = await planned(THREE, [pod(f"p{i}", "100m", app="x", rather_away=["x"]) for i in range(6)])
    assert Counter(plan.assignments.values()) == {"n1": 2, "n2": 2, "n3": 2}


async def test_what_an_intolerable_taint_leaves_out_says_so() -> None:
    plan = await planned([node("n1", taint="dedicated")], [pod("a")])
    assert plan.refused == {"a": "0/1 nodes are available: 1 node(s) had untolerated taint(s)."}


async def test_only_the_named_nodes_are_used_for_a_pod_and_any_for_the_others() -> None:
    plan = await GreedyPlanner(LoopBudget()).plan(
        problem(TWO, [pod("a"), pod("b"), pod("c")], only={"a": ["n2", "gone"], "b": ["n2"]})
    )
    assert plan.assignments == {"a": "n2", "b": "n2", "c": "n1"}


async def test_each_assignment_is_legal_after_the_ones_before_it() -> None:
    pods = [pod("a", app="a", near=["b"]), pod("b", app="b", near=["c"]), pod("c", app="c")]
    plan = await planned(THREE, pods)
    assert list(plan.assignments) == ["c", "b", "a"]


async def test_the_same_seed_gives_the_same_plan() -> None:
    pods = [pod(f"p{i}") for i in range(6)]
    plans = [
        await GreedyPlanner(LoopBudget()).plan(problem(THREE, pods, seed=seed))
        for seed in (*range(8), *range(8))
    ]
    assert plans[:8] == plans[8:]
    assert len({tuple(plan.assignments.items()) for plan in plans}) > 1


@pytest.mark.parametrize(("terms", "pauses"), [(TERMS.ordinary, 0), (4 * TERMS.ordinary, 12)])
async def test_others_get_three_slices_for_each_that_a_large_pod_takes(
    monkeypatch: pytest.MonkeyPatch, terms: int, pauses: int
) -> None:
    paused: list[int] = []

    async def pause(_: LoopBudget) -> None:
        paused.append(1)

    monkeypatch.setattr(LoopBudget, "pause", pause)
    large = pod("large", app="x", away=[str(number) for number in range(terms)])
    await GreedyPlanner(LoopBudget(lambda: 0)).plan(problem(TWO, [large]))
    assert len(paused) == pauses


class Strict:
    """A plugin that sends pods where a plan says, and finds none."""

    name = "Strict"
    follows_plan = True

    def pre_filter(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> tuple[frozenset[str] | None, Status]:
        return None, error("there is no plan")


async def test_plugins_that_follow_a_plan_are_not_asked_for_one() -> None:
    profile, plugin = PROFILES[SCHEDULER], Strict()
    plugins = {**profile.plugins, plugin.name: plugin}
    strict = replace(profile, pre_filter=(*profile.pre_filter, plugin), plugins=plugins)
    posed = replace(problem(TWO, [pod("a")]), profiles={SCHEDULER: strict})
    assert set((await GreedyPlanner(LoopBudget()).plan(posed)).assignments) == {"a"}


@pytest.mark.parametrize(
    ("work", "least"),
    [
        pytest.param(lambda posed, budget: GreedyPlanner(budget).plan(posed), 40, id="ordered and placed"),
        pytest.param(
            lambda posed, budget: pod_infos([info.pod for info in posed.pods], budget), 20, id="posed"
        ),
    ],
)
async def test_a_long_set_is_planned_in_slices(
    work: Callable[[Problem, LoopBudget], Awaitable[object]], least: int
) -> None:
    """With a clock that uses up a slice at each look, others have a turn after each pod."""
    clock = count(0.0, SLICE_SECONDS)
    turns = 0
    done = anyio.Event()

    async def count_turns() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count_turns)
        await work(problem(THREE, [pod(f"p{i}", "10m") for i in range(20)]), LoopBudget(lambda: next(clock)))
        done.set()
    assert turns >= least


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda posed, budget: GreedyPlanner(budget).plan(posed), id="placed"),
        pytest.param(placement.eligible_rows, id="asked for its nodes"),
    ],
)
async def test_what_a_large_pod_is_decided_by_is_counted_in_slices(
    work: Callable[[Problem, LoopBudget], Awaitable[object]],
) -> None:
    terms, pauses = 40, count()
    placed = [pod(f"p{i}", "1m", app=f"app-{i}", on="n1") for i in range(FEW // terms + 1)]
    large = pod("large", away=[f"other-{i}" for i in range(terms)])
    await work(problem(THREE, [large], placed), UsedUpBudget(lambda: next(pauses)))
    assert next(pauses) >= FEW // counting._STEP
