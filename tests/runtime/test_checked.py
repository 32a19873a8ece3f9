"""Declarations of dependence that do not hold are found out, and named with what to write."""

from collections.abc import Hashable
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import NodeInfo, Snapshot
from pallet.framework.interface import Codes, Reads, RowChoice, Scores
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status, unschedulable
from pallet.runtime.evaluator import Evaluator
from pallet.testing import Asked
from tests.builders import make_node, make_pod
from tests.profiles import profile_of

if TYPE_CHECKING:
    from pallet.runtime.checked import WrongDeclaration


class Dependence:
    name = "Mine"
    filter_reads = Reads.NODE

    def __init__(self, *_: Any) -> None: ...

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        return ""


class Base(Dependence):
    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        return SUCCESS


class ReadsLoads(Base):
    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        return unschedulable("taken") if node.pods else SUCCESS


class ReadsNodes(Base):
    """Looks at the cluster through the handle."""

    def __init__(self, _: Any, handle: Any) -> None:
        self._table = handle.cache.snapshot.table

    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        return unschedulable("one of many") if self._table.node_count > 2 else SUCCESS


class ReadsLoadsOfAll(ReadsNodes):
    filter_reads = Reads.LOAD

    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        placed = self._table.resources["pods"].requested.sum()
        return unschedulable("too many pods") if placed > 1 else SUCCESS


class ReadsLabels(Base):
    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        return SUCCESS if info.pod.metadata.labels.get("app") == "web" else unschedulable("not for the web")


class ReadsNothing(Base):
    """Says something else each time."""

    def __init__(self, *_: Any) -> None:
        self._asked = 0

    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        self._asked += 1
        return unschedulable(f"asked {self._asked} times")


class ContradictsItself(Dependence):
    """Its quick look at one row says something else."""

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        return snapshot.table.resources["cpu"].allocatable[rows].astype(np.uint32)

    def filter_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        return 7

    def explain(self, info: PodInfo, code: int) -> Status:
        return unschedulable(str(code))


class MissesChanges:
    """Says that nothing ever changes."""

    name = "Mine"
    score_reads = Reads.CLUSTER

    def __init__(self, *_: Any) -> None: ...

    def score_signature(self, info: PodInfo) -> Hashable | None:
        return ""

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        pods: Scores = snapshot.table.resources["pods"].requested[rows].astype(np.int64)
        return pods

    def score_topic(self, info: PodInfo, snapshot: Snapshot) -> Hashable | None:
        return ""

    def score_changes(self, topic: Any, snapshot: Snapshot, stamp: Any) -> tuple[Any, list[int] | None]:
        return 1, [] if stamp else None


class Scene:
    """Two nodes, and a plugin that is checked in each cycle."""

    def __init__(self, kind: type[Any]) -> None:
        self.cache = Cache()
        self.cache.put_node(make_node("a"))
        self.cache.put_node(make_node("b"))
        self.found: list[WrongDeclaration] = []
        handle = type("Handle", (), {"cache": self.cache})
        profile = profile_of(kind(None, handle))
        self.evaluator = Evaluator(profile, self.cache.snapshot, Random(0), wrong=self.found.append)  # noqa: S311

    def feasible(self, app: str = "web") -> list[str]:
        info = PodInfo(make_pod(app, labels={"app": app}))
        return self.evaluator.feasible(CycleState(), info)

    def declaration(self) -> tuple[str, str]:
        (wrong,) = self.found
        assert wrong.plugin == "Mine"
        return wrong.declaration, wrong.remedy


def test_nothing_is_found_of_a_plugin_that_declares_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReadsLoads, "filter_reads", Reads.LOAD)
    scene = Scene(ReadsLoads)
    assert scene.feasible() == ["a", "b"]
    scene.cache.put_pod(make_pod("p", node="a"))
    assert scene.feasible() == ["b"]
    assert scene.found == []


