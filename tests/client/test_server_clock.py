"""The API server's time, with clocks that are turned by hand."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pallet.client.server_clock import WINDOW_SECONDS, ServerClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clocks:
    """A local clock, and the server's, which is ahead of it by some seconds."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.local = NOON
        self.ahead = ahead
        self.clock = ServerClock(self.seconds)

    def seconds(self) -> float:
        return self.local.timestamp()

    @property
    def server(self) -> datetime:
        return self.local + timedelta(seconds=self.ahead)

    @property
    def error(self) -> float:
        """By how much the learnt time is ahead of the server's."""
        return (self.clock.now() - self.server).total_seconds()

    def turn(self, seconds: float) -> None:
        self.local += timedelta(seconds=seconds)

    def ask(self, there: float = 0.01, back: float = 0.01) -> None:
        """Send a request that is answered after some time."""
        sent = self.clock.mark()
        self.turn(there)
        date = format_datetime(self.server.replace(microsecond=0), usegmt=True)
        self.turn(back)
        self.clock.observe(date, sent)


def test_before_the_first_answer_it_is_the_local_time() -> None:
    assert Clocks(5.0).error == -5.0


@pytest.mark.parametrize("delay", [0.0, 0.3, 2.5])
def test_a_local_clock_that_may_be_right_is_never_corrected(delay: float) -> None:
    clocks = Clocks(0.0)
    for _ in range(50):
        clocks.turn(0.37)
        clocks.ask(delay, delay)
        assert clocks.error == 0.0


@pytest.mark.parametrize("ahead", [-3600.0, -2.2, 2.2, 7.9, 3600.0])
def test_a_wrong_one_is_corrected_and_spans_are_never_cut_short(ahead: float) -> None:
    clocks = Clocks(ahead)
    errors = []
    for _ in range(100):
        clocks.turn(0.137)
        clocks.ask()
        errors.append(clocks.error)
    assert all(-0.001 <= error <= 1.03 for error in errors)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1


@pytest.mark.parametrize("step", [-30.0, 30.0])
def test_a_clock_that_was_set_is_noticed_with_the_next_answer(step: float) -> None:
    clocks = Clocks()
    clocks.ask()
    clocks.turn(1.5)
    clocks.ahead += step
    clocks.ask()
    assert 0.0 <= clocks.error <= 1.03


def test_drift_is_followed() -> None:
    clocks = Clocks(10.0)
    for _ in range(100):
        clocks.turn(WINDOW_SECONDS / 5)
        clocks.ahead += 0.01
        clocks.ask()
    assert abs(clocks.error) < 1.03


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_a_header_that_is_no_date_changes_nothing(date: str) -> None:
    clocks = Clocks()
    clocks.ask()
    clocks.clock.observe(date, clocks.clock.mark())
    assert clocks.error == 0.0
