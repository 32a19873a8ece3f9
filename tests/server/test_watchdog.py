"""What the watchdog says of a loop that is held, and when it ends the process."""

import logging

import pytest

from pallet.server.watchdog import LoopWatchdog

DEAD_AFTER = 10.0


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """A watchdog that looks five times a second, and what it does."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.done: list[str] = []
        self.watchdog = LoopWatchdog(
            dead_after=DEAD_AFTER,
            at_death=lambda: self.done.append("abdicated"),
            clock=self.clock,
            end=lambda status: self.done.append(f"ended {status}"),
        )
        self.watchdog.stop()  # it does not wait for the log

    def hold(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.2)):
            self.clock.now += 0.2
            self.watchdog.look()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_loop_that_runs_is_not_spoken_of(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(100):
        scene.hold(0.8)
        scene.watchdog.beat()
    assert warnings(caplog) == []


def test_what_holds_the_loop_is_logged_with_its_stack(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.hold(1.2)
    [line] = warnings(caplog)
    assert line.startswith("The event loop is held seconds=1.")
    assert "test_what_holds_the_loop_is_logged_with_its_stack" in line


def test_a_long_hold_is_logged_less_and_less_often(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.hold(9.0)
    assert len(warnings(caplog)) == 4  # after 1, 2, 4 and 8 seconds
    scene.watchdog.beat()
    scene.hold(1.4)
    assert len(warnings(caplog)) == 5


def test_a_loop_that_does_not_come_back_gives_up_the_lease_and_ends_the_process(scene: Scene) -> None:
    scene.hold(DEAD_AFTER - 0.4)
    assert scene.done == []
    scene.hold(0.6)
    assert scene.done[:2] == ["abdicated", "ended 1"]


def test_a_process_that_was_stopped_is_no_dead_loop(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.hold(0.4)
    scene.clock.now += 60.0
    scene.watchdog.look()
    assert scene.done == []
    [line] = warnings(caplog)
    assert line == "The process was stopped, or one call held all its threads seconds=60.0"
    scene.hold(DEAD_AFTER + 0.2)  # it does not come back either
    assert scene.done[:2] == ["abdicated", "ended 1"]
