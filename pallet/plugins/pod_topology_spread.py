"""PodTopologySpread: pods of one kind spread evenly over topology domains.

As the Kubernetes documentation has it under "Pod Topology Spread Constraints"; where it is silent, as
kube-scheduler's plugin of this name does.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np

from pallet.api.pod import Pod
from pallet.cache.changes import ChangeLog, Rows
from pallet.cache.columns import ABSENT, LabelColumns
from pallet.cache.node_table import NodeTable
from pallet.cache.pod_info import PodInfo
from pallet.cache.selection import PodSelection
from pallet.cache.snapshot import Snapshot
from pallet.framework.events import EventInterest
from pallet.framework.handle import Handle
from pallet.framework.interface import Codes, Reads, RowChoice, Scores
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, SUCCESS, Status, unresolvable, unschedulable
from pallet.plugins import names
from pallet.plugins.spread_constraints import (
    NOT_SPREAD,
    Constraint,
    PodTopologySpreadArgs,
    Spread,
    SpreadReader,
)
from pallet.plugins.spread_domains import DomainMemory, Layouts, inclusion_of
from pallet.plugins.spread_events import SpreadHints
from pallet.plugins.spread_scores import SpreadScorer

MOST_CONSTRAINTS: Final = 128
"""A pod with more that have a say is not scheduled: each takes some 0.5 ms at 5,000 nodes."""

_UNEVEN, _NO_LABEL = np.uint32(1), np.uint32(2)


class PodTopologySpread:
    """Refuses nodes by constraints that must hold, ranks them by those that should."""

    name = names.POD_TOPOLOGY_SPREAD
    filter_reads = Reads.CLUSTER
    score_reads = Reads.CLUSTER
    args_type = PodTopologySpreadArgs

    def __init__(self, args: PodTopologySpreadArgs, handle: Handle) -> None:
        """Take the defaults, and what tells which pods they are for."""
        self._reader = SpreadReader(args, handle.informers)
        self._hints = SpreadHints(self._reader)
        self._layouts: WeakKeyDictionary[ChangeLog[int], Layouts] = WeakKeyDictionary()
        self._memories: WeakKeyDictionary[NodeTable, _Memory] = WeakKeyDictionary()
        self._last: tuple[Pod | None, int, Spread] = (None, 0, NOT_SPREAD)

    def pre_filter(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> tuple[frozenset[str] | None, Status]:
        """Leave out what no constraint concerns."""
        spread = self._spread(info.pod)
        if _too_many(spread, snapshot.table.labels):
            return None, unresolvable(
                f"the pod has more than {MOST_CONSTRAINTS} topology spread constraints by labels that nodes "
                "have, and no more are supported"
            )
        if not spread.soft:
            state.skip_score(self.name)
        return None, SUCCESS if spread.hard else SKIP

    def counted(self, info: PodInfo, snapshot: Snapshot) -> Iterable[PodSelection]:
        """What the constraints are counted by."""
        spread, labels = self._spread(info.pod), snapshot.table.labels
        if _too_many(spread, labels):
            return ()
        return [each.pods for each in (*_deciding(spread, labels), *_ranking(spread, labels))]

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """Asked about every pod, unless left out above."""
        return self.name

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Which rule the first constraint that refuses the node goes by: uneven, or label missing."""
        pod, table = info.pod, snapshot.table
        constraints = _deciding(self._spread(pod), table.labels)
        keys = tuple(each.topology_key for each in constraints)
        memory = self._memory(table).domains
        codes: Codes | None = None
        for constraint in reversed(constraints):
            domains = memory.domains(constraint, inclusion_of(constraint, keys, pod), snapshot)
            itself = 1 if constraint.selects(pod) else 0
            by_domain = (domains.sums > constraint.max_skew + domains.lowest - itself) * _UNEVEN
            by_domain[ABSENT] = _NO_LABEL
            found = by_domain.take(table.labels[constraint.topology_key].codes[rows])
            codes = found if codes is None else np.where(found, found, codes)
        return np.zeros(table.live[rows].shape, np.uint32) if codes is None else codes

    def explain(self, info: PodInfo, code: int) -> Status:
        """Taking pods away does not give a node a label."""
        reason = "node(s) didn't match pod topology spread constraints"
        if code == _NO_LABEL:
            return unresolvable(f"{reason} (missing required label)")
        return unschedulable(reason)

    def pre_score(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> Status:
        """Score the feasible rows: how many there are, and in how many domains, decides on each of them."""
        spread = self._spread(info.pod)
        if not spread.soft:
            return SKIP
        if _ranking(spread, snapshot.table.labels):
            scores = self._memory(snapshot.table).scorer.scores(spread, info.pod, snapshot, rows)
        else:
            scores = np.zeros(rows.size, np.int64)
        state.write(self.name, (rows, scores))
        return SUCCESS

    def score_signature(self, info: PodInfo) -> Hashable | None:
        """Asked about every pod, unless left out above."""
        return self.name

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """The scores found before, on the common scale already; 0 for rows that were not feasible."""
        feasible, scores = state.read(self.name)
        if rows is feasible:
            found: Scores = scores
            return found
        by_row = np.zeros(snapshot.table.capacity, np.int64)
        by_row[feasible] = scores
        return by_row[rows]

    def events_to_register(self) -> list[EventInterest]:
        """Pods that count, and nodes that are domains."""
        return self._hints.interests()

    def _spread(self, pod: Pod) -> Spread:
        """The pod's constraints; asked several times for each pod in turn."""
        last, version, spread = self._last
        if last is not pod or version != self._reader.version:
            spread = self._reader.read(pod)
            self._last = (pod, self._reader.version, spread)
        return spread

    def _memory(self, table: NodeTable) -> "_Memory":
        memory = self._memories.get(table)
        if memory is None:
            layouts = self._layouts.get(table.node_changes)
            if layouts is None:
                layouts = self._layouts[table.node_changes] = Layouts()
            memory = self._memories[table] = _Memory(layouts)
        return memory


def _deciding(spread: Spread, labels: LabelColumns) -> Sequence[Constraint]:
    """The hard constraints up to one that refuses every node, for no node has its label."""
    for place, constraint in enumerate(spread.hard):
        if constraint.topology_key not in labels:
            return spread.hard[: place + 1]
    return spread.hard


def _ranking(spread: Spread, labels: LabelColumns) -> Sequence[Constraint]:
    """The soft constraints; none where nodes are ranked only with a label that no node has."""
    ranks = not spread.strict or all(each.topology_key in labels for each in spread.soft)
    return spread.soft if ranks else ()


def _too_many(spread: Spread, labels: LabelColumns) -> bool:
    """Whether more constraints than are supported have a say."""
    if len(spread.hard) + len(spread.soft) <= MOST_CONSTRAINTS:
        return False
    return len(_deciding(spread, labels)) + len(_ranking(spread, labels)) > MOST_CONSTRAINTS


class _Memory:
    """What is remembered of one node table: the live one, or that of a hypothesis."""

    def __init__(self, layouts: Layouts) -> None:
        self.domains = DomainMemory(layouts)
        self.scorer = SpreadScorer(self.domains)
