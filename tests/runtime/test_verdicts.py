"""Single steps of catching up; that the sum of it is right is for test_evaluator_memory to show."""

from collections.abc import Callable
from random import Random

import pytest

from pallet.api.pod import ContainerPort, Pod, Toleration
from pallet.cache.cache import Cache
from pallet.cache.node_table import NodeTable
from pallet.cache.pod_info import PodInfo
from pallet.framework.state import CycleState
from pallet.plugins.node_ports import NodePorts
from pallet.plugins.node_resources_fit import NodeResourcesFit, NodeResourcesFitArgs
from pallet.runtime.evaluator import Evaluator
from pallet.runtime.verdicts import TableCursor
from tests.builders import make_node, make_pod
from tests.profiles import default_profile, make_handle, profile_of
from tests.runtime.test_evaluator import VectorRank

NOTHING: list[int] = []


def rows_behind(stamps: TableCursor, table: NodeTable) -> list[int] | None:
    """The rows to look at again, after which the reader has caught up."""
    rows = stamps.behind(table)
    stamps.catch_up(table)
    return None if rows is None else rows.tolist()


@pytest.mark.parametrize(
    ("loads", "across", "node_changed", "load_changed", "both"),
    [
        (False, False, [0], NOTHING, [0]),
        (True, False, [0], [1], [0, 1]),
        (False, True, None, NOTHING, None),
        (True, True, None, [1], None),
    ],
)
def test_which_rows_a_reader_looks_at_again(
    loads: bool,  # noqa: FBT001 - a table
    across: bool,  # noqa: FBT001
    node_changed: list[int] | None,
    load_changed: list[int] | None,
    both: list[int] | None,
) -> None:
    table, stamps = NodeTable(), TableCursor(loads=loads, across=across)
    assert rows_behind(stamps, table) is None
    assert rows_behind(stamps, table) == NOTHING
    table.node_changes.record(0)
    assert rows_behind(stamps, table) == node_changed
    table.load_changes.record(1)
    assert rows_behind(stamps, table) == load_changed
    table.load_changes.record(1)
    table.node_changes.record(0)
    assert rows_behind(stamps, table) == both
    assert rows_behind(stamps, table) == NOTHING


def test_a_reader_that_did_not_catch_up_is_told_again() -> None:
    table, stamps = NodeTable(), TableCursor(loads=True, across=False)
    stamps.catch_up(table)
    table.load_changes.record(1)
    for _ in range(2):
        rows = stamps.behind(table)
        assert rows is not None
        assert rows.tolist() == [1]


def test_a_table_of_another_capacity_is_read_afresh() -> None:
    table, stamps = NodeTable(), TableCursor(loads=False, across=False)
    stamps.catch_up(table)
    for number in range(table.capacity + 1):
        table.put(make_node(f"n{number}"))
    assert rows_behind(stamps, table) is None
    stamps.catch_up(table)
    large = table.capacity
    for number in range(large):
        table.drop(f"n{number}")
        if table.capacity != large:
            break
    assert rows_behind(stamps, table) is None


class Scene:
    """Nodes a to c ranked 100, 10 and 0 on a scale, with room for one pod on a and for many elsewhere."""

    def __init__(self) -> None:
        self.cache = Cache()
        for name, cpu in (("a", "1"), ("b", "8"), ("c", "8")):
            self.cache.put_node(make_node(name, cpu=cpu))
        fit = NodeResourcesFit(NodeResourcesFitArgs(), make_handle())
        self.profile = profile_of(fit, VectorRank("Scaled", a=100, b=10, c=0), weights={"Scaled": 1000})
        self.evaluator = Evaluator(self.profile, self.cache.snapshot, Random(0))  # noqa: S311 - breaks ties

    def best(self, pod: Pod | None = None) -> tuple[str | None, int]:
        """The node of choice and its place on the scale."""
        choice = self.evaluator.choose(CycleState(), PodInfo(pod or make_pod("p")))
        return choice.node, choice.score // 1000


def test_the_scale_moves_when_the_best_node_is_full_and_back_when_it_is_free() -> None:
    scene = Scene()
    assert scene.best() == ("a", 100)
    first = make_pod("first", node="a")
    scene.cache.put_pod(first)
    assert scene.best() == ("b", 100)
    scene.cache.drop_pod(first)
    assert scene.best() == ("a", 100)


def test_the_scale_moves_when_a_node_goes_or_comes() -> None:
    scene = Scene()
    assert scene.best() == ("a", 100)
    scene.cache.put_node(make_node("a", cpu="1", cordoned=True))
    assert scene.best() == ("a", 100)
    scene.cache.drop_node("a")
    assert scene.best() == ("b", 100)
    scene.cache.drop_node("c")
    assert scene.best() == ("b", 0)
    scene.cache.put_node(make_node("a", cpu="1"))
    assert scene.best() == ("a", 100)


def test_a_pod_seen_before_its_node_does_not_make_it_a_place_to_go() -> None:
    cache = Cache()
    cache.put_node(make_node("a"))
    profile = profile_of(NodePorts(None, make_handle()))
    evaluator = Evaluator(profile, cache.snapshot, Random(0))  # noqa: S311 - breaks ties
    pod = PodInfo(make_pod("p", ports=[ContainerPort(80)]))
    for number in range(2):
        assert evaluator.choose(CycleState(), pod).feasible == 1
        cache.put_pod(make_pod(f"early-{number}", node="unknown"))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda cache: cache.put_pod(make_pod("first", cpu="5", node="a")), id="a pod"),
        pytest.param(lambda cache: cache.put_node(make_node("a", cpu="2")), id="a node"),
        pytest.param(
            lambda cache: cache.put_node(make_node("new", cpu="1", images={"image:latest": 10**9})),
            id="a node that matters to the scores of the others",
        ),
    ],
)
def test_kinds_that_share_a_verdict_each_catch_up_by_themselves(change: Callable[[Cache], None]) -> None:
    """The first to look again must not make the others believe that nothing has changed."""
    cache = Cache()
    for name in ("a", "b"):
        cache.put_node(make_node(name, cpu="8" if name == "a" else "7", images={"image:latest": 10**9}))
    evaluator = Evaluator(default_profile(cache), cache.snapshot, Random(0))  # noqa: S311 - breaks ties
    one, other = (
        PodInfo(make_pod(name, tolerations=[Toleration("x", "Exists", "", name)]))
        for name in ("one", "other")
    )
    before = evaluator.totals(CycleState(), one).tolist()
    assert evaluator.totals(CycleState(), other).tolist() == before
    change(cache)
    after = evaluator.totals(CycleState(), one).tolist()
    assert after != before
    assert evaluator.totals(CycleState(), other).tolist() == after
