"""The part of the node table that holds amounts: a column for each resource that some node offers.

What pods request of a resource that no node offers has no column: it can be placed nowhere, and it is in the
pods' requests should a node begin to offer it. So the number of columns is that of the names on nodes,
whatever names are on pods. What columns take together is bounded by what the nodes offer: those of native
resources are as long as the table, every other one only as long as there are nodes that offer the resource.
"""

from collections.abc import Collection, Mapping
from copy import copy
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pallet.api.requests import CPU, EPHEMERAL_STORAGE, LARGEST_AMOUNT, MEMORY, PODS, Requests, amount
from pallet.cache.columns import resized

if TYPE_CHECKING:
    from pallet.cache.changes import Rows

Amounts = npt.NDArray[np.int64]

NATIVE = (CPU, MEMORY, EPHEMERAL_STORAGE, PODS)
"""Resources that have a column whether or not a node offers them."""

OVERFULL = 2**62
"""What a sum says that is larger. No node offers as much, so that the node is full; and the amounts of 512
pods more can be added to it within an int64."""

_FIRST_SLOTS = 2


def added(requests: Requests, name: str) -> int:
    """What a pod with these requests adds to what is requested of a resource: one, of pods."""
    return 1 if name == PODS else requests.of(name)


class Sums:
    """A sum of amounts in each place: int64, (places,), OVERFULL where it is larger.

    A sum beyond that is kept as a Python integer, so that it can be subtracted from.
    """

    __slots__ = ("_beyond", "values")

    def __init__(self, values: Amounts) -> None:
        self.values = values
        self._beyond: dict[int, int] = {}

    def add(self, place: int, value: int) -> None:
        """Add to a sum; a negative value takes away."""
        total = self.values.item(place) + value
        if self._beyond or total > OVERFULL:
            total = self._beyond.pop(place, total - value) + value
            if total > OVERFULL:
                self._beyond[place], total = total, OVERFULL
        self.values[place] = total

    def exact(self, place: int) -> int:
        """A sum, however large it is."""
        return self._beyond.get(place) or self.values.item(place)

    def resize(self, places: int) -> None:
        """Have room for so many sums."""
        self.values = resized(self.values, places)

    def copy(self) -> "Sums":
        """Sums that can be changed without changing these."""
        twin = Sums(self.values.copy())
        twin._beyond = dict(self._beyond)
        return twin


class NativeColumn:
    """A resource of every node; cpu in millicores, all else in whole units.

    allocatable: int64, (capacity,)
    """

    __slots__ = ("_requested", "_scored", "allocatable")

    def __init__(self, allocatable: Amounts, requested: Sums, scored: Sums) -> None:
        self.allocatable = allocatable
        self._requested = requested
        self._scored = scored

    @property
    def requested(self) -> Amounts:
        """What the placed pods request: int64, (capacity,), OVERFULL at most."""
        return self._requested.values

    @property
    def scored(self) -> Amounts:
        """The same, but of cpu and memory with a minimum for containers that ask for none."""
        return self._scored.values

    def at(self, row: int) -> tuple[int, int]:
        """What is allocatable and requested on one row."""
        return self.allocatable.item(row), self._requested.values.item(row)

    def scored_at(self, row: int) -> tuple[int, int]:
        """What is allocatable and scored on one row."""
        return self.allocatable.item(row), self._scored.values.item(row)

    def add(self, row: int, value: int) -> None:
        """Add to what is requested on a row."""
        self._requested.add(row, value)

    def add_scored(self, row: int, value: int) -> None:
        """Add to what is scored on a row."""
        self._scored.add(row, value)

    def offer(self, row: int, value: int, placed: Collection[Requests]) -> None:
        """Change what the node of a row offers; `placed` are the requests of the pods there."""
        self.allocatable[row] = value

    def is_overfull(self, row: int) -> bool:
        """Whether more is requested on a row than `requested` can say."""
        return self._requested.exact(row) > OVERFULL

    def resize(self, capacity: int) -> None:
        """Have room for so many rows."""
        self.allocatable = resized(self.allocatable, capacity)
        self._requested.resize(capacity)
        if self._scored is not self._requested:
            self._scored.resize(capacity)

    def fork(self) -> "NativeColumn":
        """A column with the same nodes, and with sums of its own."""
        requested = self._requested.copy()
        scored = requested if self._scored is self._requested else self._scored.copy()
        return NativeColumn(self.allocatable, requested, scored)

    def detach(self) -> None:
        """Take a copy of what the nodes offer."""
        self.allocatable = self.allocatable.copy()


