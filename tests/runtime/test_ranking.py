"""The best rows, against a look at all of them."""

from itertools import permutations
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pallet.runtime.ranking import FAR_BELOW, Ranking

ROWS = 5
ranks = st.one_of(st.integers(0, 3), st.integers(-FAR_BELOW, 3 - FAR_BELOW))
first_ranks = st.lists(ranks, min_size=ROWS, max_size=ROWS)
one_change = st.tuples(st.integers(0, ROWS - 1), ranks)
shifts = st.sampled_from((0, 0, 2, tuple(range(ROWS))))
changes = st.lists(st.tuples(st.lists(one_change, min_size=1, max_size=3), shifts), max_size=10)


@given(first_ranks, changes)
def test_the_best_rows_are_known_after_every_change(
    first: list[int], changes: list[tuple[list[tuple[int, int]], int | tuple[int, ...]]]
) -> None:
    ranking, expected, rng = Ranking(np.array(first)), list(first), Random(0)  # noqa: S311 - breaks ties
    for pairs, by in [([(0, first[0])], 0), *changes]:
        changed = dict(pairs)
        if len(pairs) == 1:
            ranking.put(*pairs[0])
        else:
            ranking.put_many(np.array(list(changed)), np.array(list(changed.values())))
        for row, rank in changed.items():
            expected[row] = rank
        if by:
            ranking.shift(by if isinstance(by, int) else np.array(by))
            expected = (np.array(expected) + by).tolist()
        best = max(expected)
        assert ranking.best == best
        assert ranking.feasible == sum(each >= 0 for each in expected)
        leaders = {row for row, each in enumerate(expected) if each == best}
        assert {ranking.pick(rng) for _ in range(60)} == leaders


def test_any_of_the_best_rows_can_fall_behind_after_any_other() -> None:
    for order in permutations(range(4)):
        ranking, left = Ranking(np.array([2, 2, 2, 2, 1])), set(range(4))
        assert ranking.best == 2
        for row in order[:3]:
            ranking.put(row, 0)
            left.remove(row)
            assert {ranking.pick(Random(seed)) for seed in range(30)} == left  # noqa: S311 - breaks ties


def test_many_ranks_change_at_once() -> None:
    ranking = Ranking(np.array([1, 2, 3, -FAR_BELOW]))
    assert (ranking.best, ranking.feasible) == (3, 3)
    ranking.put_many(np.array([2, 3, 0]), np.array([1 - FAR_BELOW, 2, 0]))
    assert (ranking.best, ranking.feasible) == (2, 3)
    assert {ranking.pick(Random(0)) for _ in range(9)} <= {1, 3}  # noqa: S311 - breaks ties


def test_each_of_the_best_rows_is_as_likely_as_the_others() -> None:
    ranking, rng = Ranking(np.array([1, 2, 2, 2])), Random(0)  # noqa: S311 - breaks ties
    assert ranking.best == 2
    ranking.put(2, 1)
    ranking.put(2, 2)
    ranking.put(0, 2)
    picked = [ranking.pick(rng) for _ in range(4000)]
    assert all(abs(picked.count(row) - 1000) < 120 for row in range(4))
