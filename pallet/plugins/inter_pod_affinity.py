"""InterPodAffinity: near to some pods and away from others, by topology domain.

Every question is answered by summing a counter (see `pallet.cache.counters`) by the domains of a label
column. Rules and words are those of kube-scheduler's plugin of this name.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np

from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.cache.changes import Rows
from pallet.cache.columns import ABSENT, LabelColumn, LabelColumns
from pallet.cache.cursor import Cursor
from pallet.cache.node_table import NodeTable
from pallet.cache.pod_info import NO_TERMS, PodInfo, PodTerms, PreferredTerm, terms_of
from pallet.cache.selection import PodSelection, all_of
from pallet.cache.snapshot import Snapshot
from pallet.cache.tally import Counts, DomainCounts, Tally
from pallet.cache.views import TermSum
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.handle import Handle
from pallet.framework.interface import MAX_SCORE, Codes, Reads, RowChoice, Scores
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, SUCCESS, Status, unresolvable, unschedulable
from pallet.plugins import names

_NOT_NEAR, _TOO_NEAR, _KEPT_AWAY = 1, 2, 3

MOST_KEYS: Final = 250
"""A pod whose terms name more topology keys of nodes is not scheduled: each costs some 0.1 ms and 80 KB."""

_FEW = 64
"""Of more rows than these, all are looked at."""


class InterPodAffinityArgs(msgspec.Struct, frozen=True, rename="camel"):
    """How much a placed pod's required affinity counts in a score, and whether its preferred terms do."""

    hard_pod_affinity_weight: Annotated[int, msgspec.Meta(ge=0, le=100)] = 1
    ignore_preferred_terms_of_existing_pods: bool = False