class SparseColumn:
    """A resource that some nodes offer, counted on these only: elsewhere all is 0.

    Each of them has a slot, the first ones are in use. Arrays over all rows are made when they are asked for.
    """

    __slots__ = ("_allocatable", "_capacity", "_name", "_requested", "_rows", "_slot_of")

    def __init__(self, name: str, capacity: int) -> None:
        self._name = name
        self._capacity = capacity
        self._slot_of: dict[int, int] = {}
        self._rows: Rows = np.zeros(_FIRST_SLOTS, np.intp)
        self._allocatable: Amounts = np.zeros(_FIRST_SLOTS, np.int64)
        self._requested = Sums(np.zeros(_FIRST_SLOTS, np.int64))

    @property
    def nodes(self) -> int:
        """How many nodes offer it."""
        return len(self._slot_of)

    @property
    def allocatable(self) -> Amounts:
        """What the nodes offer: int64, (capacity,)."""
        return self._by_row(self._allocatable)

    @property
    def requested(self) -> Amounts:
        """What the placed pods request: int64, (capacity,), OVERFULL at most."""
        return self._by_row(self._requested.values)

    @property
    def scored(self) -> Amounts:
        """The same."""
        return self.requested

    def at(self, row: int) -> tuple[int, int]:
        """What is allocatable and requested on one row."""
        slot = self._slot_of.get(row)
        return (0, 0) if slot is None else (self._allocatable.item(slot), self._requested.values.item(slot))

    scored_at = at

    def add(self, row: int, value: int) -> None:
        """Add to what is requested on a row, if its node offers the resource."""
        slot = self._slot_of.get(row)
        if slot is not None:
            self._requested.add(slot, value)

    def offer(self, row: int, value: int, placed: Collection[Requests]) -> None:
        """Change what the node of a row offers; `placed` are the requests of the pods there."""
        slot = self._slot_of.get(row)
        if value <= 0:
            if slot is not None:
                self._give_back(row, slot)
            return
        if slot is None:
            slot = self._take(row)
            for requests in placed:
                self._requested.add(slot, requests.of(self._name))
        self._allocatable[slot] = value

    def is_overfull(self, row: int) -> bool:
        """Whether more is requested on a row than `requested` can say."""
        slot = self._slot_of.get(row)
        return slot is not None and self._requested.exact(slot) > OVERFULL

    def resize(self, capacity: int) -> None:
        """Have room for so many rows."""
        self._capacity = capacity

    def fork(self) -> "SparseColumn":
        """A column with the same nodes, and with sums of its own."""
        twin = copy(self)
        twin._requested = self._requested.copy()
        return twin

    def detach(self) -> None:
        """Take a copy of what the nodes offer."""
        self._slot_of, self._rows = dict(self._slot_of), self._rows.copy()
        self._allocatable = self._allocatable.copy()

    def _by_row(self, values: Amounts) -> Amounts:
        by_row: Amounts = np.zeros(self._capacity, np.int64)
        used = len(self._slot_of)
        by_row[self._rows[:used]] = values[:used]
        return by_row

    def _take(self, row: int) -> int:
        """A slot for a row, with nothing requested."""
        slot = self._slot_of[row] = len(self._slot_of)
        if slot == len(self._rows):
            self._resize_slots(2 * slot)
        self._rows[slot] = row
        return slot

    def _give_back(self, row: int, slot: int) -> None:
        """Have the last slot in use take the place of a row's, which is given back."""
        last = len(self._slot_of) - 1
        moved = self._rows.item(last)
        self._slot_of[moved] = slot
        self._rows[slot], self._allocatable[slot] = moved, self._allocatable[last]
        requested = self._requested
        requested.add(slot, requested.exact(last) - requested.exact(slot))
        requested.add(last, -requested.exact(last))
        del self._slot_of[row]
        if len(self._rows) > _FIRST_SLOTS and last < len(self._rows) // 4:
            self._resize_slots(len(self._rows) // 2)

    def _resize_slots(self, count: int) -> None:
        self._rows = resized(self._rows, count)
        self._allocatable = resized(self._allocatable, count)
        self._requested.resize(count)


ResourceColumn = NativeColumn | SparseColumn


class ResourceColumns(dict[str, ResourceColumn]):
    """The columns by the name of their resource.

    offered: these names. It is another object whenever there are others, and only then.
    """

    def __init__(self, capacity: int) -> None:
        natives = {name: _native(name, capacity) for name in NATIVE}
        super().__init__(natives)
        self.offered = frozenset(NATIVE)
        self._natives = natives
        self._capacity = capacity

    def put(
        self, row: int, old: Mapping[str, str], new: Mapping[str, str], placed: Collection[Requests]
    ) -> None:
        """Replace what the node of a row offers; `placed` are the requests of the pods there."""
        for name in old.keys() - new.keys():
            self._offer(row, name, 0, placed)
        for name, quantity in new.items():
            self._offer(row, name, min(amount(name, quantity), LARGEST_AMOUNT), placed)
        if self.offered != self.keys():
            self.offered = frozenset(self)

    def add(self, row: int, requests: Requests, pods: int) -> None:
        """Count some pods more with these requests on a row, or with -1 one less."""
        for name, value in requests.amounts:
            column = self.get(name)
            if column is not None:
                column.add(row, pods * value)
        natives = self._natives
        natives[PODS].add(row, pods)
        natives[CPU].add_scored(row, pods * requests.scored_cpu)
        natives[MEMORY].add_scored(row, pods * requests.scored_memory)

    def is_overfull(self, row: int) -> bool:
        """Whether more is requested of anything on a row than the columns can say."""
        pods = self._natives[PODS].requested.item(row)
        return pods * LARGEST_AMOUNT > OVERFULL and any(each.is_overfull(row) for each in self.values())

    def resize(self, capacity: int) -> None:
        """Have room for so many rows."""
        self._capacity = capacity
        for column in self.values():
            column.resize(capacity)

    def with_requested(self, requested: Mapping[str, Amounts]) -> "ResourceColumns":
        """These columns with other amounts requested of some resources; to be read until anything changes."""
        twin = self._twin(self._natives)
        twin.update(self)
        for name, amounts in requested.items():
            twin[name] = NativeColumn(self[name].allocatable, Sums(amounts), Sums(self[name].scored))
        return twin

    def fork(self) -> "ResourceColumns":
        """Columns with the same nodes, and with sums of their own."""
        twin = self._twin({name: column.fork() for name, column in self._natives.items()})
        twin.update((name, twin._natives.get(name) or column.fork()) for name, column in self.items())
        return twin

    def detach(self) -> None:
        """Take a copy of what the nodes offer."""
        for column in self.values():
            column.detach()

    def _twin(self, natives: dict[str, NativeColumn]) -> "ResourceColumns":
        twin = ResourceColumns.__new__(ResourceColumns)
        twin._natives, twin.offered, twin._capacity = natives, self.offered, self._capacity
        return twin

    def _offer(self, row: int, name: str, value: int, placed: Collection[Requests]) -> None:
        column = self.get(name)
        if column is None:
            if value <= 0:
                return
            column = self[name] = SparseColumn(name, self._capacity)
        column.offer(row, value, placed)
        if isinstance(column, SparseColumn) and not column.nodes:
            del self[name]


def _native(name: str, capacity: int) -> NativeColumn:
    requested = Sums(np.zeros(capacity, np.int64))
    scored = Sums(np.zeros(capacity, np.int64)) if name in (CPU, MEMORY) else requested
    return NativeColumn(np.zeros(capacity, np.int64), requested, scored)
