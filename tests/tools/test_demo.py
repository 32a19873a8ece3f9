"""The demo's parts that need no cluster; the whole of it is an end-to-end test."""

import pytest

from tools.demo.quickstart import check_quiet_time
from tools.demo.shell import Shell, StepError


@pytest.mark.parametrize("text", ["10s", "2m0s", "500ms", "1.5s"])
def test_a_quiet_time_is_a_go_duration(text: str) -> None:
    assert check_quiet_time(text) == text


@pytest.mark.parametrize("text", ["", "10", "soon", "-1s", "1s/;reboot;s/a"])
def test_anything_else_never_reaches_a_command(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        check_quiet_time(text)


def test_a_command_is_shown_with_all_that_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    output = Shell({"WHO": "you"}).run("echo hello $WHO; echo and more >&2")
    assert output == "hello you\nand more\n"
    assert capsys.readouterr().out == "$ echo hello $WHO; echo and more >&2\nhello you\nand more\n"


def test_a_command_that_fails_ends_the_demo() -> None:
    with pytest.raises(StepError, match=r"`echo why; exit 3` failed with status 3:\nwhy"):
        Shell({}).run("echo why; exit 3")


def test_a_command_that_hangs_ends_the_demo() -> None:
    with pytest.raises(StepError, match=r"took longer than 0\.05 s"):
        Shell({}).run("sleep 30 | cat", seconds=0.05)


def test_waiting_ends_with_what_was_waited_for() -> None:
    answers = iter([False, True])
    Shell({}).wait_until("a yes", lambda: next(answers), seconds=10)
    with pytest.raises(StepError, match="still waiting for a yes"):
        Shell({}).wait_until("a yes", lambda: False, seconds=0)
