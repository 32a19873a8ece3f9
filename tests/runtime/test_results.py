"""Single steps of catching up; that the sum of it is right is for test_evaluator_memory to show."""

from collections.abc import Callable
from random import Random

import numpy as np
import pytest

from pallet.api.pod import ContainerPort, Pod, Toleration
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.hooks import Changes
from pallet.framework.interface import ALL_ROWS, Codes, Reads, RowChoice
from pallet.framework.state import CycleState
from pallet.framework.status import PluginError
from pallet.plugins.node_ports import NodePorts
from pallet.plugins.node_resources_fit import NodeResourcesFit, NodeResourcesFitArgs
from pallet.runtime.evaluator import Evaluator
from pallet.runtime.results import PluginMethods, PluginResult
from tests.builders import make_node, make_pod
from tests.profiles import default_profile, make_handle, profile_of
from tests.runtime.test_evaluator import VectorRank


@pytest.mark.parametrize(
    ("reads", "node_changed", "load_changed", "both"),
    [
        (Reads.NODE, [0], [], [0]),
        (Reads.LOAD, [0], [1], [0, 1]),
        (Reads.NODES, None, [], None),
    ],
)
def test_which_rows_a_plugin_is_asked_about_again(
    reads: Reads, node_changed: list[int] | None, load_changed: list[int], both: list[int] | None
) -> None:
    cache, asked = Cache(), list[object]()
    for name in "abc":
        cache.put_node(make_node(name))
    table, info = cache.snapshot.table, PodInfo(make_pod("p"))

    def answer(state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        asked.append(None if isinstance(rows, slice) else sorted(rows.tolist()))
        return np.zeros(snapshot.table.capacity, np.uint32)[rows]

    result = PluginResult(PluginMethods(reads, answer), "signature")

    def asked_about() -> object:
        asked.clear()
        result.refresh(CycleState(), info, cache.snapshot)
        return asked[0] if asked else []

    assert asked_about() is None
    assert asked_about() == []
    table.node_changes.record(0)
    assert asked_about() == node_changed
    table.load_changes.record(1)
    assert asked_about() == load_changed
    table.load_changes.record(1)
    table.node_changes.record(0)
    assert asked_about() == both
    assert asked_about() == []


@pytest.mark.parametrize("changes", [None, lambda signature, snapshot, stamp: (1, [0] if stamp else None)])
def test_after_a_failure_a_plugin_is_asked_about_all_rows(changes: Changes | None) -> None:
    cache, fails, asked = Cache(), [False, True, False], list[RowChoice]()
    cache.put_node(make_node("a"))

    def answer(state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        if fails.pop(0):
            raise PluginError("Mine", "failed")
        asked.append(rows)
        return np.zeros(snapshot.table.capacity, np.uint32)[rows]

    methods = PluginMethods(Reads.CLUSTER if changes else Reads.NODE, answer, None, changes)
    result, info = PluginResult(methods, "signature"), PodInfo(make_pod("p"))
    result.refresh(CycleState(), info, cache.snapshot)
    cache.snapshot.table.node_changes.record(0)
    with pytest.raises(PluginError):
        result.refresh(CycleState(), info, cache.snapshot)
    result.refresh(CycleState(), info, cache.snapshot)
    assert asked == [ALL_ROWS, ALL_ROWS]


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
