"""Values that many objects have in common, kept once, for as long as any object holds them."""

from collections.abc import Callable
from sys import getrefcount
from typing import Any, Final, TypeVar, cast

import msgspec

from pallet.bounded_cache import ENTRY_BYTES, MIB, register

K = TypeVar("K")
V = TypeVar("V")

FIRST_SWEEP_BYTES: Final = 4 * MIB

BYTES_PER_LETTER: Final = 5
"""Bytes that an object takes in memory for each letter of its JSON with all defaults: 2.7 to 5.8."""


class SharedValues(dict[K, V]):
    """The value for each key, made when it is first asked for.

    Tuples cannot be referred to weakly, so values that are not referred to any more are swept out: when
    those made since the last sweep have grown to half of what was left then, and whenever the table ages.
    """

    def __init__(self, name: str, make: Callable[[K], V]) -> None:
        super().__init__()
        self.name = name
        self._make = make
        self._sizes: dict[int, int] = {}
        self._swept = 0
        self.bytes = 0
        register(self)

    __hash__ = object.__hash__  # type: ignore[assignment]  # by identity, to be registered

    @property
    def limit(self) -> int:
        """The bytes with which the next sweep begins."""
        return self._swept + max(self._swept // 2, FIRST_SWEEP_BYTES)

    def __missing__(self, key: K) -> V:
        size = ENTRY_BYTES + BYTES_PER_LETTER * len(msgspec.json.encode(key))
        if self.bytes + size > self.limit:
            self.sweep()
        value = self[key] = self._make(key)
        self._sizes[id(key)] = size
        self.bytes += size
        return value

    def age(self) -> None:
        """Sweep."""
        self.sweep()

    def sweep(self) -> None:
        """Take out the values that are referred to from here only."""
        probe: Any = object()
        self[probe] = probe if self._make is same else cast("V", object())
        del probe  # so that it is referred to as an unused value is
        keys = list(self)
        counts = [getrefcount(self[key]) for key in keys]
        for key, count in zip(keys, counts, strict=True):
            if count == counts[-1]:
                del self[key]
                self.bytes -= self._sizes.pop(id(key), 0)
        self._swept = self.bytes


def same(value: V) -> V:
    """Make of a value the value itself: the first of equal ones is kept."""
    return value
