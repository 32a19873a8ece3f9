"""Caches that are bounded in bytes, whose sizes are shown as metrics, and that give back what is not used.

A cache has two generations, each of at most half its limit. What is put in, or asked for, is in the recent
one. When that is full, or when the cache ages, it becomes the older one, and what was in the older one and
was not asked for since is gone. So a hit costs a look into a dictionary, and no order is kept.

For one thread, the event loop's.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from itertools import chain
from sys import getsizeof
from typing import Any, Final, Generic, ParamSpec, Protocol, TypeVar, cast
from weakref import WeakSet, ref

from msgspec import Struct
from msgspec.structs import astuple

K = TypeVar("K")
V = TypeVar("V")
P = ParamSpec("P")
R = TypeVar("R")

MIB: Final = 1024 * 1024

ENTRY_BYTES: Final = 300
"""What the tables of a cache take for each entry, at most."""

LARGEST_PART: Final = 8
"""An entry of more than this part of the limit is not kept: it would cost too many others their place."""

_MISSING: Final[Any] = object()


class Registered(Protocol):
    """What has its size shown, and ages. Those with the same name are shown as one."""

    name: str

    @property
    def bytes(self) -> int:
        """What it holds."""
        ...

    @property
    def limit(self) -> int:
        """What it may hold."""
        ...

    def age(self) -> None:
        """Give back what was not used since it last aged."""
        ...


_registered: WeakSet[Registered] = WeakSet()


def register(cache: Registered) -> None:
    """Have a cache shown and aged for as long as it lives."""
    _registered.add(cache)


def cache_sizes() -> dict[str, tuple[int, int]]:
    """The bytes that the caches of each name hold, and those that they may hold."""
    sizes: dict[str, tuple[int, int]] = {}
    for cache in registered():
        held, limit = sizes.get(cache.name, (0, 0))
        sizes[cache.name] = held + cache.bytes, limit + cache.limit
    return sizes


def registered() -> list[Registered]:
    """All caches that live."""
    return list(_registered)


class Ageing:
    """Has all caches age, one with each step, so that no step takes long."""

    def __init__(self) -> None:
        self._due: deque[ref[Registered]] = deque()

    def step(self) -> None:
        """Have the next cache age."""
        if not self._due:
            self._due.extend(map(ref, registered()))
        if self._due and (cache := self._due.popleft()()) is not None:
            cache.age()


class _Generation(Generic[K, V]):
    """Some entries, with their bytes."""

    __slots__ = ("bytes", "sizes", "values")

    def __init__(self, values: dict[K, V]) -> None:
        self.values = values
        self.sizes: dict[K, int] = {}
        self.bytes = 0

    def put(self, key: K, value: V, size: int) -> None:
        self.values[key] = value
        self.sizes[key] = size
        self.bytes += size

    def pop(self, key: K) -> None:
        """Take out a key, if it is there."""
        size = self.sizes.pop(key, 0)
        if size:
            del self.values[key]
            self.bytes -= size

    def empty(self) -> "_Generation[K, V]":
        """Take out everything, and give it as a generation of its own."""
        twin = _Generation(self.values.copy())
        twin.sizes, twin.bytes = self.sizes, self.bytes
        self.values.clear()
        self.sizes, self.bytes = {}, 0
        return twin


class BoundedCache(Generic[K, V]):
    """A mapping that keeps at most `limit` bytes of what was used last. No value is None.

    `size` gives the bytes of a key and its value. It is asked when they are put in, and again about once a
    minute; it should not refer to whoever has the cache, so that both are freed at once.
    """

    def __init__(self, name: str, limit: int, size: Callable[[K, V], int] | None = None) -> None:
        self.name = name
        self.limit = limit
        self._size = size
        self._recent: _Generation[K, V] = _Generation(self._first())
        self._older: _Generation[K, V] = _Generation({})
        register(self)

    @property
    def bytes(self) -> int:
        """What it holds."""
        return self._recent.bytes + self._older.bytes

    def __len__(self) -> int:
        return len(self._recent.values) + len(self._older.values)

    def __contains__(self, key: K) -> bool:
        return key in self._recent.values or key in self._older.values

    def get(self, key: K) -> V | None:
        """The value of a key, which counts as used, or None."""
        value = self._recent.values.get(key)
        return self._recall(key, None) if value is None else value

    def __setitem__(self, key: K, value: V) -> None:
        self._recent.pop(key)
        self._older.pop(key)
        self._put(key, value, self._size_of(key, value))

    def pop(self, key: K) -> V | None:
        """Take out a key; its value, or None."""
        value = self.get(key)
        self._recent.pop(key)
        return value

    def clear(self) -> None:
        """Take out everything."""
        self._recent.empty()
        self._older = _Generation({})

    def age(self) -> None:
        """Give back what was not used since it last aged, by time or for want of room."""
        gone = self._older.values
        self._older = self._recent.empty()
        if gone:
            self._let_go(gone)

    def items(self) -> Iterator[tuple[K, V]]:
        """All keys with their values, which do not count as used for that."""
        return chain(self._recent.values.items(), self._older.values.items())

    def values(self) -> Iterator[V]:
        """All values."""
        return chain(self._recent.values.values(), self._older.values.values())

    def _first(self) -> dict[K, V]:
        return {}

    def _let_go(self, gone: Mapping[K, V]) -> None:
        """Do what is to be done about entries that are not kept, or no more."""

    def _recall(self, key: K, default: Any) -> Any:
        """The value of a key that is not in the recent generation; from the older one it comes back."""
        value = self._older.values.get(key, default)
        if value is not default:
            self._older.pop(key)
            self._put(key, value, self._size_of(key, value))  # it may have grown meanwhile
        return value

    def _put(self, key: K, value: V, size: int) -> None:
        if size > self.limit // LARGEST_PART:
            self._let_go({key: value})
            return
        if self._recent.bytes + size > self.limit // 2:
            self.age()
        self._recent.put(key, value, size)

    def _size_of(self, key: K, value: V) -> int:
        if self._size is None:
            return ENTRY_BYTES + footprint((key, value), self.limit // LARGEST_PART)
        return ENTRY_BYTES + self._size(key, value)


class _Answers(dict[K, V]):
    """The recent answers of a function: what is missing is asked for."""

    __slots__ = ("ask",)
    ask: Callable[[K], V]

    def __missing__(self, key: K) -> V:
        return self.ask(key)


class _FunctionCache(BoundedCache[K, V]):
    """What a function answered. `answers[key]` gives, or asks for, an answer, which may be None."""

    def __init__(self, name: str, limit: int, function: Callable[[K], V]) -> None:
        self.answers: _Answers[K, V] = _Answers()
        self.answers.ask = self._ask
        self._function = function
        super().__init__(name, limit)

    def _first(self) -> dict[K, V]:
        return self.answers

    def _ask(self, key: K) -> V:
        found: V = self._recall(key, _MISSING)
        if found is _MISSING:
            found = self[key] = self._function(key)
        return found


def bounded_cache(name: str, limit: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Keep the answers of a pure function of positional arguments, at most `limit` bytes of them."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        several: Callable[..., R] = function
        if function.__code__.co_argcount == 1:  # found without any call in Python
            return cast("Callable[P, R]", _FunctionCache[Any, R](name, limit, several).answers.__getitem__)
        of_all = _FunctionCache[Any, R](name, limit, lambda arguments: several(*arguments)).answers

        @wraps(function)
        def cached(*arguments: Any) -> R:
            return of_all[arguments]

        return cast("Callable[P, R]", cached)

    return decorate


class Measured(Struct, frozen=True):
    """A struct that may be large, whose `__sizeof__` tells the bytes of all that it is made of."""


def footprint(value: object, most: int) -> int:
    """The bytes of structs, collections, strings, numbers and arrays, with all that they are made of.

    What several of them share is counted for each. Of more than `most` bytes not all are counted.
    """
    layer, total = [value], getsizeof(value)
    while layer and total <= most:
        layer = [part for each in layer for part in _parts(each)]
        total += sum(map(getsizeof, layer))
    return total


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, Struct):
        return () if isinstance(value, Measured) else astuple(value)
    if isinstance(value, dict):
        return chain(value, value.values())
    if isinstance(value, (tuple, list, frozenset, set)):
        return value
    return ()
