"""The lines that are logged, and that logging neither blocks nor loses what was logged before the end."""

import io
import logging
import threading
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallet.logs import BACKLOG, REPEAT_SECONDS, REPEATS, Formatter, Record, get_logger, logging_to

log = get_logger("pallet.scheduler.binding")


def lines(stream: io.StringIO) -> list[str]:
    """The lines without their times, which must be there."""
    found = []
    for line in stream.getvalue().splitlines():
        time, _, rest = line.partition(" ")
        datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%f%z")
        found.append(rest)
    return found


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("default/web-0", "default/web-0"),
        (7, "7"),
        (0.5, "0.5"),
        (None, "None"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "so"', r'"say \"so\""'),
        ("back\\slash", r'"back\\slash"'),
        ("new\nline", r'"new\nline"'),
        ("\x1b[31mred", r'"\u001b[31mred"'),
        ("line\u2028separator", r'"line\u2028separator"'),
        ("Knoten-ä", "Knoten-ä"),
        (ValueError("it broke"), '"it broke"'),
    ],
)
def test_a_field_is_quoted_when_it_could_be_mistaken(value: object, shown: str) -> None:
    stream = io.StringIO()
    with logging_to(stream):
        log.info("Bound pod", pod=value)
    assert lines(stream) == [f'INFO scheduler.binding "Bound pod" pod={shown}']


@given(st.text(), st.text())
def test_nobody_can_forge_a_line(message: str, value: str) -> None:
    plain = logging.LogRecord("pallet.x", logging.INFO, "", 0, "%s", (message,), None)
    for record in (Record("pallet.x", logging.INFO, message, {"field": value}), plain):
        line = Formatter().format(record)
        assert line.splitlines() == [line]
        assert line.isprintable()


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [
        (0, ["error", "warning", "info"]),
        (1, ["error", "warning", "info"]),
        (2, ["error", "warning", "info", "two"]),
        (4, ["error", "warning", "info", "two", "four"]),
        (10, ["error", "warning", "info", "two", "four", "debug"]),
        (99, ["error", "warning", "info", "two", "four", "debug"]),
    ],
)
def test_verbosity_is_that_of_kubernetes(verbosity: int, shown: list[str]) -> None:
    stream = io.StringIO()
    with logging_to(stream, verbosity):
        log.error("error")
        log.warning("warning")
        log.info("info")
        log.v(2, "two")
        log.v(4, "four")
        logging.getLogger("pallet.x").debug("debug")
        assert log.enabled(4) == (verbosity >= 4)
    assert [line.split('"')[1] for line in lines(stream)] == shown


def test_a_level_says_its_verbosity() -> None:
    stream = io.StringIO()
    with logging_to(stream, 4):
        log.v(0, "zero")
        log.v(4, "four")
        log.warning("warning")
    assert [line.split()[0] for line in lines(stream)] == ["INFO", "V4", "WARNING"]


def test_plain_loggers_and_libraries_come_out_in_the_same_form() -> None:
    stream = io.StringIO()
    with logging_to(stream, 10):
        logging.getLogger("pallet.informers").info("%s: trying again in %.1f s", "pods", 0.5)
        logging.getLogger("aiohttp.server").info("chatter")
        logging.getLogger("aiohttp.server").warning("trouble")
    assert lines(stream) == [
        'INFO informers "pods: trying again in 0.5 s"',
        'WARNING aiohttp.server "trouble"',
    ]


def test_an_exception_comes_with_its_traceback_in_one_line() -> None:
    stream = io.StringIO()
    with logging_to(stream):
        try:
            int("it")
        except ValueError:
            log.exception("Plugin failed", plugin="NodeName")
            logging.getLogger("asyncio").exception("Task failed")
    ours, plain = lines(stream)
    assert ours.startswith('ERROR scheduler.binding "Plugin failed" plugin=NodeName traceback="Traceback')
    assert plain.startswith(r'ERROR asyncio "Task failed" traceback="Traceback')
    assert r"\nValueError: invalid literal" in ours
    assert r"\nValueError: invalid literal" in plain


class SlowStream(io.StringIO):
    """Takes nothing until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = threading.Event()

    def write(self, text: str) -> int:
        self.opened.wait()
        return super().write(text)


def test_other_handlers_see_the_fields_in_the_message(caplog: pytest.LogCaptureFixture) -> None:
    log.warning("Bound pod", pod="default/web-0", why="it fits")
    assert caplog.messages == ['Bound pod pod=default/web-0 why="it fits"']


def test_a_slow_reader_does_not_block_and_loses_only_what_is_too_much() -> None:
    stream = SlowStream()
    with logging_to(stream):
        for number in range(BACKLOG + 100):
            log.info("Bound pod", number=number)
        stream.opened.set()
    found = lines(stream)
    dropped = [line for line in found if "Dropped log records" in line]
    assert found[0].endswith("number=0")
    assert len(found) - len(dropped) + sum(int(line.rpartition("=")[2]) for line in dropped) == BACKLOG + 100
    assert dropped


def test_a_reader_that_went_away_does_no_harm() -> None:
    stream = io.StringIO()
    stream.close()
    with logging_to(stream):
        log.info("Bound pod")


def test_what_was_before_is_put_back() -> None:
    root, ours = logging.getLogger(), logging.getLogger("pallet")
    before = root.handlers[:], root.level, ours.level
    with logging_to(io.StringIO(), 4):
        pass
    assert (root.handlers, root.level, ours.level) == before


def test_what_is_not_shown_is_not_turned_into_text() -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError

    with logging_to(io.StringIO()):
        log.v(4, "Scored nodes", scores=Costly())


class AwayError(Exception):
    """The same thing is wrong, whoever meets it."""

    log_key = "away"


def test_warnings_about_one_thing_are_one_and_their_number_is_told_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.time", lambda: now)
    monkeypatch.setattr("time.time_ns", lambda: int(now * 10**9))  # from Python 3.13 on
    stream = io.StringIO()
    with logging_to(stream):
        for resource in range(45):
            log.warning("Cannot read", resource=resource, error=AwayError(f"{resource} is away"))
        now += REPEAT_SECONDS
        log.warning("Cannot read", resource=99, error=AwayError("still away"))
    assert lines(stream) == [
        'WARNING scheduler.binding "Cannot read" resource=0 error="0 is away"',
        'WARNING scheduler.binding "Cannot read" resource=99 error="still away" repeated=44',
    ]


def test_warnings_of_libraries_and_of_other_things_are_told_apart() -> None:
    stream = io.StringIO()
    plain = logging.getLogger("pallet.informers.reflector")
    with logging_to(stream):
        for resource in ("pods", "nodes"):
            plain.warning("%s: %s; trying again", resource, AwayError("away"))
        log.warning("Cannot read", error=AwayError("away"))
        log.warning("Cannot write", error=AwayError("away"))
        log.warning("Cannot write", error=ValueError("away"))
        log.warning("Cannot write", error=ValueError("away"))
        log.info("Cannot read", error=AwayError("away"))
    assert len(lines(stream)) == 6


def test_only_so_many_things_are_known_to_have_been_told_of() -> None:
    stream = io.StringIO()
    with logging_to(stream):
        for number in [*range(REPEATS + 1), 0, REPEATS]:
            error = AwayError()
            error.log_key = str(number)
            log.warning("Cannot read", error=error)
    assert len(lines(stream)) == REPEATS + 2
