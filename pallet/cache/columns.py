"""The parts of the node table that hold names: labels, taints, images and host ports, as columns.

A column has one entry a row, over the table's whole capacity. Names are small integers: a selector is then a
comparison of integers over all nodes at once.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pallet.api.labels import NO_LABELS
from pallet.api.node import Taint
from pallet.api.selectors import label_integer

Codes = npt.NDArray[np.intp]
"""As wide as an index, since that is what numpy counts and looks up by."""
Mask = npt.NDArray[np.bool_]
Scalar = TypeVar("Scalar", bound=np.generic)

ABSENT = 0

_VERSIONS = count()


class LabelColumn:
    """The values of one label key: a code for each row, 0 where the node lacks the label.

    nodes: how many rows have each code; version: another one whenever any row's code has changed, and of
    every column
    """

    __slots__ = ("_integers", "code_of", "codes", "nodes", "values", "version")

    def __init__(self, capacity: int) -> None:
        self.codes: Codes = np.zeros(capacity, np.intp)
        self.values: list[str] = [""]
        self.code_of: dict[str, int] = {}
        self.nodes: list[int] = [capacity]
        self.version = next(_VERSIONS)
        self._integers: tuple[list[str], list[int], Codes] | None = None

    @classmethod
    def of(cls, values: Sequence[str | None]) -> "LabelColumn":
        """The column with these values, None where a row has none."""
        column = cls(len(values))
        column.values += dict.fromkeys(value for value in values if value is not None)
        column.code_of = {value: code for code, value in enumerate(column.values) if code != ABSENT}
        column.codes = np.array(
            [ABSENT if value is None else column.code_of[value] for value in values], np.intp
        )
        column.nodes = np.bincount(column.codes, minlength=len(column.values)).tolist()
        return column

    def integers(self) -> tuple[list[int], Codes]:
        """The values as Gt and Lt read them: the distinct integers in order, and the place of each code's.

        Places are counted from 1: intp, (codes,), 0 where the value is no integer.
        """
        known = self._integers
        if known is None or known[0] is not self.values or known[2].size != len(self.values):
            read = [None, *map(label_integer, self.values[1:])]  # the first stands for no label
            integers = sorted({each for each in read if each is not None})
            rank_of = {each: rank for rank, each in enumerate(integers, start=1)}
            ranks = np.array([0 if each is None else rank_of[each] for each in read], np.intp)
            known = self._integers = self.values, integers, ranks
        return known[1], known[2]

    def put(self, row: int, value: str | None) -> None:
        """Set or, with None, clear the label of a row."""
        code = ABSENT if value is None else self._code(value)
        before = self.codes.item(row)
        if code != before:
            self.codes[row] = code
            self.nodes[before] -= 1
            self.nodes[code] += 1
            self.version = next(_VERSIONS)

    def members(self, row: int) -> list[int]:
        """All rows with the same value as this one."""
        code = self.codes.item(row)
        rows: list[int] = [row] if self.nodes[code] == 1 else (self.codes == code).nonzero()[0].tolist()
        return rows

    def resize(self, capacity: int) -> None:
        """Have room for so many rows; those that are cut off have no label."""
        self.nodes[ABSENT] += capacity - len(self.codes)
        self.codes = resized(self.codes, capacity)

    def _code(self, value: str) -> int:
        code = self.code_of.get(value)
        if code is None:
            if len(self.values) > 2 * len(self.codes) + 64:
                self._compact()
            code = self.code_of[value] = len(self.values)
            self.values.append(value)
            self.nodes.append(0)
        return code

    def _compact(self) -> None:
        """Renumber the codes: values that no node has any more would pile up for ever."""
        used = [code for code, rows in enumerate(self.nodes) if rows or code == ABSENT]
        self.codes = np.searchsorted(used, self.codes)
        self.values = [self.values[code] for code in used]
        self.code_of = {value: code for code, value in enumerate(self.values) if code != ABSENT}
        self.nodes = [self.nodes[code] for code in used]
        self.version = next(_VERSIONS)

    def copy(self) -> "LabelColumn":
        """A column that can be changed without changing this one."""
        twin = LabelColumn(0)
        twin.codes = self.codes.copy()
        twin.values = list(self.values)
        twin.code_of = dict(self.code_of)
        twin.nodes = list(self.nodes)
        return twin


class LabelColumns:
    """The labels of all nodes, a column for each key that was asked about and that any node has."""

    __slots__ = ("_by_row", "_columns", "_nodes", "_none")

    def __init__(self, capacity: int) -> None:
        self._by_row: list[Mapping[str, str]] = [NO_LABELS] * capacity
        self._columns: dict[str, LabelColumn] = {}
        self._nodes: dict[str, int] = {}
        """How many nodes have each key."""
        self._none = LabelColumn(capacity)

    def __getitem__(self, key: str) -> LabelColumn:
        """The column of a key; an empty one for a key that no node has."""
        column = self._columns.get(key)
        if column is None:
            column = self._made(key) if key in self._nodes else self._none
        return column

    def __contains__(self, key: str) -> bool:
        """Whether any node has a label with this key."""
        return key in self._nodes

    def among(self, keys: Collection[str]) -> list[str]:
        """Those of some keys, a set or a mapping, that any node has."""
        fewer, more = (keys, self._nodes) if len(keys) < len(self._nodes) else (self._nodes, keys)
        return [key for key in fewer if key in more]

    def put(self, row: int, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        """Replace the labels of a row."""
        self._by_row[row] = new
        for key in new:
            self._nodes[key] = self._nodes.get(key, 0) + 1
            if key in self._columns:
                self._columns[key].put(row, new[key])
        for key in old:
            self._nodes[key] -= 1
            if key not in new and key in self._columns:
                self._columns[key].put(row, None)
            if not self._nodes[key]:
                del self._nodes[key]
                self._forget(key)

    def resize(self, capacity: int) -> None:
        """Have room for so many rows."""
        before = len(self._by_row)
        self._by_row = [*self._by_row[:capacity], *([NO_LABELS] * (capacity - before))]
        for column in (self._none, *self._columns.values()):
            column.resize(capacity)

    def copy(self) -> "LabelColumns":
        """Columns that can be changed without changing these."""
        twin = LabelColumns(len(self._none.codes))
        twin._by_row, twin._nodes = list(self._by_row), dict(self._nodes)
        twin._columns = {key: column.copy() for key, column in self._columns.items()}
        return twin

    def _made(self, key: str) -> LabelColumn:
        column = self._columns[key] = LabelColumn.of([labels.get(key) for labels in self._by_row])
        return column

    def _forget(self, key: str) -> None:
        column = self._columns.pop(key, None)
        if column is not None:
            column.version = next(_VERSIONS)  # what was derived from it is not of the key's next column


class TaintColumns:
    """Which node has which taint: a mask over all rows for each taint that any node has."""

    __slots__ = ("_capacity", "_nodes", "present")

    def __init__(self, capacity: int) -> None:
        self.present: dict[Taint, Mask] = {}
        self._nodes: dict[Taint, int] = {}
        self._capacity = capacity

    def put(self, row: int, old: Iterable[Taint], new: Iterable[Taint]) -> None:
        """Replace the taints of a row."""
        before, now = set(old), set(new)
        for taint in before - now:
            self.present[taint][row] = False
            self._nodes[taint] -= 1
            if not self._nodes[taint]:
                del self.present[taint], self._nodes[taint]
        for taint in now - before:
            if taint not in self.present:
                self.present[taint], self._nodes[taint] = np.zeros(self._capacity, np.bool_), 0
            self.present[taint][row] = True
            self._nodes[taint] += 1

    def resize(self, capacity: int) -> None:
        """Have room for so many rows."""
        self._capacity = capacity
        self.present = {taint: resized(mask, capacity) for taint, mask in self.present.items()}

    def copy(self) -> "TaintColumns":
        """Columns that can be changed without changing these."""
        twin = TaintColumns(self._capacity)
        twin.present = {taint: mask.copy() for taint, mask in self.present.items()}
        twin._nodes = dict(self._nodes)
        return twin


def resized(column: npt.NDArray[Scalar], capacity: int) -> npt.NDArray[Scalar]:
    """A column cut to a capacity, or with zeros up to it."""
    other = np.zeros(capacity, column.dtype)
    kept = min(capacity, len(column))
    other[:kept] = column[:kept]
    return other
