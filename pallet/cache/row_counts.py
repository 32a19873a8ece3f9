"""How often something is found on each node: the index behind volumes, host ports and what a fork changed."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")

ByRow = Mapping[int, int]
"""By row; a row that is not named has none."""

_NOWHERE: ByRow = {}


class RowCounts(Generic[K]):
    """A count for each key and row. With a parent, what is counted here is added to what is counted there."""

    __slots__ = ("_counts", "_parent")

    def __init__(self, parent: "RowCounts[K] | None" = None) -> None:
        self._counts: dict[K, dict[int, int]] = {}
        self._parent = parent

    def __contains__(self, key: K) -> bool:
        """Whether the key is found on any row."""
        return bool(self.get(key))

    def __iter__(self) -> Iterator[K]:
        """The keys that are found on any row."""
        if self._parent is None:
            return iter(self._counts)
        return (key for key in dict.fromkeys((*self._parent, *self._counts)) if key in self)

    def get(self, key: K) -> ByRow:
        """The rows of a key; not to be changed by the caller, and to be read until something changes."""
        own = self._counts.get(key, _NOWHERE)
        if self._parent is None:
            return own
        return merged(self._parent.get(key), own)

    def rows(self) -> set[int]:
        """The rows on which any key is found."""
        return {row for key in self for row in self.get(key)}

    def bump(self, key: K, row: int, by: int) -> None:
        """Add to the count of a key on a row."""
        rows = self._counts.get(key)
        if rows is None:
            rows = self._counts[key] = {}
        _add(rows, row, by)
        if not rows:
            del self._counts[key]


def merged(counts: ByRow, others: ByRow) -> ByRow:
    """The sum of two counts by row; not to be changed by the caller."""
    if not others:
        return counts
    rows = dict(counts)
    for row, count in others.items():
        _add(rows, row, count)
    return rows


def added(counts: Iterable[tuple[K, ByRow]], difference: RowCounts[K]) -> Iterator[tuple[K, ByRow]]:
    """Counts with a difference, by key and row; nothing of keys that are found nowhere then."""
    seen = set()
    for key, rows in counts:
        seen.add(key)
        found = merged(rows, difference.get(key))
        if found:
            yield key, found
    for key in difference:
        if key not in seen:
            yield key, difference.get(key)


def _add(rows: dict[int, int], row: int, by: int) -> None:
    count = rows.get(row, 0) + by
    if count:
        rows[row] = count
    else:
        rows.pop(row, None)
