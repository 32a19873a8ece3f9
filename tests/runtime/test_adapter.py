import numpy as np
import pytest

from pallet.cache.live_snapshot import LiveSnapshot
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import NodeInfo
from pallet.framework.interface import ALL_ROWS, Scores
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status, unresolvable, unschedulable
from pallet.runtime import adapter as module
from pallet.runtime.adapter import FilterAdapter, ScoreAdapter
from tests.builders import make_node, make_pod

POD = PodInfo(make_pod("p"))


def snapshot_of(count: int) -> LiveSnapshot:
    snapshot = LiveSnapshot()
    for number in range(count):
        snapshot.put_node(make_node(f"n{number}", cpu=str(number + 1)))
    return snapshot


class Choosy:
    """Refuses all nodes but n0, each with reasons of its own."""

    name = "Choosy"

    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        if node.name == "n0":
            return SUCCESS
        refuse = unresolvable if node.name == "n1" else unschedulable
        return refuse(f"{node.name} has {node.allocatable['cpu']}", "and more")


class Cores:
    """Scores a node by its cores."""

    name = "Cores"

    def score(self, state: CycleState, info: PodInfo, node: NodeInfo) -> int:
        return node.allocatable["cpu"] // 1000


def test_a_plain_filter_answers_for_all_rows_and_explains_each() -> None:
    snapshot, lifted = snapshot_of(3), FilterAdapter(Choosy())
    codes = lifted.filter_rows(CycleState(), POD, snapshot, ALL_ROWS)
    assert codes.tolist()[:4] == [0, 1, 2, 0]
    assert not codes[3:].any()
    assert lifted.explain(POD, 1) == unresolvable("n1 has 2000", "and more")
    assert lifted.explain(POD, 2) == unschedulable("n2 has 3000", "and more")
    again = lifted.filter_rows(CycleState(), POD, snapshot, np.array([2, 0]))
    assert again.tolist() == [2, 0]


class Chatty:
    """Refuses every node with a reason that it never gave before."""

    name = "Chatty"

    def __init__(self) -> None:
        self.asked = 0

    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        self.asked += 1
        return unschedulable(f"{node.name}: {self.asked}")


def test_reasons_that_never_repeat_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STATUSES", 3)
    lifted, snapshot = FilterAdapter(Chatty()), snapshot_of(9)
    for _ in range(200):
        lifted.filter_signature(POD)
        codes = lifted.filter_rows(CycleState(), POD, snapshot, ALL_ROWS).tolist()
        for number in range(9):
            assert lifted.explain(POD, codes[number]).reasons[0].startswith(f"n{number}: ")
    statuses, most = lifted._statuses, 4 * snapshot.table.capacity + 9
    assert len(statuses._status_of) == len(statuses._code_of) <= most
    assert 9 <= len(statuses._before) <= most


def test_what_was_remembered_in_codes_that_are_given_up_is_another_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_STATUSES", 3)
    monkeypatch.setattr(module, "_STATUSES_A_ROW", 0)
    lifted, snapshot = FilterAdapter(Chatty()), snapshot_of(3)
    signature = lifted.filter_signature(POD)
    lifted.filter_rows(CycleState(), POD, snapshot, ALL_ROWS)
    assert lifted.filter_signature(POD) == signature
    lifted.filter_rows(CycleState(), POD, snapshot, slice(0, 1))
    assert lifted.filter_signature(POD) != signature


def test_a_code_keeps_its_meaning_while_other_rows_are_asked_one_by_one() -> None:
    """As for the nodes that other pods are nominated to, of which there may be many."""
    lifted, snapshot = FilterAdapter(Chatty()), snapshot_of(5000)
    codes = [
        int(lifted.filter_rows(CycleState(), POD, snapshot, slice(row, row + 1))[0]) for row in range(5000)
    ]
    for number, code in enumerate(codes):
        assert lifted.explain(POD, code).reasons == (f"n{number}: {number + 1}",)


def test_a_plain_score_answers_for_all_rows() -> None:
    snapshot, lifted = snapshot_of(3), ScoreAdapter(Cores())
    assert lifted.score_rows(CycleState(), POD, snapshot, ALL_ROWS).tolist()[:4] == [1, 2, 3, 0]
    assert lifted.score_rows(CycleState(), POD, snapshot, np.array([2, 1])).tolist() == [3, 2]
    assert lifted.normalize is None


def test_a_plain_score_keeps_its_normalising() -> None:
    class Scaled(Cores):
        def normalize(self, scores: Scores, low: int, high: int) -> Scores:
            return scores * 100 // high

    lifted = ScoreAdapter(Scaled())
    assert lifted.normalize is not None
    assert lifted.normalize(np.array([1, 2, 4]), 1, 4).tolist() == [25, 50, 100]
