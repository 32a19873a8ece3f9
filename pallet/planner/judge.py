"""Judging places that somebody else chose, by the same rules by which the scheduler chooses."""

import numpy as np

from pallet.cache.pod_info import PodInfo
from pallet.framework.evaluator import Evaluator
from pallet.framework.interface import Scores
from pallet.framework.state import CycleState
from pallet.framework.verdicts import INFEASIBLE


class Judge(Evaluator):
    """An evaluator that also tells the totals of all nodes, not only the best one."""

    def totals(self, state: CycleState, info: PodInfo) -> Scores:
        """The total of every row, INFEASIBLE where the pod cannot go; not to be changed by the caller.

        Raises PluginError when a plugin answers with an error.
        """
        names, _, refusal = self._pre_filter(state, info)
        if refusal is None and names is None:
            return self._totals_over_all(state, info)
        totals = np.full(self._snapshot.table.capacity, INFEASIBLE, np.int64)
        if refusal is None and names is not None:
            rows, found = self._totals_over(state, info, self._rows(names))
            totals[rows] = found
        return totals
