"""Letting pods that might be preempted return while the preemptor still fits: those that cannot have to go.

The filters asked look at placed pods only for the sums of their requests.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pallet.cache.changes import Rows
from pallet.cache.columns import Mask
from pallet.cache.pod_info import PodInfo
from pallet.cache.resource_columns import Amounts
from pallet.cache.snapshot import Snapshot
from pallet.framework.interface import VectorFilterPlugin
from pallet.framework.state import CycleState
from pallet.runtime.row_filters import code_of


class Ask(NamedTuple):
    """Filters to be asked about supposed sums, which are changed in place."""

    plugins: Sequence[VectorFilterPlugin]
    state: CycleState
    info: PodInfo
    supposed: Snapshot
    sums: Amounts

    def full(self, rows: Rows) -> Mask:
        """Where the pod does not fit."""
        full = np.zeros(rows.size, np.bool_)
        for plugin in self.plugins:
            full |= plugin.filter_rows(self.state, self.info, self.supposed, rows) != 0
        return full

    def fits(self, row: int, sums: Amounts) -> bool:
        """Whether the pod fits with these sums on one row."""
        self.sums[:, row] = sums
        return not any(code_of(plugin, self.state, self.info, self.supposed, row) for plugin in self.plugins)


def send_back(ask: Ask, rows: Rows, returning: Mask, weights: Amounts, victims: Mask) -> None:
    """Let pods return to all rows, step by step, and note those for whom there is no room."""
    for step in np.flatnonzero(returning.any(axis=1)).tolist():
        at = returning[step].nonzero()[0]
        there, weight = rows[at], weights[step, at].T
        ask.sums[:, there] += weight
        full = ask.full(there)
        ask.sums[:, there[full]] -= weight[:, full]
        victims[step, at[full]] = True


def stay_away(ask: Ask, row: int, order: Rows, weights: Amounts) -> Rows:
    """Let pods return to one row in an order, and tell for whom there is no room.

    The longest run of them that fits is found by halving: the more pods return, the less room there is.
    """
    away: list[int] = []
    there = ask.sums[:, row].copy()
    upto = np.vstack((np.zeros_like(weights[:1]), np.cumsum(weights, axis=0))) if len(order) else weights
    start, end = 0, len(order)
    while start < end and not ask.fits(row, there + upto[end] - upto[start]):
        fits, too_many = start, end
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if ask.fits(row, there + upto[middle] - upto[start]):
                fits = middle
            else:
                too_many = middle
        away.append(fits)
        there += upto[fits] - upto[start]
        start = fits + 1
    return order[away]
