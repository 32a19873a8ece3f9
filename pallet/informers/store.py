"""Objects by key, with indexes. Pure and synchronous; it belongs to one event loop."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from pallet.api.meta import Object, key_of

T = TypeVar("T", bound=Object)

IndexFunction = Callable[[T], Iterable[str]]
"""Gives the values under which an object is found; none leaves it out of the index."""


class Store(Generic[T]):
    """The objects of one collection by `namespace/name`, and by the values of named index functions."""

    def __init__(self) -> None:
        self._objects: dict[str, T] = {}
        self._functions: dict[str, IndexFunction[T]] = {}
        self._indexes: dict[str, dict[str, dict[str, T]]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: str) -> bool:
        return key in self._objects

    def get(self, key: str) -> T | None:
        """Give the object of a key, or None."""
        return self._objects.get(key)

    def list(self) -> list[T]:
        """Give all objects, the longest known first."""
        return list(self._objects.values())

    def keys(self) -> Iterable[str]:
        """Give all keys; a view that follows the store."""
        return self._objects.keys()

    def by_index(self, index: str, value: str) -> Iterable[T]:
        """Give the objects with this value in a named index; KeyError for an index that was never added."""
        return tuple(self._indexes[index].get(value, {}).values())

    def add_index(self, index: str, function: IndexFunction[T]) -> None:
        """Add a named index, also over the objects that are there; ValueError for a name taken before."""
        if index in self._functions:
            raise ValueError(f"index {index!r} exists; choose another name")
        self._functions[index] = function
        self._indexes[index] = {}
        for key, obj in self._objects.items():
            self._enter(index, key, obj)

    def put(self, obj: T) -> T | None:
        """Add or replace an object; give the one that it replaced."""
        key = key_of(obj)
        old = self._objects.get(key)
        for index in self._functions:
            if old is not None:
                self._leave(index, key, old)
            self._enter(index, key, obj)
        self._objects[key] = obj
        return old

    def remove(self, key: str) -> T | None:
        """Remove an object and give it; None where there was none."""
        old = self._objects.pop(key, None)
        if old is not None:
            for index in self._functions:
                self._leave(index, key, old)
        return old

    def _enter(self, index: str, key: str, obj: T) -> None:
        for value in self._functions[index](obj):
            self._indexes[index].setdefault(value, {})[key] = obj

    def _leave(self, index: str, key: str, obj: T) -> None:
        values = self._indexes[index]
        for value in self._functions[index](obj):
            found = values.get(value, {})
            found.pop(key, None)
            if not found:
                values.pop(value, None)
