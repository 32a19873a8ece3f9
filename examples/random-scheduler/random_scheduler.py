"""RandomScheduler: leaves the choice of the node to chance, and says in an event which one it was."""

from typing import Any

import numpy as np

from pallet.api.node import NODES, Node
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import NodeInfo, Snapshot
from pallet.framework.handle import Handle
from pallet.framework.interface import MAX_SCORE, MIN_SCORE, Codes, Reads, RowChoice
from pallet.framework.state import CycleState
from pallet.framework.status import Status, unschedulable
from pallet.informers import Handler
from pallet.logs import get_logger

log = get_logger("pallet.random_scheduler")  # below "pallet", so that -v counts for it


class RandomScheduler:
    """Refuses some nodes at random, and gives the others random scores."""

    name = "RandomScheduler"
    filter_reads = Reads.CLUSTER  # the verdicts hold for one cycle: nothing is remembered

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take the dice, and watch nodes come."""
        self._rng = handle.rng
        handle.informers.informer(NODES).add_handler(Handler(on_add=_announce))

    def filter_signature(self, info: PodInfo) -> str:
        """Every pod is asked about."""
        return self.name

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Toss a coin for each node that is left, and keep one: no pod waits because of bad luck alone."""
        count = np.arange(snapshot.table.capacity)[rows].size
        codes = np.array([self._rng.randrange(2) for _ in range(count)], np.uint32)
        if count:
            codes[self._rng.randrange(count)] = 0
        return codes

    def explain(self, info: PodInfo, code: int) -> Status:
        """The only reason."""
        return unschedulable("node(s) had bad luck")

    def score(self, state: CycleState, info: PodInfo, node: NodeInfo) -> int:
        """Roll a die."""
        return self._rng.randint(MIN_SCORE, MAX_SCORE)

    def scheduled_note(self, state: CycleState, info: PodInfo, node_name: str) -> str:
        """The words of the pod's event Scheduled."""
        return f"Placed pod [{info.pod.key}] on {node_name}"

    def post_bind(self, state: CycleState, info: PodInfo, node_name: str) -> None:
        """Log the same."""
        log.info(self.scheduled_note(state, info, node_name))


def _announce(node: Node) -> None:
    log.info(f"New Node Added to Store: {node.metadata.name}")