class InterPodAffinity:
    """Refuses nodes by required terms, the pod's and those of placed pods; ranks by preferred ones."""

    name = names.INTER_POD_AFFINITY
    filter_reads = Reads.CLUSTER
    score_reads = Reads.CLUSTER
    args_type = InterPodAffinityArgs

    def __init__(self, args: InterPodAffinityArgs, handle: Handle) -> None:
        """Take the weights, and the cache whose namespaces decide what a term selects."""
        self._args = args
        self._cache = handle.cache

    def pre_filter(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> tuple[frozenset[str] | None, Status]:
        """Leave out what no term concerns: most pods have none, and none is about them."""
        if _too_many(info.terms, snapshot.table.labels):
            return None, unresolvable(
                f"the pod's affinity terms are by more than {MOST_KEYS} topology keys that nodes have, and "
                "no more are supported"
            )
        if self.score_topic(info, snapshot) is None:
            state.skip_score(self.name)
        return None, SKIP if self.filter_topic(info, snapshot) is None else SUCCESS

    def counted(self, info: PodInfo, snapshot: Snapshot) -> Iterable[PodSelection]:
        """What the pod's own terms are counted by."""
        if not info.pod.spec.affinity:
            return ()
        terms, labels = info.terms, snapshot.table.labels
        if _too_many(terms, labels):
            return ()
        counted = [pods for key, pods in terms.away if key in labels]
        counted += [term.pods for term in terms.preferred_by_key if term.topology_key in labels]
        return [*counted, terms.near] if terms.near else counted

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """Asked about every pod, unless left out above."""
        return self.name

    def filter_topic(self, info: PodInfo, snapshot: Snapshot) -> "_Required | None":
        """The required terms, the pod's and those of placed pods that are about it."""
        terms = info.terms
        keepers = snapshot.holders.anti.meet(info.pod)
        if not (keepers or terms.required or terms.required_anti):
            return None
        first = terms.near is not None and snapshot.counters.weight(terms.near, info.pod) > 0
        return _Required(keepers, terms.away, terms.near_keys, terms.near, first)

    def filter_changes(
        self, topic: "_Required", snapshot: Snapshot, stamp: Any
    ) -> tuple[Any, list[int] | None]:
        """Where a domain got its first pod of those a term is about, or lost its last."""
        first, domains = topic.first_anywhere(snapshot), topic.domains(snapshot)
        keys, flips = [key for key, _, _ in domains], [each.flips for _, each, _ in domains]
        if stamp is None or stamp[0] != (first, keys):
            return ((first, keys), Cursor(*flips)), None
        return stamp, _domain_rows(snapshot.table, keys, stamp[1].read_each(*flips))

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Which required term refuses the node: of affinity, of anti-affinity, or of a placed pod."""
        codes: Codes = np.zeros(snapshot.table.live[rows].shape, np.uint32)
        topic = self.filter_topic(info, snapshot)
        if topic is not None:
            codes[:] = topic.code(
                snapshot, lambda column: column.codes[rows], lambda sums, codes: sums.take(codes), np.where
            )
        return codes

    def filter_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """The same for a single row."""
        topic = self.filter_topic(info, snapshot)
        if topic is None:
            return 0
        code: int = topic.code(
            snapshot,
            lambda column: column.codes.item(row),
            lambda sums, code: sums.item(code),
            lambda found, code, otherwise: code if found else otherwise,
        )
        return code

    def filter_regardless(self, info: PodInfo, snapshot: Snapshot, rows: Rows) -> Codes:
        """Where other nodes of a domain have pods enough for the refusal that there is.

        The more pods of a row go, the fewer terms refuse it. So if all of its pods went and the code were the
        same, it is so whoever goes. Of affinity that cannot be said: its terms miss those who go.
        """
        now: Codes = np.zeros(rows.size, np.uint32)
        topic = self.filter_topic(info, snapshot)
        if topic is None or topic.near:
            return now
        regardless, labels = now.copy(), snapshot.table.labels
        for key, tally, code in topic.tallies(snapshot):
            there = tally.by_domain(labels, key).sums.take(labels[key].codes[rows])
            now[there > 0] = code
            regardless[there > tally.by_row[rows]] = code
        regardless[regardless != now] = 0
        return regardless

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

    def score_topic(self, info: PodInfo, snapshot: Snapshot) -> "_Preferred | None":
        """The preferred terms, the pod's and those of placed pods that are about it, with their weights."""
        own, holders, pod = info.terms.preferred_by_key, snapshot.holders, info.pod
        others: TermSum | None = None
        needs: TermSum | None = None
        if info.terms.preferred or not self._args.ignore_preferred_terms_of_existing_pods:
            others = holders.preferred.meet(pod)
            if self._args.hard_pod_affinity_weight:
                needs = holders.required.meet(pod)
        if not (own or others or needs):
            return None
        return _Preferred(own, others, needs, self._args.hard_pod_affinity_weight)

    def score_changes(
        self, topic: "_Preferred", snapshot: Snapshot, stamp: Any
    ) -> tuple[Any, list[int] | None]:
        """Where a pod that a term is about, or that holds one, came to a domain or went."""
        domains = topic.domains(snapshot)
        keys, changes = [key for key, _, _ in domains], [each.changes for _, _, each in domains]
        if stamp is None or stamp[0] != keys:
            return (keys, Cursor(*changes)), None
        return stamp, _domain_rows(snapshot.table, keys, stamp[1].read_each(*changes))

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """The sum of weights of preferred terms, the pod's own and those of placed pods that select it."""
        topic = self.score_topic(info, snapshot)
        by_key: dict[str, Counts] = {}
        for key, weight, counts in topic.domains(snapshot) if topic else ():
            by_key[key] = by_key.get(key, 0) + weight * counts.sums
        scores: Scores | None = None
        for key, sums in by_key.items():
            share = sums.take(snapshot.table.labels[key].codes[rows])
            scores = share if scores is None else scores + share
        return np.zeros(snapshot.table.live[rows].shape, np.int64) if scores is None else scores

    def score_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """The same for a single row."""
        topic, labels = self.score_topic(info, snapshot), snapshot.table.labels
        score = 0
        for key, weight, counts in topic.domains(snapshot) if topic else ():
            score += weight * counts.sums.item(labels[key].codes.item(row))
        return score

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
            EventInterest(ClusterEvent(EventResource.TARGET_POD, Action.UPDATE_POD_LABEL)),
            EventInterest(ClusterEvent(EventResource.NODE, nodes), _changes_a_domain),
        ]

    def _concerns(self, info: PodInfo, old: Pod | None, new: Pod | None) -> Hint:
        """Whether another pod's coming, going or change of labels can open a node to this pod.

        Where that takes long to tell, it may.
        """
        mine, theirs = info.terms, terms_of(old) if old else NO_TERMS
        if len(mine.required) + len(mine.required_anti) + len(theirs.required_anti) > _FEW:
            return Hint.QUEUE
        near = mine.near
        came_near = near is not None and new is not None and self._counts(near, new)
        was_near = near is not None and old is not None and self._counts(near, old)
        if came_near and not was_near:
            return Hint.QUEUE
        if old is None:
            return Hint.SKIP
        if new is None:
            apart = [(pods, old) for _, pods in mine.away] + [(pods, info.pod) for _, pods in theirs.away]
            return Hint.QUEUE if any(self._counts(*each) for each in apart) else Hint.SKIP
        terms = [all_of(term.pods) for term in mine.required_anti]
        was_apart, is_apart = (any(self._counts(term, pod) for term in terms) for pod in (old, new))
        return Hint.QUEUE if was_apart and not is_apart else Hint.SKIP

    def _counts(self, pods: PodSelection, pod: Pod) -> bool:
        """Whether a pod is among those that are selected."""
        return self._cache.snapshot.counters.weight(pods, pod) > 0


