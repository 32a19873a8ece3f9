"""The dry run of a preemption, in two forms: for many rows at once, and for one row on a fork.

Both remove all potential victims from a row, ask whether the preemptor fits, and then reprieve victims: each
is put back, and stays if the preemptor still fits. Those come first whose preemption violates a budget, then
the most important. The form for many rows is for filters that read of placed pods only the sums of their
requests.
"""

from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import NamedTuple

import numpy as np

from pallet.api.requests import PODS
from pallet.cache.changes import FEW_ROWS, Rows
from pallet.cache.columns import Mask
from pallet.cache.pod_info import PodInfo
from pallet.cache.resource_columns import OVERFULL, Amounts, added
from pallet.cache.snapshot import Fork, Snapshot
from pallet.framework.interface import Filters, VectorFilterPlugin
from pallet.framework.state import CycleState
from pallet.framework.status import Status
from pallet.runtime.row_filters import code_of

_ASKING = 4
"""Asking whether the preemptor fits takes as long as so many moves."""

_ASKING_FOR_KEY = 0.5
"""So many more for each topology key of the preemptor's required affinity."""


class Attempt(NamedTuple):
    """A preemptor, the snapshot on which it fits nowhere, and the filters that refused it."""

    state: CycleState
    info: PodInfo
    snapshot: Snapshot
    filters: Filters


class SupposedSums:
    """What would be requested on some rows without their potential victims, and with pods nominated there.

    names: the resources that the preemptor requests, and pods
    sums: int64, (names, capacity), changed in place; only the rows given have values
    """

    def __init__(self, attempt: Attempt, rows: Rows) -> None:
        self._state, self._info, snapshot, _ = attempt
        columns = snapshot.table.resources
        self._rows = rows
        self.names = [PODS, *(name for name, _ in attempt.info.requests.amounts if name in columns)]
        self.sums: Amounts = np.empty((len(self.names), snapshot.table.capacity), np.int64)
        self.sums[:, rows] = [columns[name].requested[rows] for name in self.names]
        self._nominated = self._nominated_ahead(snapshot) if snapshot.nominator else []
        self.snapshot = snapshot.with_requested(dict(zip(self.names, self.sums, strict=True)))

    def remove(self, weights: Amounts) -> None:
        """Remove potential victims, (pods, rows, names), and then place the nominated pods."""
        self.sums[:, self._rows] -= weights.sum(axis=0).T
        for row, weight in self._nominated:
            self.sums[:, row] = np.minimum(self.sums[:, row] + weight, OVERFULL)

    def reprieve(self, plugins: Sequence[VectorFilterPlugin], rows: Rows, weights: Amounts) -> Mask:
        """Put pods back on rows where the preemptor fits, and tell which cannot stay: bool, (pods, rows).

        weights: (pods, rows, names), the first is put back first; zeros for no pod.
        """
        is_pod: Mask = (weights != 0).any(axis=2)
        victims = np.zeros_like(is_pod)
        if rows.size <= FEW_ROWS:
            for at, row in enumerate(rows.tolist()):
                sums = self.sums[:, row]
                for step in is_pod[:, at].nonzero()[0].tolist():
                    sums += weights[step, at]
                    if self._refuses(plugins, row):
                        sums -= weights[step, at]
                        victims[step, at] = True
            return victims
        for step in np.flatnonzero(is_pod.any(axis=1)).tolist():
            at = is_pod[step].nonzero()[0]
            there, weight = rows[at], weights[step, at].T
            self.sums[:, there] += weight
            refused = self._refused(plugins, there)
            self.sums[:, there[refused]] -= weight[:, refused]
            victims[step, at[refused]] = True
        return victims

    def _refuses(self, plugins: Sequence[VectorFilterPlugin], row: int) -> bool:
        state, info, snapshot = self._state, self._info, self.snapshot
        return any(code_of(plugin, state, info, snapshot, row) for plugin in plugins)

    def _refused(self, plugins: Sequence[VectorFilterPlugin], rows: Rows) -> Mask:
        refused = np.zeros(rows.size, np.bool_)
        for plugin in plugins:
            refused |= plugin.filter_rows(self._state, self._info, self.snapshot, rows) != 0
        return refused

    def _nominated_ahead(self, snapshot: Snapshot) -> list[tuple[int, list[int]]]:
        return [
            (row, [added(other.requests, name) for name in self.names])
            for row in self._rows.tolist()
            for other in snapshot.nominator.ahead_of(self._info.pod, snapshot.table.name(row))
            if not snapshot.is_placed(other.uid, row)
        ]


class ForkDryRuns:
    """Dry runs of one row after another, on a fork that is taken for the first of them and closed on exit.

    moves: how many pods were removed or put back so far, and what took as long
    """

    def __init__(self, attempt: Attempt) -> None:
        self.moves = 0
        self._attempt = attempt
        self._fork: Fork | None = None
        terms = attempt.info.terms
        self._asking = _ASKING + int(_ASKING_FOR_KEY * (len(terms.near_keys) + len(terms.away)))

    def __enter__(self) -> "ForkDryRuns":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fork is not None:
            self._fork.close()

    def run(
        self, row: int, potential: Sequence[PodInfo], violating: Sequence[bool]
    ) -> tuple[Status, list[int]]:
        """Select victims on a row (see `select_victims`)."""
        if self._fork is None:
            self._fork = self._attempt.snapshot.fork()
            self._fits, self._still_fits = self._askers(self._fork)
        fits, still_fits = partial(self._fits, row), partial(self._still_fits, row)
        status, victims = select_victims(self._fork, row, potential, violating, fits, still_fits)
        asked = 1 + len(potential) * status.ok
        self.moves += 2 * len(potential) + asked * self._asking
        return status, victims

    def _askers(self, fork: Fork) -> tuple[Callable[[int], Status], Callable[[int], Status]]:
        """What asks all filters, and those that a pod which is put back concerns.

        They are chosen before pods are removed that a filter is about.
        """
        state, info, _, filters = self._attempt
        return filters.asker(state, info, fork), filters.asker(state, info, fork, loads_only=True)


def select_victims(
    fork: Fork,
    row: int,
    potential: Sequence[PodInfo],
    violating: Sequence[bool],
    fits: Callable[[], Status],
    still_fits: Callable[[], Status],
) -> tuple[Status, list[int]]:
    """Whether the preemptor fits without the potential victims, and the indexes of the victims among them.

    The potential victims are in the order of their importance. `fits` tells whether the preemptor fits on the
    fork as it then is; `still_fits` may leave out what a pod that is put back does not concern. The fork is
    rolled back. There are no victims where the preemptor does not fit, or where it fits beside all.
    """
    name = fork.table.name(row)
    victims: list[int] = []
    before = fork.checkpoint()
    for pod in potential:
        fork.remove(pod, row)
    status = fits()
    for index in sorted(range(len(potential)), key=lambda index: not violating[index]) if status.ok else ():
        without = fork.checkpoint()
        fork.place(potential[index], name)
        if not still_fits().ok:
            fork.rollback(without)
            victims.append(index)
    fork.rollback(before)
    return status, sorted(victims)
