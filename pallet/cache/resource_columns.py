"""The part of the node table that holds amounts: a column for each resource that some node offers.

What pods request of a resource that no node offers has no column: it can be placed nowhere, and it is in the
pods' requests should a node begin to offer it. So the number of columns is that of the names on nodes,
whatever names are on pods.
"""

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from pallet.api.requests import CPU, EPHEMERAL_STORAGE, LARGEST_AMOUNT, MEMORY, PODS, Requests, amount
from pallet.cache.columns import resized

Amounts = npt.NDArray[np.int64]

NATIVE = (CPU, MEMORY, EPHEMERAL_STORAGE, PODS)
"""Resources that have a column whether or not a node offers them."""

OVERFULL = 2**62
"""What a sum says that is larger. No node offers as much, so that the node is full; and the amounts of 512
pods more can be added to it within an int64."""


def added(requests: Requests, name: str) -> int:
    """What a pod with these requests adds to what is requested of a resource: one, of pods."""
    return 1 if name == PODS else requests.of(name)


class Sums:
    """A sum of amounts for each row: int64, (capacity,), OVERFULL where it is larger.

    A sum beyond that is kept as a Python integer, so that it can be subtracted from.
    """

    __slots__ = ("_beyond", "by_row")

    def __init__(self, by_row: Amounts) -> None:
        self.by_row = by_row
        self._beyond: dict[int, int] = {}

    def add(self, row: int, value: int) -> None:
        """Add to the sum of a row; a negative value takes away."""
        total = self.by_row.item(row) + value
        if self._beyond or total > OVERFULL:
            total = self._beyond.pop(row, total - value) + value
            if total > OVERFULL:
                self._beyond[row], total = total, OVERFULL
        self.by_row[row] = total

    def clear(self, row: int) -> None:
        """Nothing is summed up on a row any more."""
        self._beyond.pop(row, None)
        self.by_row[row] = 0

    def is_beyond(self, row: int) -> bool:
        """Whether the sum of a row is larger than the array says."""
        return row in self._beyond

    def resize(self, capacity: int) -> None:
        """Have room for so many rows."""
        self.by_row = resized(self.by_row, capacity)

    def copy(self) -> "Sums":
        """Sums that can be changed without changing these."""
        twin = Sums(self.by_row.copy())
        twin._beyond = dict(self._beyond)
        return twin


class ResourceColumn:
    """One resource on all nodes; cpu in millicores, all else in whole units.

    allocatable: int64, (capacity,)
    nodes: how many of them offer it
    """

    __slots__ = ("_native", "_requested", "_scored", "allocatable", "nodes")

    def __init__(self, name: str, capacity: int) -> None:
        self.allocatable: Amounts = np.zeros(capacity, np.int64)
        self.nodes = 0
        self._native = name in NATIVE
        self._requested = Sums(np.zeros(capacity, np.int64))
        self._scored = Sums(np.zeros(capacity, np.int64)) if name in (CPU, MEMORY) else self._requested

    @property
    def requested(self) -> Amounts:
        """What the placed pods request: int64, (capacity,), OVERFULL at most.

        Of a resource that is not native it is counted only on nodes that offer it, elsewhere it is 0.
        """
        return self._requested.by_row

    @property
    def scored(self) -> Amounts:
        """The same, but of cpu and memory with a minimum for containers that ask for none."""
        return self._scored.by_row

    def add(self, row: int, value: int) -> None:
        """Add to what is requested, and scored unless that is counted apart, if it is counted on the row."""
        if self._native or self.allocatable.item(row):
            self._requested.add(row, value)

    def add_scored(self, row: int, value: int) -> None:
        """Add to what is scored, of cpu or memory."""
        self._scored.add(row, value)

    def offer(self, row: int, value: int, placed: Collection[Requests], name: str) -> None:
        """Change what the node of a row offers; `placed` are the requests of the pods there."""
        before = self.allocatable.item(row)
        self.allocatable[row] = value
        self.nodes += (value > 0) - (before > 0)
        if not self._native and (value > 0) != (before > 0):
            self._requested.clear(row)
            for requests in placed if value > 0 else ():
                self._requested.add(row, requests.of(name))

    def is_overfull(self, row: int) -> bool:
        """Whether more is requested on a row than `requested` can say."""
        return self._requested.is_beyond(row)

    def supposing(self, requested: Amounts) -> "ResourceColumn":
        """This column with other amounts requested; to be read until something changes."""
        twin = self._twin()
        twin._requested = Sums(requested)
        twin._scored = self._scored
        return twin

    def resize(self, capacity: int) -> None:
        """Have room for so many rows."""
        self.allocatable = resized(self.allocatable, capacity)
        self._requested.resize(capacity)
        if self._scored is not self._requested:
            self._scored.resize(capacity)

    def copy(self) -> "ResourceColumn":
        """A column that can be changed without changing this one."""
        twin = self._twin()
        twin.allocatable = self.allocatable.copy()
        twin._requested = self._requested.copy()
        twin._scored = twin._requested if self._scored is self._requested else self._scored.copy()
        return twin

    def _twin(self) -> "ResourceColumn":
        twin = ResourceColumn.__new__(ResourceColumn)
        twin.allocatable, twin.nodes, twin._native = self.allocatable, self.nodes, self._native
        return twin


class ResourceColumns(dict[str, ResourceColumn]):
    """The columns by the name of their resource.

    offered: these names. It is another object whenever there are others, and only then.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__((name, ResourceColumn(name, capacity)) for name in NATIVE)
        self.offered = frozenset(NATIVE)
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
        self[PODS].add(row, pods)
        self[CPU].add_scored(row, pods * requests.scored_cpu)
        self[MEMORY].add_scored(row, pods * requests.scored_memory)

    def is_overfull(self, row: int) -> bool:
        """Whether more is requested of anything on a row than the columns can say."""
        return self[PODS].requested.item(row) * LARGEST_AMOUNT > OVERFULL and any(
            column.is_overfull(row) for column in self.values()
        )

    def resize(self, capacity: int) -> None:
        """Have room for so many rows."""
        self._capacity = capacity
        for column in self.values():
            column.resize(capacity)

    def supposing(self, requested: Mapping[str, Amounts]) -> "ResourceColumns":
        """These columns with other amounts requested of some resources; to be read until anything changes."""
        twin = ResourceColumns.__new__(ResourceColumns)
        twin.update(self)
        twin.update((name, self[name].supposing(amounts)) for name, amounts in requested.items())
        twin.offered, twin._capacity = self.offered, self._capacity
        return twin

    def copy(self) -> "ResourceColumns":
        """Columns that can be changed without changing these."""
        twin = ResourceColumns.__new__(ResourceColumns)
        twin.update((name, column.copy()) for name, column in self.items())
        twin.offered, twin._capacity = self.offered, self._capacity
        return twin

    def _offer(self, row: int, name: str, value: int, placed: Collection[Requests]) -> None:
        column = self.get(name)
        if column is None:
            if value <= 0:
                return
            column = self[name] = ResourceColumn(name, self._capacity)
        column.offer(row, value, placed, name)
        if not column.nodes and name not in NATIVE:
            del self[name]
