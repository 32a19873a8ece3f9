"""Where a mistake stands in the configuration file, and the error that lists all of them."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A place in a configuration file, such as `profiles[0].plugins` of `scheduler-config.yaml`.

    Settings that came from elsewhere (defaults, code) have the empty path.
    """

    source: str = ""
    """The file, as the user named it."""
    steps: str = ""
    """The fields and indexes from the root; empty at the root."""

    def field(self, name: str) -> "FieldPath":
        """Return the path of a field below this one."""
        return FieldPath(self.source, f"{self.steps}.{name}" if self.steps else name)

    def item(self, index: int) -> "FieldPath":
        """Return the path of a list's item, counted from 0."""
        return FieldPath(self.source, f"{self.steps}[{index}]")

    def mistake(self, message: str) -> "Mistake":
        """Say what is wrong here; the message holds the remedy where there is one."""
        return Mistake(self, message)

    def __str__(self) -> str:
        return ": ".join(part for part in (self.source, self.steps) if part)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in a configuration file."""

    path: FieldPath
    message: str

    def __str__(self) -> str:
        """One line, whatever the file's keys and values hold."""
        where = str(self.path)
        line = f"{where}: {self.message}" if where else self.message
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


class ConfigError(Exception):
    """The configuration cannot be used. Its text has one line for each mistake, with file and path."""

    def __init__(self, *mistakes: Mistake) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(map(str, mistakes)))


def refuse(mistakes: Iterable[Mistake]) -> None:
    """Raise `ConfigError` with these mistakes; return if there are none."""
    found = tuple(mistakes)
    if found:
        raise ConfigError(*found)


def fail(path: FieldPath, message: str) -> NoReturn:
    """Raise `ConfigError` with a single mistake."""
    raise ConfigError(path.mistake(message))


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that was probably meant; empty when none is near."""
    by_lower_case = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower_case, n=1)
    return by_lower_case[near[0]] if near else ""


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `, did you mean "…"?` with the nearest known word; empty when none is near."""
    near = nearest(word, known)
    return f', did you mean "{near}"?' if near else ""
