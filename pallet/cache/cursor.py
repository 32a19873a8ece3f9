"""How far a reader has read change logs: what every catch-up is done with."""

from collections.abc import Sequence
from typing import Any, TypeVar

from pallet.cache.changes import ChangeLog

T = TypeVar("T")

_NOTHING: Sequence[Any] = ()


class Cursor:
    """One reader's place in one or more change logs.

    It is asked about the same logs in the same order each time. Where another log has taken the place of one,
    as on a fork of which the nodes changed, everything of it may have changed. A reader that fails after it
    has read must go on with a new cursor, which has read nothing.
    """

    __slots__ = ("_stamps",)

    def __init__(self, *logs: ChangeLog[Any]) -> None:
        """Begin with having read all that these logs have by now; without them nothing is read yet."""
        self._stamps = [log.stamp for log in logs]

    def is_behind(self, *logs: ChangeLog[Any]) -> bool:
        """Whether there is anything that was not read yet."""
        return self._stamps != [log.stamp for log in logs]

    def read(self, log: ChangeLog[T]) -> Sequence[T] | None:
        """What changed since the last call, once each; None when everything may have."""
        stamps, stamp = self._stamps, log.stamp
        if not stamps:
            self._stamps = [stamp]
            return None
        before = stamps[0]
        if stamp == before:  # most of the time: this is asked for each pod
            return _NOTHING
        stamps[0] = stamp
        entries = log.entries_since(before)
        return entries if entries is None or len(entries) < 2 else list(dict.fromkeys(entries))

    def read_all(self, *logs: ChangeLog[T]) -> Sequence[T] | None:
        """The same of several logs together."""
        stamps = self._stamps
        if not stamps:
            self._stamps = [log.stamp for log in logs]
            return None
        found: Sequence[T] | None = _NOTHING
        for number, log in enumerate(logs):
            stamp = log.stamp
            if stamp != stamps[number]:
                entries = log.entries_since(stamps[number])
                stamps[number] = stamp
                if entries is None or found is None:
                    found = None
                elif found or len(entries) > 1:
                    found = list(dict.fromkeys((*found, *entries)))
                else:
                    found = entries
        return found

    def read_each(self, *logs: ChangeLog[T]) -> list[Sequence[T] | None]:
        """The same of several logs, each by itself, with all that changed as often as it did."""
        stamps = self._stamps or [-1] * len(logs)
        self._stamps = [log.stamp for log in logs]
        pairs = zip(logs, stamps, strict=True)
        return [_NOTHING if log.stamp == stamp else log.entries_since(stamp) for log, stamp in pairs]
