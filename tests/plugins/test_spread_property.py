"""Whatever happens in the cluster, the plugin says what somebody says who counts pods one by one."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pallet.api.core import SERVICES, Service, ServiceSpec
from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.node import Node, Taint
from pallet.api.pod import Pod, Toleration, TopologySpreadConstraint
from pallet.api.selectors import LabelSelector
from pallet.cache.pod_info import PodInfo
from pallet.framework.state import CycleState
from pallet.plugins import spread_scores
from pallet.plugins.pod_topology_spread import PodTopologySpread
from tests.builders import HOSTNAME, ZONE, at, make_node, make_pod
from tests.plugins.asking import Asked

UNEVEN = "node(s) didn't match pod topology spread constraints"
NO_LABEL = "!node(s) didn't match pod topology spread constraints (missing required label)"
RACK = "example.com/rack"
TAINT = Taint("hard", "NoSchedule")
WEB = LabelSelector(Labels({"app": "web"}))
SERVICE = Service(ObjectMeta(name="db", namespace="default"), ServiceSpec(selector=Labels({"app": "db"})))
DEFAULTS = tuple(
    TopologySpreadConstraint(skew, key, "ScheduleAnyway", LabelSelector(SERVICE.spec.selector))
    for skew, key in ((3, HOSTNAME), (5, ZONE))
)
NODES = ("n0", "n1", "n2", "n3")


def counts(constraint: TopologySpreadConstraint, pod: Pod, other: Pod) -> bool:
    """Whether a constraint of a pod counts another pod, wherever it is."""
    selector = constraint.label_selector
    if selector is None:
        return False
    mine, theirs = pod.metadata, other.metadata
    pinned = [key for key in constraint.match_label_keys if key in mine.labels]
    return selector.matches(theirs.labels) and all(
        theirs.labels.get(key) == mine.labels[key] for key in pinned
    )


def pods_on(node: Node, constraint: TopologySpreadConstraint, pod: Pod, pods: Sequence[Pod]) -> int:
    if constraint.label_selector == LabelSelector() and not set(constraint.match_label_keys) & set(
        pod.metadata.labels
    ):
        return 0
    return sum(
        other.spec.node_name == node.metadata.name
        and not other.terminating
        and other.metadata.namespace == pod.metadata.namespace
        and counts(constraint, pod, other)
        for other in pods
    )


def included(node: Node, constraint: TopologySpreadConstraint, pod: Pod) -> bool:
    wanted = pod.spec.node_selector.items() <= node.metadata.labels.items()
    welcome = TAINT not in node.spec.taints or bool(pod.spec.tolerations)
    return (wanted or constraint.node_affinity_policy == "Ignore") and (
        welcome or constraint.node_taints_policy == "Ignore"
    )


def has_all(node: Node, constraints: Sequence[TopologySpreadConstraint]) -> bool:
    return all(each.topology_key in node.metadata.labels for each in constraints)


def refusals(pod: Pod, nodes: Sequence[Node], pods: Sequence[Pod]) -> dict[str, str]:
    hard = [
        each for each in pod.spec.topology_spread_constraints if each.when_unsatisfiable == "DoNotSchedule"
    ]
    return {node.metadata.name: refusal(node, hard, pod, nodes, pods) for node in nodes}


def refusal(
    node: Node,
    hard: Sequence[TopologySpreadConstraint],
    pod: Pod,
    nodes: Sequence[Node],
    pods: Sequence[Pod],
) -> str:
    for constraint in hard:
        domain = node.metadata.labels.get(constraint.topology_key)
        if domain is None:
            return NO_LABEL
        sums: dict[str, int] = {}
        for other in nodes:
            if has_all(other, hard) and included(other, constraint, pod):
                value = other.metadata.labels[constraint.topology_key]
                sums[value] = sums.get(value, 0) + pods_on(other, constraint, pod, pods)
        lowest = min(sums.values(), default=0) if len(sums) >= (constraint.min_domains or 1) else 0
        if sums.get(domain, 0) + counts(constraint, pod, pod) - lowest > constraint.max_skew:
            return UNEVEN
    return ""


def ranking(pod: Pod, nodes: Sequence[Node], pods: Sequence[Pod], among: Sequence[str]) -> dict[str, int]:
    given = pod.spec.topology_spread_constraints
    soft = [each for each in given if each.when_unsatisfiable == "ScheduleAnyway"]
    if not given and pod.metadata.labels.get("app") == "db":
        soft = list(DEFAULTS)
    if not soft:
        return {}
    feasible = [node for node in nodes if node.metadata.name in among]
    ranked = [node for node in feasible if not given or has_all(node, soft)]
    raw = {node.metadata.name: 0.0 for node in ranked}
    for constraint in soft:
        key = constraint.topology_key
        domains = {node.metadata.labels.get(key, "") for node in ranked}
        weight = math.log(2 + (len(ranked) if key == HOSTNAME else len(domains)))
        for node in ranked:
            if key not in node.metadata.labels:
                continue
            members = [
                other
                for other in nodes
                if other.metadata.labels.get(key, "") == node.metadata.labels[key]
                and (not given or has_all(other, soft))
                and included(other, constraint, pod)
            ]
            if key == HOSTNAME:
                members = [node]
            number = sum(pods_on(other, constraint, pod, pods) for other in members)
            raw[node.metadata.name] += number * weight + (constraint.max_skew - 1)
    rounded = {name: round(score) for name, score in raw.items()}
    high, low = max(rounded.values(), default=0), min(rounded.values(), default=0)
    scores = dict.fromkeys(among, 0)
    for name, score in rounded.items():
        scores[name] = 100 * (high + low - score) // high if high else 100
    return scores


def node(name: str, labels: Mapping[str, str | None], *, tainted: bool, hostname: bool) -> Node:
    made = make_node(name, taints=[TAINT] if tainted else ())
    kept = {key: value for key, value in labels.items() if value is not None}
    named = {HOSTNAME: name} if hostname else {}
    return replace(made, metadata=replace(made.metadata, labels=Labels(named | kept)))


one_node = st.sampled_from(NODES)
nodes = st.builds(
    node,
    one_node,
    st.fixed_dictionaries(
        {
            ZONE: st.sampled_from(("1", "2", "3", "", None)),
            RACK: st.sampled_from(("1", "2", None)),
            "disk": st.sampled_from(("ssd", None)),
        }
    ),
    tainted=st.sampled_from((False, False, True)),
    hostname=st.sampled_from((True, True, True, False)),
)
constraints = st.builds(
    TopologySpreadConstraint,
    st.integers(1, 3),
    st.sampled_from((ZONE, HOSTNAME, RACK)),
    st.sampled_from(("DoNotSchedule", "ScheduleAnyway")),
    st.sampled_from((WEB, WEB, LabelSelector(SERVICE.spec.selector), LabelSelector(), None)),
    st.sampled_from((None, 1, 2, 3)),
    st.sampled_from(("Honor", "Ignore")),
    st.sampled_from(("Honor", "Ignore")),
    st.sampled_from(((), (), ("hash",), ("hash", "none"))),
)
labels = st.fixed_dictionaries({"app": st.sampled_from(("web", "db")), "hash": st.sampled_from(("a", "b"))})
wanted = st.builds(
    make_pod,
    st.just("new"),
    pod_set=st.just(""),
    labels=labels,
    spread=st.one_of(st.just(()), st.lists(constraints, min_size=1, max_size=3)),
    node_selector=st.sampled_from(({}, {"disk": "ssd"})),
    tolerations=st.sampled_from(((), (Toleration("hard", "Exists"),))),
)
placed = st.builds(
    make_pod,
    st.sampled_from([f"p{number}" for number in range(20)]),
    pod_set=st.just(""),
    node=one_node,
    labels=labels,
    namespace=st.sampled_from(("default", "default", "default", "other")),
    deleted=st.sampled_from((None, None, 1.0)),
)
events = st.one_of(
    nodes, placed, placed, st.tuples(st.sampled_from(("drop", "remove", "delete")), st.integers(0, 19))
)


class Cluster:
    """The same cluster twice: as the plugin sees it, and as lists."""

    def __init__(self) -> None:
        self.asked = Asked(PodTopologySpread, objects={SERVICES: [SERVICE]})
        self.nodes: dict[str, Node] = {}
        self.pods: dict[str, Pod] = {}

    def apply(self, event: Node | Pod | tuple[str, int]) -> None:
        if isinstance(event, Node):
            self.nodes[event.metadata.name] = event
            self.asked.cache.put_node(event)
        elif isinstance(event, Pod):
            self.put(event)
        elif event[0] == "drop":
            name = NODES[event[1] % len(NODES)]
            self.nodes.pop(name, None)
            self.asked.cache.drop_node(name)
        elif (pod := self.pods.get(f"uid-p{event[1]}")) is not None:
            if event[0] == "remove":
                self.asked.cache.drop_pod(self.pods.pop(pod.metadata.uid))
            else:
                self.put(replace(pod, metadata=replace(pod.metadata, deletion_timestamp=at(5))))

    def put(self, pod: Pod) -> None:
        before = self.pods.get(pod.metadata.uid)
        if before is not None and before.metadata.namespace != pod.metadata.namespace:
            return
        self.pods[pod.metadata.uid] = pod
        self.asked.cache.put_pod(pod)

    def compare(self, pod: Pod) -> None:
        nodes, pods = list(self.nodes.values()), list(self.pods.values())
        refused = refusals(pod, nodes, pods)
        assert self.asked.messages(pod) == refused
        among = [name for name, message in refused.items() if not message]
        if among:
            assert self.asked.scores(pod, among) == ranking(pod, nodes, pods, among)

    def suppose(self, pod: Pod, there: Pod) -> None:
        """Another pod is placed for a moment, after pre-filter saw the cluster without it."""
        plugin, snapshot, info = self.asked.plugin, self.asked.cache.snapshot, PodInfo(pod)
        state = CycleState()
        plugin.pre_filter(state, info, snapshot)
        supposed = replace(there, metadata=replace(there.metadata, uid="supposed"))
        node = there.spec.node_name
        if node not in snapshot.table.row_of:
            return
        fork = snapshot.fork()
        fork.place(PodInfo(supposed), node)
        nodes, pods = list(self.nodes.values()), [*self.pods.values(), supposed]
        for name, message in refusals(pod, nodes, pods).items():
            rows = np.array([snapshot.table.row_of[name]])
            code = int(plugin.filter_rows(state, info, fork, rows)[0])
            assert (plugin.explain(info, code).message if code else "") == message.removeprefix("!")
        fork.close()


@settings(max_examples=100)
@given(
    first=st.lists(nodes, min_size=3, max_size=5),
    there=st.lists(placed, min_size=8, max_size=20),
    happening=st.lists(events, max_size=8),
    asking=st.lists(wanted, min_size=1, max_size=3),
    few_cells=st.sampled_from((0, spread_scores._FEW_GROUPS)),
)
def test_it_counts_as_one_would_by_hand(
    first: list[Node],
    there: list[Pod],
    happening: list[Node | Pod | tuple[str, int]],
    asking: list[Pod],
    few_cells: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spread_scores, "_FEW_GROUPS", few_cells)
        live_through(first, there, happening, asking)


def live_through(
    first: list[Node], there: list[Pod], happening: list[Node | Pod | tuple[str, int]], asking: list[Pod]
) -> None:
    cluster = Cluster()
    for node in first:
        cluster.apply(node)
    for pod in there:
        cluster.apply(pod)
    for pod in asking:
        cluster.compare(pod)
    for event in happening:
        cluster.apply(event)
        for pod in asking:
            cluster.compare(pod)
            if isinstance(event, Pod):
                cluster.suppose(pod, event)
