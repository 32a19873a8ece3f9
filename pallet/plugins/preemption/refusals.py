"""Where preempting cannot help, as filters can tell without a dry run."""

from collections.abc import Sequence
from itertools import takewhile
from typing import cast

import numpy as np

from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.framework.diagnosis import NodesToStatus
from pallet.framework.hooks import NeighbourFilterPlugin
from pallet.framework.interface import VectorFilterPlugin
from pallet.framework.status import Status
from pallet.plugins.preemption.dry_run import Attempt
from pallet.runtime.row_filters import reads_loads, reads_sums, refused_by


def first_neighbour_filters(plugins: Sequence[VectorFilterPlugin]) -> list[NeighbourFilterPlugin]:
    """The filters that can tell of single pods, up to the first one that reads placed pods and cannot."""
    reading = (plugin for plugin in plugins if reads_loads(plugin))
    return [
        cast("NeighbourFilterPlugin", plugin)
        for plugin in takewhile(lambda plugin: hasattr(plugin, "filter_beside"), reading)
    ]


def refused_beside(
    plugins: Sequence[NeighbourFilterPlugin], attempt: Attempt, row: int, staying: Sequence[PodInfo]
) -> Status | None:
    """What the first filters say of pods on a row that are no victims, and of those nominated to it."""
    info, snapshot = attempt.info, attempt.snapshot
    others = [*staying, *snapshot.nominator.ahead_of(info.pod, snapshot.table.name(row))]
    for plugin in plugins:
        code = plugin.filter_beside(info, others)
        if code:
            return plugin.explain(info, code).by(plugin.name)
    return None


def refused_regardless(
    plugins: Sequence[VectorFilterPlugin], attempt: Attempt, rows: Rows
) -> list[NodesToStatus]:
    """Which of some rows are refused whichever of their pods are removed, though sums do not refuse them.

    That is told by filters that do not read placed pods, and by one that knows where pods on other rows keep
    the preemptor away. Rows to which pods are nominated are left out: what is said with these comes first.
    """
    state, info, snapshot, _ = attempt
    row_of = snapshot.table.row_of
    nominated = [row_of[name] for name in snapshot.nominator if name in row_of]
    rows = rows[~np.isin(rows, nominated)]
    refused: list[NodesToStatus] = []
    for plugin in plugins:
        regardless = getattr(plugin, "filter_regardless", None)
        if reads_sums(plugin):
            continue
        if regardless is not None:
            codes = regardless(info, snapshot, rows)
        elif reads_loads(plugin):
            break
        else:
            codes = plugin.filter_rows(state, info, snapshot, rows)
        refused += refused_by([plugin], info, snapshot, (codes != 0).astype(np.intp), codes, rows)
        if regardless is not None:
            break  # what it says of the others, and so what comes first there, is not known
        rows = rows[codes == 0]
    return refused
