"""The cache against a plain list of nodes and pods that is walked for every answer."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.node import Node, Taint
from pallet.api.pod import ContainerPort, Pod
from pallet.api.requests import CPU, MEMORY, PODS, amount
from pallet.api.selectors import LabelSelector
from pallet.cache.cache import Cache, Hold
from pallet.cache.counters import COSTLY
from pallet.cache.holders import HeldTerms
from pallet.cache.pod_info import AffinityTerm, PodInfo
from pallet.cache.reservation import Owner
from pallet.cache.resource_columns import NATIVE, OVERFULL
from pallet.cache.selection import PodSelection, PodSelector, all_of, weighted
from pallet.cache.snapshot import Snapshot
from pallet.cache.tally import Counts, Tally
from tests.builders import HOSTNAME, ZONE, make_node, make_pod, pod_affinity, pod_term

NODES = ("a", "b", "c")
GPU = "example.com/gpu"
ONE, TWO = Taint("one", "NoSchedule"), Taint("two", "NoExecute")
TEAM = LabelSelector(Labels({"team": "x"}))
EVERYWHERE = LabelSelector()

AFFINITIES = (
    None,
    pod_affinity(near=[pod_term("web", ZONE)], rather_away={pod_term("db"): 7}),
    pod_affinity(away=[pod_term("web"), pod_term("db", ZONE, namespace_selector=TEAM)]),
    pod_affinity(rather_near={pod_term("web", ZONE): 5}, rather_away={pod_term("web", ZONE): 5}),
)
SELECTORS = tuple(
    PodSelector(labels, frozenset(namespaces), of)
    for labels in (LabelSelector(Labels({"app": "web"})), EVERYWHERE, None)
    for namespaces, of in (({"default"}, None), (set[str](), TEAM), ({"other"}, EVERYWHERE))
)
OTHERS = [
    PodSelector(LabelSelector(Labels({"app": f"other-{n}"})), frozenset({"default"})) for n in range(COSTLY)
]
ASKED = (
    *map(all_of, SELECTORS),
    all_of(SELECTORS[0], SELECTORS[4]),
    weighted((((SELECTORS[0],), 5), ((SELECTORS[0], SELECTORS[4]), -2), ((SELECTORS[1],), 1))),
    weighted((((SELECTORS[0],), 3), ((SELECTORS[2],), -1), *(((other,), 1) for other in OTHERS))),
)
"""Of these the last is a costly one."""

nodes = st.builds(
    make_node,
    st.sampled_from(NODES),
    cpu=st.sampled_from(("4", "8")),
    taints=st.sampled_from(((), (ONE,), (ONE, TWO))),
    cordoned=st.booleans(),
    labels=st.sampled_from(({}, {ZONE: "z1"}, {ZONE: "z2", "disk": "ssd"})),
    offers=st.sampled_from(({}, {GPU: "2"}, {GPU: "0"}, {GPU: "3", "example.com/nic": "1"})),
    images=st.sampled_from(({}, {"image:latest": 5}, {"image:latest": 6, "other:1": 7})),
)


def pods_of(namespace: str, names: str) -> st.SearchStrategy[Pod]:
    return st.builds(
        make_pod,
        st.sampled_from(names),
        pod_set=st.just(""),
        namespace=st.just(namespace),
        requests=st.sampled_from(
            ({"cpu": "1"}, {"cpu": "250m", GPU: "1"}, {GPU: "2", "example.com/none": "1"})
        ),
        labels=st.sampled_from(({}, {"app": "web"}, {"app": "db"})),
        deleted=st.sampled_from((None, 1)),
        ports=st.sampled_from(
            ((), (ContainerPort(80),), (ContainerPort(80, "TCP", "10.0.0.1"), ContainerPort(80)))
        ),
        affinity=st.sampled_from(AFFINITIES),
    )


pods = pods_of("default", "pq") | pods_of("other", "rs")
on_nodes = st.sampled_from(NODES)


class CacheModel(RuleBasedStateMachine):
    """Events and decisions in any order, and after each of them the whole of the cache."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache()
        self.nodes: dict[str, Node] = {}
        self.held: dict[str, tuple[Pod, str, Hold]] = {}
        self.namespaces: dict[str, Labels] = {}

    @property
    def snapshot(self) -> Snapshot:
        return self.cache.snapshot

    @rule(node=nodes)
    def put_node(self, node: Node) -> None:
        self.cache.put_node(node)
        self.nodes[node.metadata.name] = node

    @rule(name=on_nodes)
    def drop_node(self, name: str) -> None:
        self.cache.drop_node(name)
        self.nodes.pop(name, None)

    @rule(name=st.sampled_from(("default", "other")), labels=st.sampled_from(({}, {"team": "x"})))
    def set_namespace(self, name: str, labels: dict[str, str]) -> None:
        self.cache.set_namespace(name, Labels(labels))
        self.namespaces[name] = Labels(labels)

    @rule(pod=pods, node=on_nodes, finished=st.sampled_from(("Running",) * 3 + ("Failed",)))
    def see_pod(self, pod: Pod, node: str, finished: str) -> None:
        seen = make_pod_on(pod, node, finished)
        self.cache.put_pod(seen)
        self.held.pop(seen.metadata.uid, None)
        if not seen.finished:
            self.held[seen.metadata.uid] = (seen, node, Hold.BOUND)

    @rule(pod=pods)
    def lose_pod(self, pod: Pod) -> None:
        self.cache.drop_pod(pod)
        self.held.pop(pod.metadata.uid, None)

    @rule(pod=pods, node=on_nodes)
    def reserve(self, pod: Pod, node: str) -> None:
        self.cache.reserve(PodInfo(pod), node, Owner())
        if self.hold(pod) in (None, Hold.RESERVED):
            self.held[pod.metadata.uid] = (pod, node, Hold.RESERVED)

    @rule(pod=pods)
    def unreserve(self, pod: Pod) -> None:
        reserved = self.hold(pod) is Hold.RESERVED
        expected = self.held[pod.metadata.uid][1] if reserved else None
        reservation = self.cache.unreserve(pod.metadata.uid)
        assert (reservation and reservation.node) == expected
        if reserved:
            del self.held[pod.metadata.uid]

    @rule(pod=pods, node=on_nodes)
    def assume(self, pod: Pod, node: str) -> None:
        if self.hold(pod) in (None, Hold.RESERVED):
            self.cache.assume(PodInfo(pod), node)
            self.held[pod.metadata.uid] = (pod, node, Hold.ASSUMED)

    @rule(pod=pods)
    def forget(self, pod: Pod) -> None:
        self.cache.forget(pod.metadata.uid)
        if self.hold(pod) is Hold.ASSUMED:
            del self.held[pod.metadata.uid]

    @precondition(lambda self: self.snapshot.table.capacity < 200)
    @rule()
    def grow(self) -> None:
        """Make the table hold more rows than it has."""
        names = [f"new-{number}" for number in range(self.snapshot.table.capacity)]
        for name in names:
            self.cache.put_node(make_node(name))
        for name in names:
            self.cache.drop_node(name)

    @rule()
    def go_on_with_a_copy(self) -> None:
        """A copy must be as good as what it was made of, and so must what it was made of."""
        self.check(self.snapshot.copy())

    @invariant()
    def all_is_as_walked(self) -> None:
        self.check(self.snapshot)
        for uid, (pod, node, hold) in self.held.items():
            placement = self.cache.placement(uid)
            assert placement is not None
            assert (placement.hold, placement.node) == (hold, node)
            assert placement.info.pod == pod
        for hold in Hold:
            assert self.cache.count(hold) == sum(held is hold for _, _, held in self.held.values())

    def hold(self, pod: Pod) -> Hold | None:
        held = self.held.get(pod.metadata.uid)
        return held and held[2]

    def on(self, name: str) -> list[Pod]:
        return [pod for pod, node, _ in self.held.values() if node == name]

    def check(self, snapshot: Snapshot) -> None:
        table = snapshot.table
        assert table.row_of.keys() == self.nodes.keys()
        assert sorted(table.row_of.values()) == list(snapshot.rows()) == list(range(len(self.nodes)))
        assert {table.name(row) for row in snapshot.rows()} == self.nodes.keys()
        assert table.capacity == 64 or table.capacity <= 4 * len(self.nodes)
        offered = {name for node in self.nodes.values() for name in offers(node)}
        assert table.resources.keys() == table.resources.offered == {*NATIVE, *offered}
        labels = Counter(key for node in self.nodes.values() for key in node.metadata.labels)
        assert table.labels._nodes == labels
        assert table.labels._columns.keys() <= labels.keys()
        assert table.taints.present.keys() == {
            each for node in self.nodes.values() for each in node.spec.taints
        }
        for name, row in table.row_of.items():
            self.check_row(snapshot, name, row)
        used = len(self.nodes)
        for column in table.resources.values():
            for amounts in (column.allocatable, column.requested, column.scored):
                assert amounts.shape == (table.capacity,)
                assert not amounts[used:].any()
        for present in table.taints.present.values():
            assert not present[used:].any()
        self.check_counters(snapshot)

    def check_row(self, snapshot: Snapshot, name: str, row: int) -> None:
        table, node, placed = snapshot.table, self.nodes[name], self.on(name)
        assert table.nodes[row] == node
        by_uid = {pod.metadata.uid: pod for pod in placed}
        assert {info.uid: info.pod for info in snapshot.pods(row)} == by_uid
        seen = snapshot.node(row)
        assert (seen.row, seen.node) == (row, node)
        assert {pod.metadata.uid: pod for pod in seen.pods} == by_uid
        offered = offers(node)
        shown = {*NATIVE, *offered}
        assert seen.allocatable == {name: table.resources[name].allocatable[row] for name in shown}
        assert seen.requested == {name: table.resources[name].requested[row] for name in shown}
        requests = [PodInfo(pod).requests for pod in placed]
        asked = {key: sum(each.of(key) for each in requests) for key in {*NATIVE, *offered}}
        asked[PODS] = len(placed)
        scored = asked | {
            CPU: sum(each.scored_cpu for each in requests),
            MEMORY: sum(each.scored_memory for each in requests),
        }
        for resource, column in table.resources.items():
            assert column.allocatable[row] == offered.get(resource, 0)
            assert column.requested[row] == min(asked.get(resource, 0), OVERFULL)
            assert column.scored[row] == min(scored.get(resource, 0), OVERFULL)
            assert column.is_overfull(row) == (asked.get(resource, 0) > OVERFULL)
        for key in (HOSTNAME, ZONE, "disk"):
            labels, label = table.labels[key], node.metadata.labels.get(key)
            assert labels.nodes == np.bincount(labels.codes, minlength=len(labels.values)).tolist()
            assert labels.members(row) == (labels.codes == labels.codes[row]).nonzero()[0].tolist()
            assert labels.codes[row] == (0 if label is None else labels.code_of[label])
        present = {taint for taint, rows in table.taints.present.items() if rows[row]}
        assert present == set(node.spec.taints)
        assert table.unschedulable[row] == node.spec.unschedulable
        images = {image: rows[row] for image, rows in table.images.items() if row in rows}
        assert images == {each.names[0]: each.size_bytes for each in node.status.images}
        ports = sorted((*key, ip) for key, rows in table.ports.items() for ip in rows.get(row, ()))
        assert ports == sorted(
            (port.protocol, port.port, port.ip) for pod in placed for port in PodInfo(pod).ports
        )

    def check_counters(self, snapshot: Snapshot) -> None:
        for selection in ASKED:
            expected = np.zeros(snapshot.table.capacity, np.int64)
            for pod, node, _ in self.held.values():
                if node in self.nodes:
                    expected[snapshot.table.row_of[node]] += self.weight(selection, pod)
            assert snapshot.counters.count(selection).tolist() == expected.tolist()
            for key in (HOSTNAME, ZONE):
                self.check_domains(snapshot, key, snapshot.counters.tally(selection), expected)
        newcomer = make_pod("newcomer", pod_set="", labels={"app": "web"})
        held = snapshot.holders
        self.check_held(
            snapshot, newcomer, held.anti, lambda info: [(t, 1) for t in info.terms.required_anti]
        )
        self.check_held(snapshot, newcomer, held.required, lambda info: [(t, 1) for t in info.terms.required])
        self.check_held(snapshot, newcomer, held.preferred, lambda info: list(info.terms.preferred))

    def check_domains(self, snapshot: Snapshot, key: str, tally: Tally, expected: Counts) -> None:
        """The sums by domain, against those by the labels of the nodes that there are."""
        sums: dict[str, int] = {}
        for name, node in self.nodes.items():
            value = node.metadata.labels.get(key)
            if value is not None:
                sums[value] = sums.get(value, 0) + int(expected[snapshot.table.row_of[name]])
        column, domains = snapshot.table.labels[key], tally.by_domain(snapshot.table.labels, key)
        assert {value: domains.sums[code] for value, code in column.code_of.items() if value in sums} == sums
        assert domains.sums.sum() == sum(sums.values())
        assert domains.occupied == sum(total > 0 for total in sums.values())

    def check_held(
        self,
        snapshot: Snapshot,
        newcomer: Pod,
        held: HeldTerms,
        terms_of: Callable[[PodInfo], list[tuple[AffinityTerm, int]]],
    ) -> None:
        """The weights on each node of the held terms that select a newcomer, by topology key."""
        met = held.meet(newcomer, snapshot.counters)
        tallies = [(key, met.tally(key).by_row) for key in met.keys] if met else []
        found = {
            (key, snapshot.table.name(row)): int(counts[row])
            for key, counts in tallies
            for row in counts.nonzero()[0].tolist()
        }
        expected: dict[tuple[str, str], int] = {}
        for pod, node, _ in self.held.values():
            for term, weight in terms_of(PodInfo(pod)):
                if node in self.nodes and self.weight(all_of(term.pods), newcomer):
                    key = term.topology_key, node
                    expected[key] = expected.get(key, 0) + weight
        assert found == {key: weight for key, weight in expected.items() if weight}

    def weight(self, selection: PodSelection, pod: Pod) -> int:
        namespace = pod.metadata.namespace
        labels = self.namespaces.get(namespace, NO_LABELS)
        return sum(
            weight
            for selectors, weight in selection.parts
            if all(each.matches(namespace, labels, pod.metadata.labels) for each in selectors)
        )


def offers(node: Node) -> dict[str, int]:
    """What a node offers of each resource of which it has any."""
    found = {key: amount(key, each) for key, each in node.status.allocatable.items()}
    return {key: each for key, each in found.items() if each}


def make_pod_on(pod: Pod, node: str, phase: str) -> Pod:
    """The pod as it is seen once it has a node."""
    return replace(pod, spec=replace(pod.spec, node_name=node), status=replace(pod.status, phase=phase))


TestCacheModel = CacheModel.TestCase
TestCacheModel.settings = settings(max_examples=80, stateful_step_count=30)
