"""All filters of a profile, about single rows or about many under supposed loads; no result is kept."""

from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from pallet.api.pod import Pod
from pallet.cache.changes import Rows
from pallet.cache.columns import Scalar
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Fork, Snapshot
from pallet.framework.diagnosis import NodesToStatus
from pallet.framework.interface import Codes, Reads, VectorFilterPlugin
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status
from pallet.runtime.memory import FilterMemory

_LOADS = (Reads.LOAD, Reads.CLUSTER)

_FEW = 8


class FiltersWithNominatedPods:
    """What post-filter plugins are given as `Filters`."""

    def __init__(self, filters: Sequence[FilterMemory], snapshot: Snapshot) -> None:
        self._filters = filters
        self._snapshot = snapshot

    def asked(self, state: CycleState, info: PodInfo) -> list[VectorFilterPlugin]:
        """The filters with anything to say about a pod, in the configured order."""
        return [
            each.plugin for each in self._filters if each.signature(state, info, self._snapshot) is not None
        ]

    def key(self, state: CycleState, info: PodInfo) -> Hashable:
        """Their signatures of a pod."""
        return tuple(each.signature(state, info, self._snapshot) for each in self._filters)

    def asker(
        self, state: CycleState, info: PodInfo, fork: Fork, *, loads_only: bool = False
    ) -> Callable[[int], Status]:
        """Give what asks them about single rows of a fork, with the nominated pods there and then without."""
        asked = [each for each in self.asked(state, info) if reads_loads(each) or not loads_only]

        def ask(row: int) -> Status:
            with_nominated = place_nominated(fork, info.pod, row)
            if with_nominated is not None:
                status = first_refusal(asked, state, info, fork, row)
                fork.rollback(with_nominated)
                if not status.ok:
                    return status
            return first_refusal(asked, state, info, fork, row)

        return ask

    def fits(self, state: CycleState, info: PodInfo, row: int) -> bool:
        """Whether a pod fits on a row, with the pods that are nominated there and without."""
        if not self._snapshot.nominator.on(self._snapshot.table.name(row)):
            return first_refusal(self.asked(state, info), state, info, self._snapshot, row).ok
        with self._snapshot.fork() as fork:
            return self.asker(state, info, fork)(row).ok


def place_nominated(fork: Fork, pod: Pod, row: int) -> int | None:
    """Place the pods on a row that are nominated there, and to which a pod has to yield.

    The checkpoint before that, to roll back to; None where there is none of them. They may be there already.
    """
    name = fork.table.name(row)
    ahead = fork.nominator.ahead_of(pod, name)
    if not ahead:
        return None
    checkpoint = fork.checkpoint()
    for info in ahead:
        if not fork.is_placed(info.uid, row):
            fork.place(info, name)
    return checkpoint


def first_refusal(
    asked: Iterable[VectorFilterPlugin], state: CycleState, info: PodInfo, snapshot: Snapshot, row: int
) -> Status:
    """What the first of the filters says that refuses a row; SUCCESS where none does."""
    for plugin in asked:
        code = code_of(plugin, state, info, snapshot, row)
        if code:
            return explained(plugin, info, code, snapshot, row)
    return SUCCESS


def code_of(
    plugin: VectorFilterPlugin, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int
) -> int:
    """A plugin's code for one row."""
    quick = getattr(plugin, "filter_row", None)
    if quick is not None:
        return int(quick(state, info, snapshot, row))
    return int(plugin.filter_rows(state, info, snapshot, slice(row, row + 1))[0])


def explained(plugin: VectorFilterPlugin, info: PodInfo, code: int, snapshot: Snapshot, row: int) -> Status:
    """What a plugin's code means, and on which plugin's account; the row is one that got it."""
    exact = getattr(plugin, "explain_row", None)
    status: Status = plugin.explain(info, code) if exact is None else exact(info, code, snapshot, row)
    return status.by(plugin.name)


def reads_loads(plugin: VectorFilterPlugin) -> bool:
    """Whether a filter's result can depend on the pods that are placed."""
    return plugin.filter_reads in _LOADS


def reads_sums(plugin: VectorFilterPlugin) -> bool:
    """Whether a filter reads of the placed pods only how much they request in sum."""
    return getattr(plugin, "filter_reads_sums", False)


def asks_sums_only(asked: Iterable[VectorFilterPlugin]) -> bool:
    """Whether the filters can be asked about many rows under supposed loads at once."""
    return all(reads_sums(plugin) or not reads_loads(plugin) for plugin in asked)


def first_codes(
    asked: Sequence[VectorFilterPlugin],
    state: CycleState,
    info: PodInfo,
    snapshot: Snapshot,
    rows: Rows,
) -> tuple[Rows, Codes]:
    """For each row which of the filters is the first to refuse it, counted from 1, and with what code.

    0 and 0 where all pass. No result is kept, so that other loads may be supposed on the snapshot.
    """
    position = np.zeros(rows.size, np.intp)
    code = np.zeros(rows.size, np.uint32)
    left = np.arange(rows.size)
    for number, plugin in enumerate(asked, start=1):
        codes = plugin.filter_rows(state, info, snapshot, rows[left])
        refused = codes != 0
        if refused.any():
            position[left[refused]] = number
            code[left[refused]] = codes[refused]
            left = left[~refused]
    return position, code


def refused_by(
    asked: Sequence[VectorFilterPlugin],
    info: PodInfo,
    snapshot: Snapshot,
    position: Rows,
    code: Codes,
    rows: Rows,
) -> list[NodesToStatus]:
    """What the answer of `first_codes` means: the rows that are refused, by filter and code."""
    refusals = []
    pairs = position << 32 | code
    for pair in distinct(pairs[position != 0]):
        alike = rows[pairs == pair]
        status = explained(asked[(pair >> 32) - 1], info, pair & 0xFFFFFFFF, snapshot, alike.item(0))
        refusals.append(NodesToStatus(status, alike))
    return refusals


def distinct(values: npt.NDArray[Scalar]) -> list[int]:
    """The distinct ones of some integers, in order; quickly where they are few, as codes mostly are."""
    found: list[int] = []
    while values.size and len(found) < _FEW:
        found.append(int(values[0]))
        values = values[values != values[0]]
    return sorted((*found, *set(values.tolist())))


def without(rows: Rows, others: Rows, capacity: int) -> Rows:
    """Rows of a table without some others."""
    stays = np.ones(capacity, np.bool_)
    stays[others] = False
    left: Rows = rows[stays[rows]]
    return left
