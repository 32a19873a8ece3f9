from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

import numpy as np
import pytest

from pallet.api.node import Node, Taint
from pallet.api.pod import Affinity, NodeAffinity, Pod
from pallet.api.selectors import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from pallet.cache.cache import Cache
from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import NodeInfo, Snapshot
from pallet.framework.interface import Codes, Reads, RowChoice, Scores
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, SUCCESS, PluginError, Status, error, unresolvable, unschedulable
from pallet.runtime.evaluator import Choice, Evaluator
from pallet.runtime.profile import Profile
from tests.builders import make_node, make_pod
from tests.profiles import default_profile, profile_of

POD = make_pod("p")


def snapshot_of(nodes: Iterable[Node]) -> Snapshot:
    cache = Cache()
    for node in nodes:
        cache.put_node(node)
    return cache.snapshot


def choose(
    profile: Profile,
    nodes: Iterable[Node],
    pod: Pod = POD,
    *,
    only: Iterable[str] | None = None,
    seed: int = 0,
) -> Choice:
    evaluator = Evaluator(profile, snapshot_of(nodes), Random(seed))  # noqa: S311 - breaks ties
    return evaluator.choose(CycleState(), PodInfo(pod), None if only is None else frozenset(only))


def named(*names: str) -> list[Node]:
    return [make_node(name) for name in names]


class Narrow:
    """Answers the same at pre-filter, whatever the pod."""

    def __init__(self, name: str, nodes: Iterable[str] | None, status: Status = SUCCESS) -> None:
        self.name = name
        self._answer = None if nodes is None else frozenset(nodes), status

    def pre_filter(self, *_: Any) -> tuple[frozenset[str] | None, Status]:
        return self._answer


class Refuse:
    """A plain filter with its reason for some nodes; notes which it was asked about."""

    def __init__(self, name: str, *nodes: str, status: Status | None = None) -> None:
        self.name = name
        self.asked: list[str] = []
        self._nodes = nodes
        self._status = status or unschedulable(f"refused by {name}")

    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        self.asked.append(node.name)
        return self._status if node.name in self._nodes else SUCCESS


class VectorRefuse(Refuse):
    """The same as a vector plugin, whose verdicts are remembered."""

    filter_reads = Reads.NODE

    def filter_signature(self, info: PodInfo) -> str:
        return self.name

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        indexes = np.arange(snapshot.table.capacity)[rows]
        return np.array([snapshot.table.name(row) in self._nodes for row in indexes.tolist()], np.uint32)

    def explain(self, info: PodInfo, code: int) -> Status:
        assert code == 1
        return self._status


class Rank:
    """A plain score by node; 0 for nodes not named."""

    def __init__(self, name: str = "Rank", **scores: int) -> None:
        self.name = name
        self._scores = scores

    def score(self, state: CycleState, info: PodInfo, node: NodeInfo) -> int:
        return self._scores.get(node.name, 0)


class ScaledRank(Rank):
    """The same, normalised."""

    def normalize(self, scores: Scores, low: int, high: int) -> Scores:
        return (scores - low) * 100 // max(high - low, 1)


class VectorRank(ScaledRank):
    """The same as a vector plugin, whose scores are remembered."""

    score_reads = Reads.NODE

    def score_signature(self, info: PodInfo) -> str:
        return self.name

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        indexes = np.arange(snapshot.table.capacity)[rows]
        return np.array([self._scores.get(snapshot.table.name(row), 0) for row in indexes.tolist()], np.int64)


