"""Looking at some of the nodes only, where a configuration asks for it (`percentageOfNodesToScore`).

Here all nodes are scored by default, for that costs next to nothing. A configuration that says otherwise gets
kube-scheduler's choice: the first feasible nodes from a start that moves on from pod to pod.
"""

import numpy as np

from pallet.cache.changes import Rows

FEWEST_NODES = 100
FEWEST_PERCENT = 5


class Sampler:
    """Looks at only as many feasible nodes as the percentage of all nodes says.

    A percentage of 0 stands for one that shrinks with the cluster, from 50 down to 5. Fewer than 100 nodes
    are never asked for. Scores stay as they were normalised over all feasible nodes.
    """

    def __init__(self, percentage: int) -> None:
        self._percentage = percentage
        self._start = 0

    def sample(self, feasible: Rows, node_count: int) -> Rows:
        """Which of the feasible rows to look at, by their place among them."""
        wanted = self.nodes_to_find(node_count)
        if feasible.size <= wanted:
            return np.arange(feasible.size)
        first = int(np.searchsorted(feasible, self._start))
        sampled: Rows = (first + np.arange(wanted)) % feasible.size
        self._start = int(feasible[sampled[-1]]) + 1
        return sampled

    def nodes_to_find(self, node_count: int) -> int:
        """How many feasible nodes are enough."""
        if node_count < FEWEST_NODES:
            return node_count
        percentage = self._percentage or max(50 - node_count // 125, FEWEST_PERCENT)
        return max(node_count * percentage // 100, FEWEST_NODES)
