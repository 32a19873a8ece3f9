"""What can be said of chance."""

import numpy as np
import pytest
from random_scheduler import RandomScheduler

from pallet.api.node import NODES
from pallet.cache.pod_info import PodInfo
from pallet.framework.interface import MAX_SCORE
from pallet.framework.state import CycleState
from pallet.testing import Asked, make_handle, make_node, make_pod

POD = make_pod("sleep", namespace="lab")


@pytest.mark.parametrize("count", [1, 2, 20])
def test_chance_refuses_some_nodes_and_never_all(count: int) -> None:
    asked = Asked(RandomScheduler, [make_node(f"n{number}") for number in range(count)])
    info, snapshot = PodInfo(POD), asked.cache.snapshot
    rows = np.array(list(snapshot.rows()))
    feasible = [
        int((asked.plugin.filter_rows(CycleState(), info, snapshot, rows) == 0).sum()) for _ in range(200)
    ]
    assert min(feasible) >= 1
    assert len(set(feasible)) > 1 or count == 1


def test_there_may_be_nothing_left_to_refuse() -> None:
    asked = Asked(RandomScheduler, [make_node("n")])
    none = np.array([], np.intp)
    assert asked.plugin.filter_rows(CycleState(), PodInfo(POD), asked.cache.snapshot, none).size == 0


def test_scores_are_random_and_on_the_common_scale() -> None:
    plugin = RandomScheduler(None, make_handle())
    asked = Asked(RandomScheduler, [make_node("n")])
    [row] = asked.cache.snapshot.rows()
    scores = {plugin.score(CycleState(), PodInfo(POD), asked.cache.snapshot.node(row)) for _ in range(5000)}
    assert scores == set(range(MAX_SCORE + 1))


def test_bindings_and_new_nodes_are_told_in_the_words_of_the_lab(caplog: pytest.LogCaptureFixture) -> None:
    info = PodInfo(POD)
    caplog.set_level("INFO")
    plugin = RandomScheduler(None, make_handle(objects={NODES: [make_node("n1"), make_node("n2")]}))
    plugin.post_bind(CycleState(), info, "n2")
    assert plugin.scheduled_note(CycleState(), info, "n2") == "Placed pod [lab/sleep] on n2"
    assert caplog.messages == [
        "New Node Added to Store: n1",
        "New Node Added to Store: n2",
        "Placed pod [lab/sleep] on n2",
    ]