class Before(Rank):
    """Answers at pre-score, and notes which nodes it was shown."""

    def __init__(self, name: str, status: Status, **scores: int) -> None:
        super().__init__(name, **scores)
        self.status = status
        self.shown: list[str] = []

    def pre_score(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> Status:
        self.shown = [snapshot.table.name(row) for row in rows.tolist()]
        return self.status


def reasons(choice: Choice, nodes: Iterable[Node]) -> dict[str, list[tuple[str, str]]]:
    """Who refused each node, and in which words."""
    table = snapshot_of(nodes).table
    return {
        name: [(each.status.plugin, each.status.message) for each in choice.refusals if row in each.rows]
        for name, row in table.row_of.items()
    }


def test_the_highest_total_wins() -> None:
    choice = choose(profile_of(Rank(b=10, c=9)), named("a", "b", "c"))
    assert choice == Choice("b", score=10, feasible=3, evaluated=3)


def test_weights_decide_between_plugins() -> None:
    plugins = (Rank("One", a=10), VectorRank("Two", b=1))
    assert choose(profile_of(*plugins, weights={"One": 20}), named("a", "b")).node == "a"
    assert choose(profile_of(*plugins, weights={"Two": 20}), named("a", "b")).node == "b"


def test_a_node_that_is_refused_has_no_say_in_the_scale() -> None:
    """With a out of the way, b has 100 instead of 10 and so makes up for the other plugin's 50."""
    rank = {"a": 100, "b": 10, "c": 0}
    for refuse in (Refuse("F", "a"), VectorRefuse("F", "a")):
        for scaled in (ScaledRank("Scaled", **rank), VectorRank("Scaled", **rank)):
            choice = choose(profile_of(refuse, scaled, Rank("Other", c=50)), named("a", "b", "c"))
            assert (choice.node, choice.score) == ("b", 100)


def test_ties_are_broken_by_the_seed_alone() -> None:
    nodes, profile = named(*"abcdefgh"), profile_of(Rank(a=1, c=1, e=1))
    picks = {seed: choose(profile, nodes, seed=seed).node for seed in range(30)}
    assert set(picks.values()) == {"a", "c", "e"}
    assert picks == {seed: choose(profile, nodes, seed=seed).node for seed in range(30)}


def test_nothing_is_drawn_where_there_is_no_tie() -> None:
    rng = Random(0)  # noqa: S311 - breaks ties
    before = rng.getstate()
    evaluator = Evaluator(profile_of(Rank(a=1)), snapshot_of(named("a", "b")), rng)
    evaluator.choose(CycleState(), PodInfo(POD))
    assert rng.getstate() == before


@pytest.mark.parametrize("refuse", [Refuse, VectorRefuse])
def test_the_first_plugin_in_the_configured_order_gives_the_reason(refuse: type[Refuse]) -> None:
    nodes = named("a", "b", "c")
    for order in (("First", "Second"), ("Second", "First")):
        plugins = {"First": refuse("First", "a", "b"), "Second": refuse("Second", "b", "c")}
        choice = choose(profile_of(*(plugins[name] for name in order)), nodes)
        first = order[0]
        assert choice.node is None
        assert reasons(choice, nodes) == {
            "a": [("First", "refused by First")],
            "b": [(first, f"refused by {first}")],
            "c": [("Second", "refused by Second")],
        }


def test_a_remembering_plugin_asked_first_does_not_take_an_earlier_ones_reason() -> None:
    choice = choose(profile_of(Refuse("Plain", "a"), VectorRefuse("Vector", "a", "b")), named("a", "b"))
    assert [(each.status.plugin, len(each.rows)) for each in choice.refusals] == [("Plain", 1), ("Vector", 1)]
    assert choice.message == "0/2 nodes are available: 1 refused by Plain, 1 refused by Vector."


def test_a_plain_filter_is_not_asked_about_nodes_refused_before() -> None:
    plain = Refuse("Plain")
    choose(profile_of(VectorRefuse("Vector", "a", "c"), plain), named("a", "b", "c"))
    assert plain.asked == ["b"]


def test_kube_schedulers_words_when_nothing_fits() -> None:
    nodes = [
        make_node("a", cpu="1"),
        make_node("b", taints=[Taint("x", "NoSchedule")]),
        make_node("c", cordoned=True),
    ]
    choice = choose(default_profile(), nodes, make_pod("p", cpu="2"))
    assert choice.message == (
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), "
        "1 node(s) were unschedulable."
    )
    assert (choice.node, choice.feasible, choice.evaluated) == (None, 0, 3)


