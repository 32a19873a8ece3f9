"""Node selectors over all nodes at once, on the label columns of the node table.

A pod may have tens of thousands of requirements. So the rows that meet one are an integer, a bit for each:
two of these are combined at a hundredth of the price of two arrays. The first row has the lowest bit.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import or_

import numpy as np

from pallet.api.labels import Labels
from pallet.api.pod import PreferredSchedulingTerm
from pallet.api.selectors import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, label_integer
from pallet.cache.columns import ABSENT, Codes, LabelColumn, Mask
from pallet.cache.node_table import NodeTable
from pallet.framework.interface import RowChoice, Scores

_NAME_FIELD = "metadata.name"

_FEW = 32
"""Of so many values of a label the rows are looked up one by one; of more, those of all at once."""

Bits = int
"""A set of rows."""


def match_required(
    selector: Labels, required: NodeSelector | None, table: NodeTable, rows: RowChoice
) -> Mask:
    """Which of the rows a pod's node selector and required node affinity (None for any node) admit."""
    chosen = _ChosenRows(table, rows)
    selected = chosen.with_labels(selector)
    if required is not None and selected:
        selected &= chosen.meeting_any(required.node_selector_terms)
    return unpacked(selected, chosen.count)


def match_any(terms: Sequence[NodeSelectorTerm], table: NodeTable, rows: RowChoice) -> Mask:
    """Which of the rows at least one term selects: bool, (rows,). No terms select nothing."""
    chosen = _ChosenRows(table, rows)
    return unpacked(chosen.meeting_any(terms), chosen.count)


def match_label(requirement: NodeSelectorRequirement, column: LabelColumn, rows: RowChoice) -> Mask:
    """Which of the rows meet a requirement on one label."""
    values = _LabelRows(column, rows)
    return unpacked(values.meeting(requirement), values.count)


def add_weights(preferred: Iterable[PreferredSchedulingTerm], table: NodeTable, rows: RowChoice) -> Scores:
    """The sum of the weights of the terms that select each of the rows: int64, (rows,)."""
    chosen = _ChosenRows(table, rows)
    terms = defaultdict[int, _Counts](_Counts)
    for each in preferred:
        selected = chosen.meeting(each.preference)
        if selected and each.preference.valid:
            terms[each.weight].add(selected)
    scores: Scores = np.zeros(chosen.count, np.int64)
    for weight, counts in terms.items():
        for power, bits in enumerate(counts.planes):
            scores += unpacked(bits, chosen.count) * (weight << power)
    return scores


def packed(mask: Mask) -> Bits:
    """The rows where a mask is true."""
    return int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")


