"""Which of some candidates is picked: by their ranks, and among equals by chance."""

from collections import Counter
from random import Random

import numpy as np
import pytest

from pallet.cache.pod_info import PodInfo
from pallet.plugins.preemption.ranking import Ranks, by_rank, pick_one_node, rank_of
from tests.builders import make_pod

CANDIDATES = 64


def drawn(rng: Random) -> Ranks:
    """Ranks of which many are equal."""
    rows = [[rng.randrange(3) for _ in range(CANDIDATES)] for _ in range(4)]
    starts = [rng.choice((0.0, -10.0, float("-inf"))) for _ in range(CANDIDATES)]
    return np.array([*rows, starts])


@pytest.mark.parametrize("seed", range(5))
def test_the_picked_node_is_one_of_the_best_and_the_first_in_order(seed: int) -> None:
    rng = Random(seed)  # noqa: S311 - chooses what happens
    ranks = drawn(rng)
    for _ in range(50):
        candidates = np.array(sorted(rng.sample(range(CANDIDATES), rng.randrange(1, CANDIDATES))))
        keys = {row: tuple(ranks[:, row]) for row in candidates.tolist()}
        picked = pick_one_node(ranks, candidates, rng)
        assert keys[picked] == min(keys.values())
        assert [keys[row] for row in by_rank(ranks, candidates).tolist()] == sorted(keys.values())


def test_chance_decides_between_equals() -> None:
    rng = Random(0)  # noqa: S311 - breaks ties
    ranks = np.zeros((5, 8))
    ranks[3, ::2] = 1
    picked = Counter(pick_one_node(ranks, np.arange(8), rng) for _ in range(400))
    assert set(picked) == {1, 3, 5, 7}
    assert min(picked.values()) > 60


def test_the_rank_of_one_candidate() -> None:
    pods = [(2, 20), (2, 10), (-1, 0)]
    victims = [
        PodInfo(make_pod(f"v{number}", priority=priority, started=start))
        for number, (priority, start) in enumerate(pods)
    ]
    started = [info.pod.status.start_time for info in victims]
    assert started[1] is not None
    assert rank_of(victims, 1)[:, 0].tolist() == [1, 2, 3 + 3 * 2**31, 3, -started[1].timestamp()]
    not_started = PodInfo(make_pod("new", priority=2))
    assert rank_of([not_started], 0)[-1, 0] == float("-inf")


def test_change_7_pods_that_have_not_started_are_equal_and_start_after_all_others() -> None:
    new, other, old = (PodInfo(make_pod("p", started=seconds)) for seconds in (None, None, 5))
    assert rank_of([new], 0).tolist() == rank_of([other], 0).tolist()
    assert rank_of([new, old], 0)[-1, 0] == rank_of([old], 0)[-1, 0] > rank_of([new], 0)[-1, 0]