def test_without_nodes_nobody_is_asked() -> None:
    refuse = Refuse("F")
    choice = choose(profile_of(Narrow("N", ["a"]), refuse), [])
    assert choice == Choice(None, message="no nodes available to schedule pods")
    assert refuse.asked == []


@pytest.mark.parametrize(
    ("plugins", "node", "message"),
    [
        pytest.param([Narrow("N", ["b"])], "b", "", id="to one node"),
        pytest.param([Narrow("N", ["b", "c"]), Narrow("M", ["a", "b"])], "b", "", id="to what both leave"),
        pytest.param([Narrow("N", None), Narrow("M", ["c", "gone"])], "c", "", id="to those that exist"),
        pytest.param(
            [Narrow("N", ["gone"])],
            None,
            "0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [N].",
            id="to one that does not exist",
        ),
        pytest.param(
            [Narrow("N", ["a"]), Narrow("M", ["a", "b"]), Refuse("F", "a")],
            None,
            "0/3 nodes are available: 1 refused by F, 2 node(s) didn't satisfy plugin(s) [M N].",
            id="to one that is refused",
        ),
        pytest.param(
            [Narrow("N", ["a"]), Narrow("M", ["b"])],
            None,
            "0/3 nodes are available: node(s) didn't satisfy plugin(s) [M N] simultaneously.",
            id="to nothing together",
        ),
        pytest.param(
            [Narrow("N", [])],
            None,
            "0/3 nodes are available: node(s) didn't satisfy plugin N.",
            id="to nothing at all",
        ),
        pytest.param(
            [Narrow("N", None, unresolvable("it is too late")), Narrow("M", ["a"])],
            None,
            "0/3 nodes are available: it is too late.",
            id="not at all: a refusal",
        ),
    ],
)
def test_pre_filter_narrows_the_search(plugins: Sequence[Any], node: str | None, message: str) -> None:
    choice = choose(profile_of(*plugins), named("a", "b", "c"))
    assert (choice.node, choice.message) == (node, message)
    assert (choice.refusals == ()) == (node is not None)


@pytest.mark.parametrize(
    ("plugins", "blamed"),
    [
        ([Narrow("N", ["a"]), Narrow("M", ["b"])], {"N", "M"}),
        ([Narrow("N", ["a"]), Narrow("M", ["a"]), Refuse("F", "a")], {"N", "M", "F"}),
        ([Narrow("N", None), Narrow("M", ["a"]), Refuse("F", "a")], {"M", "F"}),
        ([Narrow("N", ["a"]), Narrow("M", None, unschedulable("no"))], {"M", "N"}),
        ([Narrow("M", None, unschedulable("no")), Narrow("N", ["a"])], {"M", "N"}),
        ([Narrow("M", None, unschedulable("no")), Narrow("N", None, unresolvable("never"))], {"N"}),
        ([Narrow("M", None, unschedulable("no")), Narrow("N", [])], {"N"}),
    ],
)
def test_all_plugins_that_kept_the_pod_out_are_named_and_each_node_counts_once(
    plugins: Sequence[Any], blamed: set[str]
) -> None:
    choice = choose(profile_of(*plugins), named("a", "b", "c"))
    assert {each.status.plugin for each in choice.refusals} == blamed
    assert sorted(row for each in choice.refusals for row in each.rows.tolist()) == [0, 1, 2]


def test_a_plugin_that_skips_at_pre_filter_is_not_asked_to_filter() -> None:
    class Both(Narrow, VectorRefuse):
        def __init__(self, status: Status) -> None:
            VectorRefuse.__init__(self, "Both", "a", "b")
            self._answer = None, status

    assert choose(profile_of(Both(SUCCESS)), named("a", "b")).node is None
    assert choose(profile_of(Both(SKIP)), named("a", "b")).node is not None


