"""When the fence lets writes through, and for how long."""

import pytest

from pallet.leaderelection.fence import Fence, steady_now


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("now", "remaining"),
    [(100, 15), (109.5, 5.5), (110, 0), (114, 0), (200, 0)],
    ids=["just renewed", "before the deadline", "at the deadline", "before the end", "after it"],
)
def test_a_write_starts_before_the_deadline_and_is_over_before_the_end(now: float, remaining: float) -> None:
    clock = Clock()
    fence = Fence(clock)
    fence.extend(deadline=110, end=115)
    clock.now = now
    assert fence.remaining() == remaining


def test_it_is_closed_at_first_and_after_close() -> None:
    fence = Fence(Clock())
    assert fence.remaining() == 0
    fence.extend(110, 115)
    fence.close()
    assert fence.remaining() == 0


def test_without_leader_election_it_is_always_open() -> None:
    assert Fence.open().remaining() == float("inf")


def test_the_clock_goes_on() -> None:
    assert steady_now() <= steady_now()
