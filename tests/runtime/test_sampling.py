"""percentageOfNodesToScore: how many nodes, and which."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.framework.state import CycleState
from pallet.runtime.evaluator import Evaluator
from pallet.runtime.incremental_totals import INFEASIBLE
from pallet.runtime.sampling import Sampler
from tests.builders import make_node, make_pod
from tests.profiles import default_profile


@pytest.mark.parametrize(
    ("percentage", "node_count", "expected"),
    [
        (30, 99, 99),
        (30, 200, 100),
        (30, 1000, 300),
        (100, 1000, 1000),
        (0, 1000, 420),
        (0, 5000, 500),
        (0, 20000, 1000),
    ],
)
def test_enough_nodes_are_as_many_as_for_kube_scheduler(
    percentage: int, node_count: int, expected: int
) -> None:
    assert Sampler(percentage).nodes_to_find(node_count) == expected


def test_the_start_moves_on_until_every_node_had_its_turn() -> None:
    sampler, feasible = Sampler(10), np.arange(1, 1000, 2)
    seen: set[int] = set()
    for _ in range(5):
        rows = feasible[sampler.sample(feasible, 1000)].tolist()
        assert len(rows) == 100
        assert not seen & set(rows)
        seen |= set(rows)
    assert seen == set(range(1, 1000, 2))


def test_few_feasible_nodes_are_all_taken() -> None:
    assert Sampler(10).sample(np.array([3, 500]), 1000).tolist() == [0, 1]


def test_the_evaluator_samples_where_the_profile_says_so() -> None:
    cache = Cache()
    for number in range(200):
        cache.put_node(make_node(f"node-{number}"))
    profile = replace(default_profile(cache), percentage_of_nodes_to_score=30)
    evaluator = Evaluator(profile, cache.snapshot, Random(0))  # noqa: S311 - breaks ties
    choice = evaluator.choose(CycleState(), PodInfo(make_pod("web")))
    assert choice.feasible == 100
    assert (evaluator.totals(CycleState(), PodInfo(make_pod("web"))) != INFEASIBLE).sum() == 200
