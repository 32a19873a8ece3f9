"""Structured logs: one line a record, written by a thread of its own so that the event loop never waits.

    2026-03-01T10:00:00.123456Z INFO scheduler.binding "Bound pod" pod=default/web-0 node=worker-1

Values with spaces, quotes, `=` or anything unprintable are written as JSON strings, so that nobody can forge
a line. Modules that use `logging` directly come out in the same form, without fields.

Verbosity is Kubernetes' (`-v N`): a `Logger.v(n, …)` line is written where N is at least n. 0 is what an
operator needs, 2 each pod's way, 4 and up are for debugging, 6 the scores behind each choice, 10 those of
every node; `logging.DEBUG` is 10.

Where one thing is wrong, many say so, again and again: the API server is away, or a right is missing. An
exception with a `log_key` names that thing. Of the warnings with one message and one key a single one is
written in a minute, and the next one says how many there were.
"""

import json
import logging
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Final, TextIO

ROOT: Final = "pallet"
"""Verbosity is for the loggers below this one; libraries only get their warnings through."""

BACKLOG: Final = 10_000
"""Records that may wait for a slow reader of the log; what comes on top is dropped and counted."""

REPEAT_SECONDS: Final = 60.0
"""How long warnings about the same thing are only counted."""
REPEATS: Final = 256
"""Things that are known to have been told of; where there are more, the oldest is told again."""

FLUSH_SECONDS: Final = 2.0
"""How long the end of the program waits for a reader that does not read."""


class Logger:
    """Logs messages with fields: `log.info("Bound pod", pod=key, node=node)`.

    The message is constant, what varies goes into fields. They are turned into text later, in the writing
    thread: give strings, numbers and other things that do not change.
    """

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, message: str, **fields: object) -> None:
        """Log what every operator should see."""
        self._log(logging.INFO, message, fields)

    def v(self, verbosity: int, message: str, **fields: object) -> None:
        """Log what is seen with `-v` of at least `verbosity`, 0 to 10."""
        self._log(logging.INFO - verbosity, message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Log what may need attention."""
        self._log(logging.WARNING, message, fields)

    def error(self, message: str, **fields: object) -> None:
        """Log what went wrong."""
        self._log(logging.ERROR, message, fields)

    def exception(self, message: str, **fields: object) -> None:
        """Log the exception being handled, one that nobody expected, with its traceback in the same line."""
        self._log(logging.ERROR, message, {**fields, "traceback": traceback.format_exc()})

    def enabled(self, verbosity: int) -> bool:
        """Whether `v` of this verbosity writes anything: ask before computing a field that is costly."""
        return self._logger.isEnabledFor(logging.INFO - verbosity)

    def _log(self, level: int, message: str, fields: dict[str, object]) -> None:
        logger = self._logger
        if logger.isEnabledFor(level):
            logger.handle(Record(logger.name, level, message, fields))


class Record(logging.LogRecord):
    """A message with fields. Handlers that know nothing of fields see them at the end of the message."""

    def __init__(self, name: str, level: int, message: str, fields: Mapping[str, object]) -> None:
        super().__init__(name, level, "", 0, message, (), None)
        self.fields = fields

    def getMessage(self) -> str:  # noqa: N802 - the name of the base class
        """Give message and fields."""
        return " ".join([str(self.msg), *_pairs(self.fields)])


def get_logger(name: str) -> Logger:
    """Give the logger of a module: `log = get_logger(__name__)`."""
    return Logger(name)


@contextmanager
def logging_to(stream: TextIO, verbosity: int = 0) -> Iterator[None]:
    """Write logs to a stream until the end of the block, then flush them and put back what was before."""
    root, ours = logging.getLogger(), logging.getLogger(ROOT)
    before = root.handlers[:], root.level, ours.level
    handler = _QueueHandler(stream)
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    ours.setLevel(max(logging.DEBUG, logging.INFO - verbosity))
    try:
        yield
    finally:
        root.handlers[:], root.level, ours.level = before
        handler.close()


class Formatter(logging.Formatter):
    """A record as its line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level, module, message and fields."""
        time = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        name = record.name.removeprefix(f"{ROOT}.")
        parts = [time, _level_name(record.levelno), name]
        if isinstance(record, Record):
            parts += [_quoted(record.msg), *_pairs(record.fields)]
        else:
            parts.append(_quoted(record.getMessage()))
        if record.exc_info:
            parts.append(f"traceback={_quoted(self.formatException(record.exc_info))}")
        return " ".join(parts)


class _QueueHandler(logging.Handler):
    """Hands records to the thread that writes them, and drops them when it cannot follow."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._queue: SimpleQueue[logging.LogRecord | None] = SimpleQueue()
        self._dropped = 0
        self._repeats = _Repeats()
        self._formatter = Formatter()
        self._thread = threading.Thread(target=self._write_all, name="logs", daemon=True)
        self._thread.start()

    def handle(self, record: logging.LogRecord) -> bool:
        """Queue a record. Unlike the base class it takes no lock: the queue needs none."""
        if record.levelno >= logging.WARNING and self._repeats.hold_back(record):
            return True
        if self._queue.qsize() < BACKLOG:
            self._queue.put(record)
        else:
            self._dropped += 1
        return True

    def close(self) -> None:
        """Write what is queued, as far as the reader takes it within `FLUSH_SECONDS`."""
        self._queue.put(None)
        self._thread.join(FLUSH_SECONDS)
        super().close()

    def _write_all(self) -> None:
        while (record := self._queue.get()) is not None:
            self._write(record)
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                self._write(Record(__name__, logging.WARNING, "Dropped log records", {"count": dropped}))

    def _write(self, record: logging.LogRecord) -> None:
        try:
            self._stream.write(f"{self._formatter.format(record)}\n")
            if self._queue.empty():
                self._stream.flush()
        except Exception:  # noqa: BLE001 - a log that cannot be written has nowhere to say so
            self._dropped += 1


class _Repeats:
    """Which warnings are about what was told a short while ago."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str, str], tuple[float, int]] = {}
        """When a warning was written, and how many there have been since."""

    def hold_back(self, record: logging.LogRecord) -> bool:
        """Whether a record is one of them; the next one that is not gets their number."""
        about = _about(record)
        if not about:
            return False
        key = (record.name, record.msg, about)
        at, count = self._told.get(key, (-REPEAT_SECONDS, 0))
        if record.created - at < REPEAT_SECONDS:
            self._told[key] = (at, count + 1)
            return True
        self._told.pop(key, None)
        self._told[key] = (record.created, 0)
        if len(self._told) > REPEATS:
            del self._told[next(iter(self._told))]
        if count and isinstance(record, Record):
            record.fields = {**record.fields, "repeated": count}
        elif count:
            record.msg = f"{record.msg} (repeated {count} times)"
        return False


def _about(record: logging.LogRecord) -> str:
    """The key of the exception that a record shows; empty where it has none."""
    args = record.args if isinstance(record.args, tuple) else ()
    values = record.fields.values() if isinstance(record, Record) else args
    return next((key for value in values if (key := getattr(value, "log_key", ""))), "")


def _level_name(level: int) -> str:
    """Name a level; those of `Logger.v` are V1 to V10."""
    return f"V{logging.INFO - level}" if level < logging.INFO else logging.getLevelName(level)


def _pairs(fields: Mapping[str, object]) -> list[str]:
    return [f"{key}={_value(value)}" for key, value in fields.items()]


def _value(value: object) -> str:
    """Write a field's value, in quotes if it could be mistaken for something else."""
    text = str(value)
    plain = text and text.isprintable() and not any(mark in text for mark in ' "=\\')
    return text if plain else _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())
