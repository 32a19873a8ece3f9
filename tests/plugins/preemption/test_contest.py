"""Who leads among the rows while they come, change and leave, many at once and one by one."""

from collections import Counter
from random import Random

import numpy as np
import pytest

from pallet.cache.changes import Rows
from pallet.plugins.preemption.contest import Contest

CAPACITY = 64
STEPS = 300


def rank(contest: Contest, rows: Rows, rng: Random) -> None:
    """Give some rows new figures, mostly such as others have too, and have them compete."""
    for row in rows.tolist():
        for column in (contest.violations, contest.highest, contest.total):
            column[row] = rng.randrange(3)
        contest.count[row] = rng.randrange(4)
        contest.start[row] = rng.choice((0.0, 10.0, float("inf")))
    contest.enter(rows)


@pytest.mark.parametrize("seed", range(5))
def test_the_leader_is_one_of_the_best(seed: int) -> None:
    rng = Random(seed)  # noqa: S311 - chooses what happens
    contest = Contest(CAPACITY, rng)
    for _ in range(STEPS):
        count = rng.choice((1, 1, 1, 2, 3, CAPACITY // 2, CAPACITY))
        rows = np.array(sorted(rng.sample(range(CAPACITY), count)))
        if rng.random() < 0.3:
            contest.withdraw(rows[:8])
        else:
            rank(contest, rows, rng)
        wanted = np.array([rng.random() < 0.7 for _ in range(CAPACITY)])
        candidates = [row for row in range(CAPACITY) if wanted[row] and contest.count[row]]
        best = contest.best(wanted)
        if best is None:
            assert not candidates
        else:
            assert best in candidates
            assert contest.rank(best) == min(contest.rank(row) for row in candidates)


@pytest.mark.parametrize("parts", [1, 8], ids=["all at once", "one by one"])
def test_chance_decides_between_equals(parts: int) -> None:
    leaders: Counter[int | None] = Counter()
    rows = np.arange(8)
    for seed in range(400):
        contest = Contest(CAPACITY, Random(seed))  # noqa: S311 - breaks ties
        contest.count[rows] = 1
        for some in np.split(rows, parts):
            contest.enter(some)
        leaders[contest.best(np.ones(CAPACITY, np.bool_))] += 1
    assert set(leaders) == set(rows.tolist())
    assert min(leaders.values()) > 20


def test_a_leader_that_changes_for_the_worse_is_followed_by_the_next() -> None:
    contest = Contest(CAPACITY, Random(0))  # noqa: S311 - breaks ties
    rows, everywhere = np.arange(CAPACITY), np.ones(CAPACITY, np.bool_)
    contest.total[:], contest.count[:] = rows, 1
    contest.enter(rows)
    led = []
    for _ in range(3):
        leader = contest.best(everywhere)
        assert leader is not None
        led.append(leader)
        contest.total[leader] = CAPACITY + leader
        contest.enter(np.array([leader]))
    assert led == [0, 1, 2]
