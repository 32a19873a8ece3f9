"""A heap whose items can be found and taken out by name."""

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Heap(Generic[T]):
    """Items by name, the one with the smallest key first; equal keys in the order of entry."""

    def __init__(self) -> None:
        self._entries: list[tuple[Any, int, str]] = []
        self._items: dict[str, tuple[int, T]] = {}
        self._order = count()

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[T]:
        return (item for _, item in self._items.values())

    def get(self, name: str) -> T | None:
        """The item of a name."""
        found = self._items.get(name)
        return found[1] if found else None

    def push(self, name: str, key: Any, item: T) -> None:
        """Add an item, or replace the one of its name."""
        order = next(self._order)
        self._items[name] = (order, item)
        heapq.heappush(self._entries, (key, order, name))
        if len(self._entries) > 2 * len(self._items) + 64:
            self._entries = [entry for entry in self._entries if self._is_current(entry)]
            heapq.heapify(self._entries)

    def remove(self, name: str) -> T | None:
        """Take an item out by its name; its entry is skipped when it comes up."""
        found = self._items.pop(name, None)
        return found[1] if found else None

    def first_key(self) -> Any:
        """The smallest key, None when there is nothing."""
        self._drop_stale()
        return self._entries[0][0] if self._entries else None

    def pop(self) -> T | None:
        """Take out the first item, None when there is nothing."""
        self._drop_stale()
        if not self._entries:
            return None
        name = heapq.heappop(self._entries)[2]
        return self._items.pop(name)[1]

    def _drop_stale(self) -> None:
        while self._entries and not self._is_current(self._entries[0]):
            heapq.heappop(self._entries)

    def _is_current(self, entry: tuple[Any, int, str]) -> bool:
        """Whether an entry still stands for its item: it was neither removed nor replaced."""
        held = self._items.get(entry[2])
        return held is not None and held[0] == entry[1]
