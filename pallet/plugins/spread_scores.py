"""Ranking the feasible nodes by soft topology spread constraints.

A node's raw score is the sum, over the constraints, of the pods in its domain, each weighted by the logarithm
of the number of domains: more pods are worse. The rules are those of kube-scheduler's plugin, whose numbers
are reached to the last one.

Nodes with the same topology labels (`Places`) and as many pods of their own score alike: they are a group.
Scores are computed for the groups, which are few, and then looked up for the nodes.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from pallet.api.pod import Pod
from pallet.bounded_cache import MIB, BoundedCache, footprint
from pallet.cache.changes import ChangeLog, Rows
from pallet.cache.columns import ABSENT, Codes
from pallet.cache.cursor import Cursor
from pallet.cache.snapshot import Snapshot
from pallet.cache.tally import Counts
from pallet.framework.interface import MAX_SCORE, Scores
from pallet.plugins.spread_constraints import HOSTNAME, Constraint, Spread
from pallet.plugins.spread_domains import DomainMemory, count_pods, inclusion_of
from pallet.plugins.spread_feasible_nodes import FeasibleNodes, FeasibleNodesMemory

_GROUPS_BYTES = 16 * MIB

_FEW_GROUPS = 1024
"""So many groups are worth it, however few nodes there are."""

_ROOM = 2
"""So many pods more than any node has can come to a node before its groups are laid out again."""

Shares = npt.NDArray[np.float64]


class SpreadScorer:
    """Scores on one table, remembering what depends on its nodes only, and the groups."""

    def __init__(self, memory: DomainMemory) -> None:
        self._memory = memory
        self._feasible_nodes = FeasibleNodesMemory()
        self._groups: BoundedCache[Spread, ScoreGroups] = BoundedCache(
            "spread_cells",
            _GROUPS_BYTES,
            lambda spread, groups: footprint(spread, _GROUPS_BYTES) + groups.bytes,
        )

    def scores(self, spread: Spread, pod: Pod, snapshot: Snapshot, rows: Rows) -> Scores:
        """The scores of the feasible rows, 0 to MAX_SCORE: the fewer pods, the higher; 0 where left out."""
        groups = self._fresh_groups(spread, snapshot, rows)
        place, counts = groups.occupied()
        raw = np.rint(self._shares(spread, pod, snapshot, groups.feasible, place, counts)).astype(np.int64)
        ranked = groups.feasible.places.ranked[place]
        return groups.look_up(_scaled(raw, raw[ranked]) * ranked)

    def _fresh_groups(self, spread: Spread, snapshot: Snapshot, rows: Rows) -> "ScoreGroups":
        groups = self._groups.get(spread)
        if groups is None or not groups.feasible.is_of(rows, snapshot.table) or not groups.follow(snapshot):
            keys = tuple(constraint.topology_key for constraint in spread.soft)
            feasible = self._feasible_nodes.of_rows(keys, snapshot.table, rows, strict=spread.strict)
            by_node = [each for each in spread.soft if each.topology_key == HOSTNAME]
            groups = self._groups[spread] = ScoreGroups(feasible, by_node, snapshot)
        return groups

    def _shares(
        self,
        spread: Spread,
        pod: Pod,
        snapshot: Snapshot,
        feasible: FeasibleNodes,
        place: Codes,
        counts: Iterable[Counts],
    ) -> Shares:
        """The sums over the constraints, given places, and the pods by node of those that count so."""
        by_node = iter(counts)
        required = tuple(constraint.topology_key for constraint in spread.soft) if spread.strict else ()
        shares = np.zeros(place.size, np.float64)
        for constraint, codes, weight in zip(
            spread.soft, feasible.places.codes, feasible.weights, strict=True
        ):
            if constraint.topology_key == HOSTNAME:  # the pods of the node itself: node policies have no say
                share = next(by_node) * weight + (constraint.max_skew - 1)
                shares += share * (codes[place] != ABSENT)
            else:
                domains = self._memory.domains(constraint, inclusion_of(constraint, required, pod), snapshot)
                by_domain = domains.sums * weight + (constraint.max_skew - 1)
                by_domain[ABSENT] = 0
                shares += by_domain.take(codes[place])
        return shares


class ScoreGroups:
    """Feasible rows by their places, and by the pods there that each of some constraints counts.

    A group's number is made of its place and its counts. Where there would be more groups than rows, each row
    is a group of its own, and nothing is kept for the next pod.
    """

    def __init__(
        self, feasible: FeasibleNodes, constraints: Sequence[Constraint], snapshot: Snapshot
    ) -> None:
        self.feasible = feasible
        self._constraints = constraints
        self._counts = [count_pods(each, snapshot).take(feasible.rows) for each in constraints]
        self._lows = [int(counts.min()) for counts in self._counts]
        self._spans = [int(np.ptp(counts)) + 1 + _ROOM for counts in self._counts]
        size = feasible.places.ranked.size
        self._strides = []
        for span in self._spans:
            self._strides.append(size)
            size *= span
        self._kept = size <= max(feasible.rows.size, _FEW_GROUPS)
        if self._kept:
            self._of_rows = feasible.of_rows.copy()
            for counts, low, stride in zip(self._counts, self._lows, self._strides, strict=True):
                self._of_rows += stride * (counts - low)
            self._rows_in = np.bincount(self._of_rows, minlength=size)
            self._cursor = Cursor(*self._logs(snapshot))
            self._counts.clear()

    @property
    def bytes(self) -> int:
        """What it takes with its feasible nodes, which others may have too."""
        own = (self._of_rows, self._rows_in) if self._kept else self._counts
        return self.feasible.bytes + sum(array.nbytes for array in own)

    def follow(self, snapshot: Snapshot) -> bool:
        """Catch up with the pods that came and went. False where it takes new groups to do so."""
        if not self._kept:
            return False
        changed = enumerate(self._cursor.read_each(*self._logs(snapshot)))
        return all(rows is not None and self._move(number, rows, snapshot) for number, rows in changed)

    def occupied(self) -> tuple[Codes, list[Counts]]:
        """The places of all groups with any rows, and the pods in each that the constraints count."""
        if not self._kept:
            return self.feasible.of_rows, self._counts
        groups = self._rows_in.nonzero()[0]
        return groups % self.feasible.places.ranked.size, [
            groups // stride % span + low
            for low, span, stride in zip(self._lows, self._spans, self._strides, strict=True)
        ]

    def look_up(self, scores: Scores) -> Scores:
        """The score of each feasible row, given those of the occupied groups."""
        if not self._kept:
            return scores
        by_cell = np.zeros(self._rows_in.size, np.int64)
        by_cell[self._rows_in > 0] = scores
        return by_cell.take(self._of_rows)

    def _logs(self, snapshot: Snapshot) -> list[ChangeLog[int]]:
        """Where each constraint's counts changed."""
        return [snapshot.counters.tally(each.pods).changes for each in self._constraints]

    def _move(self, number: int, rows: Sequence[int], snapshot: Snapshot) -> bool:
        """Move rows to the groups of their counts now. False where there is no such group."""
        if not rows:
            return True
        counts = count_pods(self._constraints[number], snapshot)
        low, span, stride = self._lows[number], self._spans[number], self._strides[number]
        among = self.feasible.rows
        for row in rows:
            position = int(among.searchsorted(row))
            if position == among.size or among.item(position) != row:
                continue
            group, count = self._of_rows.item(position), counts.item(row) - low
            if not 0 <= count < span:
                return False
            moved = group + stride * (count - group // stride % span)
            self._of_rows[position] = moved
            self._rows_in[group] -= 1
            self._rows_in[moved] += 1
        return True


def _scaled(raw: Scores, ranked: Scores) -> Scores:
    """From the most pods to the fewest, in proportion to the most, rounded down."""
    high = int(ranked.max(initial=0))
    if not high:
        return np.full(raw.size, MAX_SCORE, np.int64)
    return MAX_SCORE * (high + int(ranked.min()) - raw) // high