@pytest.mark.parametrize(
    ("only", "plugins", "node"),
    [
        (["c"], [], "c"),
        (["b", "c"], [Rank(a=9, c=5)], "c"),
        (["c"], [Narrow("N", ["c", "a"])], "c"),
        (["c"], [Narrow("N", ["a"])], None),
        (["gone"], [], None),
        ([], [], None),
        (["a", "c"], [Refuse("F", "a")], "c"),
    ],
)
def test_only_some_nodes_are_considered(only: list[str], plugins: Sequence[Any], node: str | None) -> None:
    assert choose(profile_of(*plugins), named("a", "b", "c"), only=only).node == node


def test_reasons_are_given_only_for_nodes_that_were_to_be_considered() -> None:
    choice = choose(profile_of(Refuse("F", "a", "b", "c")), named("a", "b", "c"), only=["b", "c"])
    assert choice.message == "0/3 nodes are available: 2 refused by F."


def test_a_single_feasible_node_needs_no_ranking() -> None:
    before = Before("B", SUCCESS, b=7)
    choice = choose(profile_of(Refuse("F", "a"), before), named("a", "b"))
    assert (choice.node, choice.score, before.shown) == ("b", 0, [])


def test_pre_score_sees_the_feasible_nodes_and_may_leave_the_score_out() -> None:
    counted, left_out = Before("Counted", SUCCESS, b=7), Before("LeftOut", SKIP, a=100)
    choice = choose(profile_of(Refuse("F", "c"), counted, left_out), named("a", "b", "c"))
    assert (choice.node, choice.score) == ("b", 7)
    assert counted.shown == left_out.shown == ["a", "b"]


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (Narrow("X", None, error("broken")), "X: broken"),
        (Refuse("X", "a", status=error("broken")), "X: broken"),
        (Before("X", error("broken")), "X: broken"),
        (Rank("X", a=101), r"X: score 101 is not in 0\.\.100"),
        (Rank("X", a=-1), r"X: score -1 is not in 0\.\.100"),
    ],
)
def test_an_error_ends_the_cycle_and_names_the_plugin(plugin: Any, message: str) -> None:
    with pytest.raises(PluginError, match=message) as raised:
        choose(profile_of(plugin), named("a", "b"))
    assert raised.value.plugin == "X"


def test_a_plugin_that_threw_is_asked_again() -> None:
    class Moody(VectorRank):
        calls = 0

        def score_rows(self, *asked: Any) -> Scores:
            self.calls += 1
            if self.calls in (1, 3):
                raise RuntimeError("not now")
            return super().score_rows(*asked)

    cache = Cache()
    for node in named("a", "b"):
        cache.put_node(node)
    profile = profile_of(Moody("Moody", b=5))
    evaluator = Evaluator(profile, cache.snapshot, Random(0))  # noqa: S311 - breaks ties
    for _ in range(2):
        with pytest.raises(RuntimeError, match="not now"):
            evaluator.choose(CycleState(), PodInfo(POD))
        assert evaluator.choose(CycleState(), PodInfo(POD)).node == "b"
        cache.put_node(make_node("c"))


def test_nodes_named_by_node_affinity_are_the_only_ones_looked_at() -> None:
    term = NodeSelectorTerm(match_fields=(NodeSelectorRequirement("metadata.name", "In", ("b",)),))
    pod = make_pod("p", affinity=Affinity(NodeAffinity(NodeSelector((term,)))))
    refuse = Refuse("F")
    default = default_profile()
    profile = profile_of(*(plugin for plugin in default.filter if plugin.name == "NodeAffinity"), refuse)
    assert choose(profile, named("a", "b", "c"), pod).node == "b"
    assert refuse.asked == ["b"]
