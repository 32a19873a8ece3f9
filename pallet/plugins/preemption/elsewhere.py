"""Where preempting cannot help as pods on other nodes keep the preemptor away, for many rows at once."""

from collections.abc import Sequence

import numpy as np

from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.interface import Codes, VectorFilterPlugin
from pallet.framework.state import CycleState
from pallet.runtime.row_filters import reads_loads, reads_sums


def lasting_codes(
    plugins: Sequence[VectorFilterPlugin], state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows
) -> tuple[Rows, Codes]:
    """For each row which filter is the first to refuse it whoever goes, counted from 1, and with what code.

    0 and 0 where that cannot be told without trying. On all the rows there is to be room for the pod when all
    go that may: so filters that look at sums of requests only do not refuse them.
    """
    position = np.zeros(rows.size, np.intp)
    code = np.zeros(rows.size, np.uint32)
    left = np.arange(rows.size)
    for number, plugin in enumerate(plugins, start=1):
        if reads_sums(plugin):
            continue
        regardless = getattr(plugin, "filter_regardless", None)
        if regardless is not None:
            codes = regardless(info, snapshot, rows[left])
        elif reads_loads(plugin):
            break
        else:
            codes = plugin.filter_rows(state, info, snapshot, rows[left])
        refused = codes != 0
        position[left[refused]], code[left[refused]] = number, codes[refused]
        left = left[~refused]
        if regardless is not None:
            break  # what it says of the others, and so what comes first there, is not known
    return position, code
