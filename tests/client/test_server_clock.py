"""The API server's time, with clocks that are turned by hand."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pallet.client.server_clock import WINDOW_SECONDS, ServerClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clocks:
    """A steady clock, and the server's beside it."""

    def __init__(self) -> None:
        self.steady = 1000.0
        self.server = NOON
        self.clock = ServerClock(lambda: self.steady, lambda: 0.0)

    def turn(self, seconds: float) -> None:
        self.steady += seconds
        self.server += timedelta(seconds=seconds)

    def answer(self, delay: float = 0.0) -> None:
        date = format_datetime(self.server.replace(microsecond=0), usegmt=True)
        self.turn(delay)
        self.clock.observe(date)

    @property
    def behind(self) -> float:
        return (self.server - self.clock.now()).total_seconds()


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_before_the_first_answer_it_is_the_local_time(clocks: Clocks) -> None:
    assert clocks.clock.now() == datetime.fromtimestamp(0, UTC)


def test_it_follows_the_server_and_not_the_local_clock(clocks: Clocks) -> None:
    clocks.answer()
    clocks.turn(90.0)
    assert clocks.behind == 0.0


def test_it_is_never_ahead_and_gets_better_with_each_answer(clocks: Clocks) -> None:
    behind = []
    for _ in range(20):
        clocks.turn(0.73)
        clocks.answer(delay=0.01)
        behind.append(clocks.behind)
    assert all(0.0 <= each <= 1.01 for each in behind)
    assert behind == sorted(behind, reverse=True)
    assert behind[-1] < 0.1


def test_what_was_learnt_long_ago_does_not_count_any_more(clocks: Clocks) -> None:
    clocks.answer()
    clocks.server -= timedelta(seconds=30)  # it was set back
    for _ in range(3):
        clocks.turn(WINDOW_SECONDS + 1)
        clocks.answer()
    assert 0.0 <= clocks.behind <= 1.0


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_a_header_that_is_no_date_changes_nothing(clocks: Clocks, date: str) -> None:
    clocks.answer()
    clocks.clock.observe(date)
    assert clocks.behind == 0.0