def unpacked(bits: Bits, count: int) -> Mask:
    """A mask of so many rows that is true for these: bool, (count,)."""
    octets = np.frombuffer(bits.to_bytes((count + 7) // 8, "little"), np.uint8)
    return np.unpackbits(octets, count=count, bitorder="little").view(np.bool_)


class _Counts:
    """How many sets each row is in, in binary: `planes` are the rows with a one, from the lowest digit on."""

    __slots__ = ("planes",)

    def __init__(self) -> None:
        self.planes: list[Bits] = []

    def add(self, bits: Bits) -> None:
        """Count a set."""
        for power, plane in enumerate(self.planes):
            self.planes[power] = plane ^ bits
            bits &= plane  # carried
            if not bits:
                return
        self.planes.append(bits)


class _ChosenRows:
    """Which of some rows meet requirements; what was found out about a label serves the next ones on it."""

    __slots__ = ("_all", "_labels", "_position_of", "_rows", "_table", "count")

    def __init__(self, table: NodeTable, rows: RowChoice) -> None:
        self.count: int = table.live[rows].size
        self._table = table
        self._rows = rows
        self._all: Bits = (1 << self.count) - 1
        self._labels: dict[str, _LabelRows] = {}
        self._position_of: dict[int, int] | None = None

    def with_labels(self, selector: Labels) -> Bits:
        """The rows that have all of some labels."""
        selected = self._all
        for key, value in selector.items():
            selected &= self._label(key).having(value) if key in self._table.labels else 0
            if not selected:
                break
        return selected

    def meeting_any(self, terms: Sequence[NodeSelectorTerm]) -> Bits:
        """The rows that at least one term selects."""
        selected = 0
        for term in terms:
            more = selected | self.meeting(term)
            if more != selected and term.valid:
                selected = more
                if selected == self._all:
                    break
        return selected

    def meeting(self, term: NodeSelectorTerm) -> Bits:
        """The rows that a term selects if it is valid: that is worth asking only where it selects any."""
        selected, columns = self._all, self._table.labels
        for requirement in term.match_expressions:
            if requirement.key in columns:
                selected &= self._label(requirement.key).meeting(requirement)
            elif requirement.operator not in ("NotIn", "DoesNotExist"):
                return 0  # no node has the label
            if not selected:
                return 0
        for requirement in term.match_fields:
            selected &= self._named(requirement)
        return selected

    def _label(self, key: str) -> "_LabelRows":
        found = self._labels.get(key)
        if found is None:
            found = self._labels[key] = _LabelRows(self._table.labels[key], self._rows)
        return found

    def _named(self, requirement: NodeSelectorRequirement) -> Bits:
        """A requirement on the field metadata.name; no node has another one."""
        if requirement.key != _NAME_FIELD:
            selected = self._all if "" in requirement.values else 0
        else:
            found = map(self._position, requirement.values)
            selected = sum({1 << position for position in found if position is not None})
        return selected if requirement.operator == "In" else self._all ^ selected

    def _position(self, name: str) -> int | None:
        """Where among the rows a node is."""
        if self._position_of is None:
            rows: list[int] = np.arange(self._table.capacity)[self._rows].tolist()
            self._position_of = {row: position for position, row in enumerate(rows)}
        return self._position_of.get(self._table.row_of.get(name, -1))


class _LabelRows:
    """Which of some rows have which values of one label."""

    __slots__ = ("_all", "_codes", "_column", "_greater", "_with_code", "count")

    def __init__(self, column: LabelColumn, rows: RowChoice) -> None:
        self._column = column
        self._codes = column.codes[rows]
        self.count: int = self._codes.size
        self._all: Bits = (1 << self.count) - 1
        self._with_code: dict[int, Bits] = {}
        self._greater: dict[int, Bits] = {}

    def meeting(self, requirement: NodeSelectorRequirement) -> Bits:
        """The rows that meet a requirement on the label."""
        match requirement.operator:
            case "In":
                return self._having_any(requirement.values)
            case "NotIn":
                return self._all ^ self._having_any(requirement.values)
            case "Exists":
                return self._all ^ self._coded(ABSENT)
            case "DoesNotExist":
                return self._coded(ABSENT)
        bound = label_integer(requirement.values[0]) if len(requirement.values) == 1 else None
        if bound is None or requirement.operator not in ("Gt", "Lt"):
            return 0
        integers = self._column.integers()[0]
        if requirement.operator == "Gt":
            return self._above(bisect_right(integers, bound))
        return self._above(0) ^ self._above(bisect_left(integers, bound))

    def having(self, value: str) -> Bits:
        """The rows with a value."""
        code = self._column.code_of.get(value)
        return 0 if code is None else self._coded(code)

    def _having_any(self, values: Sequence[str]) -> Bits:
        if len(values) == 1:
            return self.having(values[0])
        selected = 0
        for code in {*map(self._column.code_of.get, values)}:
            if code is not None:
                selected |= self._coded(code)
        return selected

    def _coded(self, code: int) -> Bits:
        """The rows with a code."""
        found = self._with_code.get(code)
        if found is None:
            if len(self._with_code) < _FEW:
                found = self._with_code[code] = packed(self._codes == code)
            else:
                self._with_code = dict(enumerate(_by_code(self._codes, len(self._column.values))))
                found = self._with_code[code]
        return found

    def _above(self, rank: int) -> Bits:
        """The rows with an integer that so many of the label's integers are below."""
        found = self._greater.get(rank)
        if found is None:
            integers, ranks = self._column.integers()
            by_row = ranks.take(self._codes)
            if len(self._greater) < _FEW:
                found = self._greater[rank] = packed(by_row > rank)
            else:
                from_above = reversed(_by_code(by_row, len(integers) + 1))
                above = [*accumulate(from_above, or_, initial=0)][len(integers) :: -1]
                self._greater = dict(enumerate(above))
                found = self._greater[rank]
        return found


def _by_code(codes: Codes, count: int) -> list[Bits]:
    """The rows with each of so many codes, given the codes of the rows."""
    found, row = [0] * count, 1
    for code in codes.tolist():
        found[code] |= row
        row <<= 1
    return found
