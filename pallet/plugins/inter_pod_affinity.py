"""InterPodAffinity: near to some pods and away from others, by topology domain.

Every question is answered by summing a counter (see `pallet.cache.counters`) by the domains of a label
column. Rules and words are those of kube-scheduler's plugin of this name.
"""

from collections.abc import Hashable, Iterable
from typing import Annotated

import msgspec
import numpy as np

from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.cache.columns import ABSENT, Mask
from pallet.cache.counters import Counts
from pallet.cache.node_table import NodeTable
from pallet.cache.pod_info import AffinityTerm, PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.handle import Handle
from pallet.framework.interface import MAX_SCORE, Codes, Reads, RowChoice, Scores
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, SUCCESS, Status, unresolvable, unschedulable
from pallet.plugins import names

_NOT_NEAR, _TOO_NEAR, _KEPT_AWAY = 1, 2, 3


class InterPodAffinityArgs(msgspec.Struct, frozen=True, rename="camel"):
    """How much a placed pod's required affinity counts in a newcomer's score, and whether wishes count."""

    hard_pod_affinity_weight: Annotated[int, msgspec.Meta(ge=0, le=100)] = 1
    ignore_preferred_terms_of_existing_pods: bool = False


class InterPodAffinity:
    """Refuses nodes by required terms, the pod's and those of placed pods; ranks by preferred ones."""

    name = names.INTER_POD_AFFINITY
    reads = Reads.CLUSTER
    args_type = InterPodAffinityArgs

    def __init__(self, args: InterPodAffinityArgs, handle: Handle) -> None:
        """Take the weights, and the cache whose namespaces decide what a term selects."""
        self._args = args
        self._cache = handle.cache

    def pre_filter(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> tuple[frozenset[str] | None, Status]:
        """Leave out what no term concerns: most pods have none, and none is about them."""
        if not any(True for _ in self._weighted_counts(info, snapshot)):
            state.skipped_scores.add(self.name)
        keepers = snapshot.holders.anti.matching(info.pod, snapshot.counters)
        if info.terms.required or info.terms.required_anti or keepers:
            return None, SUCCESS
        return None, SKIP

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """Asked about every pod, unless left out above."""
        return self.name

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Which required term refuses the node: of affinity, of anti-affinity, or of a placed pod."""
        table = snapshot.table
        codes = np.zeros(table.live[rows].shape, np.uint32)
        for term, counts in snapshot.holders.anti.matching(info.pod, snapshot.counters):
            codes[shares_domain(table, term.topology_key, counts)[rows]] = _KEPT_AWAY
        for term in info.terms.required_anti:
            counts = snapshot.counters.count((term.pods,))
            codes[shares_domain(table, term.topology_key, counts)[rows]] = _TOO_NEAR
        if info.terms.required:
            codes[~self._near(info, snapshot)[rows]] = _NOT_NEAR
        return codes

    def explain(self, info: PodInfo, code: int) -> Status:
        """Whose term it was."""
        if code == _NOT_NEAR:
            return unresolvable("node(s) didn't match pod affinity rules")
        if code == _TOO_NEAR:
            return unschedulable("node(s) didn't match pod anti-affinity rules")
        return unschedulable("node(s) didn't satisfy existing pods anti-affinity rules")

    def score_signature(self, info: PodInfo) -> Hashable | None:
        """Asked about every pod, unless left out above."""
        return self.name

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """The sum of weights of preferred terms, the pod's own and those of placed pods that select it."""
        by_key: dict[str, Counts] = {}
        for key, weight, counts in self._weighted_counts(info, snapshot):
            by_key[key] = by_key.get(key, 0) + weight * counts
        scores = np.zeros(snapshot.table.capacity, np.int64)
        for key, weights in by_key.items():
            scores += by_domain(snapshot.table, key, weights)
        return scores[rows]

    def normalize(self, scores: Scores, low: int, high: int) -> Scores:
        """From the lowest, which becomes 0, to the highest."""
        if high == low:
            return np.zeros_like(scores)
        return (MAX_SCORE * ((scores - low) / (high - low))).astype(np.int64)

    def events_to_register(self) -> list[EventInterest]:
        """A pod that comes, goes or changes its labels; a node that is new or in another domain."""
        pods = Action.ADD | Action.DELETE | Action.UPDATE_POD_LABEL
        nodes = Action.ADD | Action.UPDATE_NODE_LABEL
        return [
            EventInterest(ClusterEvent(EventResource.ASSIGNED_POD, pods), self._concerns),
            EventInterest(ClusterEvent(EventResource.UNSCHEDULED_POD, Action.UPDATE_POD_LABEL)),
            EventInterest(ClusterEvent(EventResource.NODE, nodes), _changes_a_domain),
        ]

    def _near(self, info: PodInfo, snapshot: Snapshot) -> Mask:
        """Where each required term finds pods that meet all terms, in the node's domain: bool, (capacity,).

        The first pod of a group that wants to be together meets its own terms, so any node with the
        topology labels will do for it.
        """
        table = snapshot.table
        terms = info.terms.required
        selectors = tuple(term.pods for term in terms)
        counts = snapshot.counters.count(selectors)
        labelled = np.ones(table.capacity, np.bool_)
        near = np.ones(table.capacity, np.bool_)
        anywhere = False
        for term in terms:
            labelled &= table.labels[term.topology_key].codes != ABSENT
            found = shares_domain(table, term.topology_key, counts)
            near &= found
            anywhere |= bool(found.any())
        if not anywhere and snapshot.counters.selects(selectors, info.pod):
            return labelled
        return near

    def _weighted_counts(self, info: PodInfo, snapshot: Snapshot) -> Iterable[tuple[str, int, Counts]]:
        """What makes up the score: topology key, weight, and the counter to be summed by its domains."""
        own, holders, pod = info.terms.preferred, snapshot.holders, info.pod
        for term, weight in own:
            yield term.topology_key, weight, snapshot.counters.count((term.pods,))
        if self._args.ignore_preferred_terms_of_existing_pods and not own:
            return
        for term, weights in holders.preferred.matching(pod, snapshot.counters):
            yield term.topology_key, 1, weights
        if self._args.hard_pod_affinity_weight:
            for term, counts in holders.required.matching(pod, snapshot.counters):
                yield term.topology_key, self._args.hard_pod_affinity_weight, counts

    def _concerns(self, pod: Pod, old: Pod | None, new: Pod | None) -> Hint:
        """Whether another pod's coming, going or change of labels can open a node to this pod."""
        mine = PodInfo(pod).terms
        came_near = new is not None and self._met(mine.required, new)
        was_near = old is not None and self._met(mine.required, old)
        if came_near and not was_near:
            return Hint.QUEUE
        if old is None:
            return Hint.SKIP
        went_away = any(
            self._met((term,), old) and (new is None or not self._met((term,), new))
            for term in mine.required_anti
        )
        kept_away = new is None and any(self._met((term,), pod) for term in PodInfo(old).terms.required_anti)
        return Hint.QUEUE if went_away or kept_away else Hint.SKIP

    def _met(self, terms: tuple[AffinityTerm, ...], pod: Pod) -> bool:
        """Whether a pod is what all of some terms (at least one) speak of."""
        counters = self._cache.snapshot.counters
        return bool(terms) and counters.selects(tuple(term.pods for term in terms), pod)


def by_domain(table: NodeTable, topology_key: str, counts: Counts) -> Counts:
    """For each row the sum of a counter over its topology domain; 0 where the node lacks the label."""
    column = table.labels[topology_key]
    sums = np.bincount(column.codes, weights=counts, minlength=len(column.values)).astype(np.int64)
    sums[ABSENT] = 0
    by_row: Counts = sums.take(column.codes)
    return by_row


def shares_domain(table: NodeTable, topology_key: str, counts: Counts) -> Mask:
    """Where a counter of pods is above 0 for some row of the same topology domain: bool, (capacity,)."""
    column = table.labels[topology_key]
    found = np.zeros(len(column.values), np.bool_)
    found[column.codes[counts > 0]] = True
    found[ABSENT] = False
    by_row: Mask = found.take(column.codes)
    return by_row


def _changes_a_domain(pod: Pod, old: Node | None, new: Node) -> Hint:
    """A pod with required affinity needs the domain's label; any other could go to a new node at once."""
    terms, labels = PodInfo(pod).terms, new.metadata.labels
    if old is None:
        keys = {term.topology_key for term in terms.required}
        return Hint.QUEUE if keys <= labels.keys() else Hint.SKIP
    keys = {term.topology_key for term in (*terms.required, *terms.required_anti)}
    before = old.metadata.labels
    changed = any(labels.get(key) != before.get(key) for key in keys)
    return Hint.QUEUE if changed or not keys else Hint.SKIP
