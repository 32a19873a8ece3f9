"""The feasible nodes as a ranking by soft topology spread constraints sees them, whatever pods it counts."""

import math

import msgspec
import numpy as np

from pallet.bounded_cache import MIB, BoundedCache
from pallet.cache.changes import Rows
from pallet.cache.columns import ABSENT, Codes, Mask
from pallet.cache.cursor import Cursor
from pallet.cache.node_table import NodeTable
from pallet.plugins.spread_constraints import HOSTNAME

_MOST_BYTES = 16 * MIB

Keys = tuple[str, ...]


class Places(msgspec.Struct, frozen=True, gc=False):
    """All nodes by their topology labels: those with the same ones are in one place.

    of_row: the place of each row of the table, counted from 0
    codes: for each key the label's code in each place; of HOSTNAME, only whether there is such a label
    ranked: which places take part in the ranking, for they lack no label that they need
    seen: the changes of nodes that were read
    """

    seen: Cursor
    of_row: Codes
    codes: tuple[Codes, ...]
    ranked: Mask

    @property
    def bytes(self) -> int:
        """What the arrays take."""
        return self.of_row.nbytes + self.ranked.nbytes + sum(codes.nbytes for codes in self.codes)


class FeasibleNodes(msgspec.Struct, frozen=True, gc=False):
    """Some feasible rows: their places, and for each key the weight of a pod, by the number of domains."""

    rows: Rows
    places: Places
    of_rows: Codes
    weights: tuple[float, ...]

    @property
    def bytes(self) -> int:
        """What it takes with its places, which others may have too."""
        return self.rows.nbytes + self.of_rows.nbytes + self.places.bytes

    def is_of(self, rows: Rows, table: NodeTable) -> bool:
        """Whether these are its rows, and all nodes are as they were. Mostly told by the rows' identity."""
        return not self.places.seen.is_behind(table.node_changes) and (
            self.rows is rows or np.array_equal(self.rows, rows)
        )


class FeasibleNodesMemory:
    """The feasible nodes that were laid out on one table."""

    def __init__(self) -> None:
        self._places: BoundedCache[tuple[Keys, bool], Places] = BoundedCache(
            "spread_fields", _MOST_BYTES, lambda _, places: places.bytes
        )
        self._feasible: BoundedCache[tuple[Keys, bool], FeasibleNodes] = BoundedCache(
            "spread_fields", _MOST_BYTES, lambda _, feasible: feasible.bytes
        )

    def of_rows(self, keys: Keys, table: NodeTable, rows: Rows, *, strict: bool) -> FeasibleNodes:
        """What is known of some feasible rows; `strict` leaves out of the ranking what lacks a label."""
        places = self._places.get((keys, strict))
        if places is None or places.seen.is_behind(table.node_changes):
            places = self._places[keys, strict] = _survey(keys, table, strict=strict)
        feasible = self._feasible.get((keys, strict))
        if feasible is None or not feasible.is_of(rows, table):
            feasible = self._feasible[keys, strict] = _lay_out(keys, places, table, rows)
        return feasible


def _survey(keys: Keys, table: NodeTable, *, strict: bool) -> Places:
    columns = [table.labels[key].codes for key in keys]
    columns = [
        (codes != ABSENT).astype(np.intp) if key == HOSTNAME else codes
        for key, codes in zip(keys, columns, strict=True)
    ]
    of_row = np.zeros(table.capacity, np.intp)
    for codes in columns:
        of_row = _numbered(of_row * (int(codes.max()) + 1) + codes)
    some_row = np.zeros(int(of_row.max()) + 1, np.intp)
    some_row[of_row] = np.arange(table.capacity)
    by_place = tuple(codes[some_row] for codes in columns)
    ranked = np.ones(some_row.size, np.bool_)
    for codes in by_place if strict else ():
        ranked &= codes != ABSENT
    return Places(Cursor(table.node_changes), of_row, by_place, ranked)


def _numbered(values: Codes) -> Codes:
    """The values with numbers from 0 in their place, as many as there are different ones."""
    if int(values.max()) > 4 * values.size:
        return np.unique(values, return_inverse=True)[1]
    numbers: Codes = np.cumsum(np.bincount(values) > 0) - 1
    return numbers[values]


def _lay_out(keys: Keys, places: Places, table: NodeTable, rows: Rows) -> FeasibleNodes:
    of_rows = places.of_row[rows]
    nodes = np.bincount(of_rows, minlength=places.ranked.size) * places.ranked
    there = nodes > 0
    weights = []
    for key, codes in zip(keys, places.codes, strict=True):
        domains = int(nodes.sum()) if key == HOSTNAME else _domains(codes[there], table, key)
        weights.append(math.log(domains + 2))
    return FeasibleNodes(rows, places, of_rows, tuple(weights))


def _domains(codes: Codes, table: NodeTable, key: str) -> int:
    """How many domains some codes of a label stand for."""
    found = set(codes.tolist())
    unnamed = table.labels[key].code_of.get("", ABSENT)
    both = unnamed != ABSENT and unnamed in found and ABSENT in found
    return len(found) - both  # no label and an empty one are the same domain