def test_one_that_reads_the_pods_on_a_node() -> None:
    scene = Scene(ReadsLoads)
    assert scene.feasible() == ["a", "b"]
    scene.cache.put_pod(make_pod("p", node="a"))
    assert scene.feasible() == ["b"]
    assert scene.declaration() == ("filter_reads", "write filter_reads = Reads.LOAD")
    (wrong,) = scene.found
    assert wrong.place.startswith(__file__)
    assert wrong.difference == (
        'for pod default/web on node a the plugin refuses with "taken", and what was remembered lets it pass'
    )
    assert scene.feasible() == ["b"]
    assert len(scene.found) == 1


def test_one_that_reads_other_nodes() -> None:
    scene = Scene(ReadsNodes)
    assert scene.feasible() == ["a", "b"]
    scene.cache.put_node(make_node("c"))
    assert scene.feasible() == []
    assert scene.declaration() == ("filter_reads", "write filter_reads = Reads.NODES")


def test_one_that_reads_the_pods_on_other_nodes() -> None:
    scene = Scene(ReadsLoadsOfAll)
    assert scene.feasible() == ["a", "b"]
    scene.cache.put_pod(make_pod("p", node="a"))
    scene.cache.put_pod(make_pod("q", node="a"))
    assert scene.feasible() == []
    assert scene.declaration() == ("filter_reads", "write filter_reads = Reads.CLUSTER")


def test_one_that_reads_more_of_the_pod_than_its_signature_has() -> None:
    scene = Scene(ReadsLabels)
    assert scene.feasible("web") == ["a", "b"]
    assert scene.feasible("db") == []
    assert scene.declaration() == ("filter_signature", "return all of the pod that filter looks at")
    (wrong,) = scene.found
    assert wrong.difference.endswith(" what was remembered lets it pass, as for pod default/web")
    assert ReadsLabels.filter_signature.__code__.co_firstlineno == int(wrong.place.rpartition(":")[2])


def test_one_that_depends_on_no_part_of_the_cluster() -> None:
    scene = Scene(ReadsNothing)
    scene.feasible()
    assert scene.declaration() == ("filter_reads", "write filter_reads = Reads.CLUSTER")


def test_one_whose_quick_look_says_otherwise() -> None:
    scene = Scene(ContradictsItself)
    scene.feasible()
    scene.cache.put_node(make_node("a", cpu="8"))
    scene.feasible()
    assert scene.declaration() == ("filter_row", "answer as filter_rows does")


def test_one_that_misses_changes() -> None:
    scene = Scene(MissesChanges)
    scene.feasible()
    scene.cache.put_pod(make_pod("p", node="a"))
    scene.feasible()
    assert scene.declaration() == ("score_changes", "name all rows whose answer may have changed")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (ReadsLoads, r"^Mine: filter_reads \(.*test_checked.py:\d+\) does not hold: .* Reads.LOAD$"),
        (ReadsNodes, r"Mine: filter_reads .* Reads.NODES$"),
        (ReadsLoadsOfAll, r"Mine: filter_reads .* Reads.CLUSTER$"),
        (ReadsLabels, r"Mine: filter_signature .* return all of the pod that filter looks at$"),
    ],
)
def test_a_plugins_own_tests_find_it_out(kind: type[Any], words: str) -> None:
    asked = Asked(kind, [make_node("a"), make_node("b")], [make_pod("p", node="a")])
    with pytest.raises(AssertionError, match=words):
        asked.statuses(make_pod("q", labels={"app": "web"}))


def test_a_plugins_own_tests_find_out_wrong_scores_too() -> None:
    with pytest.raises(AssertionError, match="Mine: score_changes "):
        Asked(MissesChanges, [make_node("a")]).scores(make_pod("q"))


def test_the_cluster_is_as_before_when_a_plugin_was_put_to_the_test() -> None:
    asked = Asked(Base, [make_node("a"), make_node("b", cordoned=True)], [make_pod("p", node="a")])
    snapshot = asked.cache.snapshot

    def cluster() -> list[Any]:
        found = [snapshot.node(row) for row in snapshot.rows()]
        return [(each.node, each.requested, [info.pod for info in each.pods]) for each in found]

    before = cluster()
    asked.statuses(make_pod("q", labels={"app": "web"}))
    assert cluster() == before
