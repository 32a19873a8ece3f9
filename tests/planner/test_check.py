import pytest

from pallet.loop_budget import LoopBudget
from pallet.planner.check import best, check
from pallet.planner.greedy import GreedyPlanner
from pallet.planner.interface import Plan
from tests.planner.scene import ZONE, node, pod, problem

pytestmark = pytest.mark.anyio

TWO = (node("n1"), node("n2", "2"))


@pytest.mark.parametrize(
    ("assignments", "reasons", "refused"),
    [
        pytest.param({"a": "n2"}, {}, {}, id="what holds is kept"),
        pytest.param({"a": "n1", "stranger": "n1", "": ""}, {}, {}, id="other pods are passed over"),
        pytest.param({}, {}, {"a": "planner p named no node for this pod"}, id="a pod is missing"),
        pytest.param(
            {},
            {"a": "too big", "b": "?"},
            {"a": "planner p named no node for this pod: too big"},
            id="a pod is missing for a reason",
        ),
        pytest.param(
            {"a": "n9"}, {}, {"a": "planner p chose node 'n9', which does not exist"}, id="an unknown node"
        ),
        pytest.param(
            {"a": ""}, {}, {"a": "planner p chose node '', which does not exist"}, id="a node without a name"
        ),
        pytest.param(
            {"a": "x" * 1000},
            {},
            {"a": f"planner p chose node '{'x' * 253}', which does not exist"},
            id="an endless name is cut",
        ),
        pytest.param(
            {},
            {"a": "y" * 9000},
            {"a": "planner p named no node for this pod: " + "y" * 1024},
            id="an endless reason",
        ),
    ],
)
async def test_an_answer_is_checked(
    assignments: dict[str, str], reasons: dict[str, str], refused: dict[str, str]
) -> None:
    plan = await check(problem(TWO, [pod("a", "1")]), "p", assignments, reasons, LoopBudget())
    assert plan.refused == refused
    assert plan.assignments == {name: at for name, at in assignments.items() if name == "a" and not refused}


async def test_a_node_too_small_for_all_gets_as_many_as_fit() -> None:
    pods = [pod(f"p{i}", "1") for i in range(5)]
    plan = await check(problem(TWO, pods), "p", {f"p{i}": "n2" for i in range(5)}, {}, LoopBudget())
    assert plan.assignments == {"p0": "n2", "p1": "n2"}
    assert set(plan.refused) == {"p2", "p3", "p4"}
    assert plan.refused["p2"].startswith("planner p chose node n2: 0/")
    assert "Insufficient cpu" in plan.refused["p2"]


async def test_every_filter_counts() -> None:
    """Anti-affinity between members of the set, which no single pod's check would see."""
    pods = [pod("a", app="a", away=["b"]), pod("b", app="b", away=["a"])]
    plan = await check(problem(TWO, pods), "p", {"a": "n1", "b": "n1"}, {}, LoopBudget())
    assert plan.assignments == {"a": "n1"}
    assert "anti-affinity" in plan.refused["b"]


async def test_an_order_in_which_the_plan_is_legal_is_found() -> None:
    pods = [pod("a", app="a", near=["b"]), pod("b", app="b", near=["c"]), pod("c", app="c")]
    plan = await check(problem(TWO, pods), "p", {"a": "n1", "b": "n1", "c": "n1"}, {}, LoopBudget())
    assert list(plan.assignments) == ["c", "b", "a"]


async def test_only_the_problem_s_nodes_are_taken() -> None:
    plan = await check(problem(TWO, [pod("a")], only={"a": ["n2"]}), "p", {"a": "n1"}, {}, LoopBudget())
    assert set(plan.refused) == {"a"}


async def test_the_problem_is_left_as_it_was() -> None:
    posed = problem(TWO, [pod("a", "2"), pod("b", "2")])
    answer = {"a": "n2", "b": "n2"}
    assert await check(posed, "p", answer, {}, LoopBudget()) == await check(
        posed, "p", answer, {}, LoopBudget()
    )


async def test_the_built_in_plan_passes_with_the_score_it_claims() -> None:
    nodes = [node(f"n{i}", str(2 + i % 3), zone=f"z{i % 2}") for i in range(6)]
    pods = [pod(f"p{i}", app="x", rather_away=["x"], topology=ZONE) for i in range(8)]
    plan = await GreedyPlanner(LoopBudget(), "p").plan(problem(nodes, pods))
    assert await check(problem(nodes, pods), "p", plan.assignments, {}, LoopBudget()) == plan


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        (Plan("z", {"a": "n", "b": "n"}, score=1), Plan("a", {"a": "n"}, score=9)),
        (Plan("z", {"a": "n"}, score=2), Plan("a", {"a": "n"}, score=1)),
        (Plan("a", {"a": "n"}, score=1), Plan("z", {"a": "n"}, score=1)),
    ],
    ids=["more pods", "higher score", "first name"],
)
def test_the_best_plan_wins(winner: Plan, loser: Plan) -> None:
    """Fault 13: the winner was drawn at random."""
    assert best([winner, loser]) is best([loser, winner]) is winner