class _Required(NamedTuple):
    """Required terms: those of placed pods that keep the pod away, and its own as in `PodTerms`.

    `first` tells whether the pod is one of those that its own affinity is about.
    """

    keepers: TermSum | None
    away: tuple[tuple[str, PodSelection], ...]
    near_keys: tuple[str, ...]
    near: PodSelection | None
    first: bool

    def domains(self, snapshot: Snapshot) -> list[tuple[str, DomainCounts, int]]:
        """The tallies by domain."""
        labels = snapshot.table.labels
        return [(key, tally.by_domain(labels, key), code) for key, tally, code in self.tallies(snapshot)]

    def tallies(self, snapshot: Snapshot) -> list[tuple[str, Tally, int]]:
        """What the terms of each topology key are counted by, and the code of a refusal for their sake.

        Of several refusals the last one counts.
        """
        counters, labels = snapshot.counters, snapshot.table.labels
        tallies = [(key, tally, _KEPT_AWAY) for key, tally in _tallies(self.keepers, snapshot)]
        tallies += [(key, counters.tally(pods), _TOO_NEAR) for key, pods in self.away if key in labels]
        if self.near:
            near = counters.tally(self.near)
            tallies += [(key, near, _NOT_NEAR) for key in self.near_keys]
        return tallies

    def code(
        self,
        snapshot: Snapshot,
        codes_of: Callable[[LabelColumn], Any],
        sums_at: Callable[[Counts, Any], Any],
        either: Callable[[Any, int, Any], Any],
    ) -> Any:
        """The rule, for one row in integers, or for some in arrays.

        Given the codes of a label there, the sums of their domains, and a choice between two values.
        """
        first, found = self.first_anywhere(snapshot), 0
        for key, domains, code in self.domains(snapshot):
            codes = codes_of(snapshot.table.labels[key])
            if code != _NOT_NEAR:
                refused = sums_at(domains.sums, codes) > 0
            elif first:
                refused = codes == ABSENT
            else:
                refused = sums_at(domains.sums, codes) <= 0
            found = either(refused, code, found)
        return found

    def first_anywhere(self, snapshot: Snapshot) -> bool:
        """Whether the pod is the first of a group that wants to be together.

        It meets its own terms, so any node with the topology labels will do for it.
        """
        if self.near is None or not self.first:
            return False
        tally, labels = snapshot.counters.tally(self.near), snapshot.table.labels
        return not any(tally.by_domain(labels, key).occupied for key in self.near_keys)


class _Preferred(NamedTuple):
    """Preferred terms: the pod's own with their weights, those of others, and what others require."""

    own: tuple[PreferredTerm, ...]
    others: TermSum | None
    needs: TermSum | None
    needs_weight: int

    def domains(self, snapshot: Snapshot) -> list[tuple[str, int, DomainCounts]]:
        """What each of the terms is counted by, and how much it counts."""
        labels = snapshot.table.labels
        tallies = [
            (key, weight, snapshot.counters.tally(pods)) for key, pods, weight in self.own if key in labels
        ]
        tallies += [(key, 1, tally) for key, tally in _tallies(self.others, snapshot)]
        tallies += [(key, self.needs_weight, tally) for key, tally in _tallies(self.needs, snapshot)]
        return [(key, weight, tally.by_domain(labels, key)) for key, weight, tally in tallies]


def _too_many(terms: PodTerms, labels: LabelColumns) -> bool:
    """Whether a pod's own terms are about more topology keys than are supported."""
    if len(terms.away) + len(terms.preferred_by_key) <= MOST_KEYS:
        return False
    keys = *(key for key, _ in terms.away), *(term.topology_key for term in terms.preferred_by_key)
    return sum(key in labels for key in keys) > MOST_KEYS


def _tallies(held: TermSum | None, snapshot: Snapshot) -> list[tuple[str, Tally]]:
    """The tallies of held terms by topology key, but for keys that no node has: they concern no node."""
    if held is None:
        return []
    return [(key, held.tally(key)) for key in snapshot.table.labels.among(held.keys)]


def _domain_rows(
    table: NodeTable, keys: Iterable[str], changed: Iterable[Sequence[int] | None]
) -> list[int] | None:
    """All rows in the domains of rows that changed, by topology key; None where they may be many."""
    found: list[int] = []
    for key, rows in zip(keys, changed, strict=True):
        if rows is None or len(rows) > _FEW:
            return None
        for row in rows:
            column = table.labels[key]
            if column.nodes[column.codes.item(row)] > _FEW:
                return None
            found += column.members(row)
    return sorted(set(found))


def _changes_a_domain(info: PodInfo, old: Node | None, new: Node) -> Hint:
    """A pod with required affinity needs the label of a domain. One with anti-affinity, or with neither,
    could go to a new node at once.

    A node that changes helps by a label for affinity that it has now, or one for anti-affinity that it had.
    """
    terms, labels = info.terms, new.metadata.labels
    if old is None:
        keys = {term.topology_key for term in terms.required}
        helps = not keys or terms.required_anti or not keys.isdisjoint(labels.keys())
        return Hint.QUEUE if helps else Hint.SKIP
    before = old.metadata.labels
    gained = {term.topology_key for term in terms.required} & labels.keys()
    lost = {term.topology_key for term in terms.required_anti} & before.keys()
    helps = any(labels.get(key) != before.get(key) for key in gained | lost)
    return Hint.QUEUE if helps or not (terms.required or terms.required_anti) else Hint.SKIP
