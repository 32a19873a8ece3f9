"""NodeAffinity: the nodes that a pod's node selector and node affinity ask for."""

from collections.abc import Hashable

import msgspec
import numpy as np

from pallet.api.labels import NO_LABELS
from pallet.api.node import Node
from pallet.api.pod import NodeAffinity as Wanted
from pallet.api.pod import Pod
from pallet.api.selectors import LabelSelector, NodeSelectorTerm
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.handle import Handle
from pallet.framework.interface import Codes, Reads, RowChoice, Scores
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status, unresolvable
from pallet.plugins import names
from pallet.plugins.node_selection import add_weights, match_any, match_required
from pallet.plugins.normalize import to_scale

_NOT_WANTED, _NOT_ENFORCED = 1, 2
_NOTHING_WANTED = Wanted()
_NAME_FIELD = "metadata.name"

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_TERM_RULES = (
    "is not a node selector term: matchExpressions have a label key, one of the operators In and NotIn (with "
    "values), Exists and DoesNotExist (without), Gt and Lt (with one integer); matchFields have In or NotIn "
    "and one value"
)


class NodeAffinityArgs(msgspec.Struct, frozen=True, rename="camel"):
    """`addedAffinity` is asked of every node beside what the pod wants."""

    added_affinity: Wanted | None = None

    def __post_init__(self) -> None:
        added = self.added_affinity
        if added is None:
            return
        required = added.required.node_selector_terms if added.required is not None else ()
        terms = [(f"{_REQUIRED}.nodeSelectorTerms[{number}]", term) for number, term in enumerate(required)]
        terms += [
            (f"{_PREFERRED}[{number}].preference", each.preference)
            for number, each in enumerate(added.preferred)
            if each.weight
        ]
        for path, term in terms:
            if (term.match_expressions or term.match_fields) and not term.valid:
                raise ValueError(f"addedAffinity.{path} {_TERM_RULES}")


class NodeAffinity:
    """Refuses nodes that are not asked for, ranks them by the weights of preferred terms."""

    name = names.NODE_AFFINITY
    filter_reads = Reads.NODE
    score_reads = Reads.NODE
    args_type = NodeAffinityArgs

    def __init__(self, args: NodeAffinityArgs, handle: Handle) -> None:
        """Take the added affinity."""
        self._added = args.added_affinity or _NOTHING_WANTED

    def pre_filter(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> tuple[frozenset[str] | None, Status]:
        """Narrow the search where every required term names its nodes, as for the pods of a DaemonSet."""
        required = _wanted(info.pod).required
        if required is None or not required.node_selector_terms:
            return None, SUCCESS
        named = [_named_nodes(term) for term in required.node_selector_terms]
        if any(nodes is None for nodes in named):
            return None, SUCCESS
        nodes = frozenset().union(*(nodes for nodes in named if nodes is not None))
        if not nodes:
            return None, unresolvable("pod affinity terms conflict")
        return nodes, SUCCESS

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """The node selector and the required terms."""
        key = (info.pod.spec.node_selector, _wanted(info.pod).required)
        return None if key == (NO_LABELS, None) and self._added.required is None else key

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """Whether the pod or the configuration does not want the node."""
        table = snapshot.table
        codes = np.zeros(table.live[rows].shape, np.uint32)
        pod = info.pod
        codes[~match_required(pod.spec.node_selector, _wanted(pod).required, table, rows)] = _NOT_WANTED
        if self._added.required is not None:
            codes[~match_any(self._added.required.node_selector_terms, table, rows)] = _NOT_ENFORCED
        return codes

    def explain(self, info: PodInfo, code: int) -> Status:
        """Who did not want the node: the configuration or the pod."""
        if code == _NOT_ENFORCED:
            return unresolvable("node(s) didn't match scheduler-enforced node affinity")
        return unresolvable("node(s) didn't match Pod's node affinity/selector")

    def score_signature(self, info: PodInfo) -> Hashable | None:
        """The preferred terms."""
        return (*_wanted(info.pod).preferred, *self._added.preferred) or None

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """The sum of the weights of the preferred terms that select the node."""
        preferred = (*_wanted(info.pod).preferred, *self._added.preferred)
        return add_weights(preferred, snapshot.table, rows)

    def normalize(self, scores: Scores, low: int, high: int) -> Scores:
        """In proportion to the best."""
        return to_scale(scores, high)

    def events_to_register(self) -> list[EventInterest]:
        """A node that matches now and did not, or was not there."""
        event = ClusterEvent(EventResource.NODE, Action.ADD | Action.UPDATE_NODE_LABEL)
        return [EventInterest(event, self._became_wanted)]

    def _became_wanted(self, info: PodInfo, old: Node | None, new: Node) -> Hint:
        was_wanted = old is not None and self._wants(info.pod, old)
        return Hint.QUEUE if self._wants(info.pod, new) and not was_wanted else Hint.SKIP

    def _wants(self, pod: Pod, node: Node) -> bool:
        name, labels = node.metadata.name, node.metadata.labels
        selectors = (_wanted(pod).required, self._added.required)
        return LabelSelector(match_labels=pod.spec.node_selector).matches(labels) and all(
            selector is None or selector.matches(name, labels) for selector in selectors
        )


def _wanted(pod: Pod) -> Wanted:
    affinity = pod.spec.affinity
    return (affinity and affinity.node_affinity) or _NOTHING_WANTED


def _named_nodes(term: NodeSelectorTerm) -> frozenset[str] | None:
    """The nodes that a term names, None when it names none."""
    nodes: frozenset[str] | None = None
    for field in term.match_fields:
        if field.key == _NAME_FIELD and field.operator == "In":
            nodes = frozenset(field.values) if nodes is None else nodes & frozenset(field.values)
    return nodes
