"""What a walk over a plain list of nodes and pods finds: what a snapshot of them has to answer."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.api.requests import CPU, MEMORY, PODS, amount
from pallet.api.selectors import LabelSelector
from pallet.cache.counters import COSTLY
from pallet.cache.pod_info import ANY_ADDRESS, AffinityTerm, HostPort, PodInfo
from pallet.cache.resource_columns import NATIVE, OVERFULL
from pallet.cache.selection import PodSelection, PodSelector, all_of, weighted
from pallet.cache.snapshot import Snapshot
from pallet.cache.tally import Counts, Tally
from pallet.cache.views import HeldTermsView
from tests.builders import HOSTNAME, ZONE, make_pod

TEAM = LabelSelector(Labels({"team": "x"}))
EVERYWHERE = LabelSelector()

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

PORTS = (HostPort("TCP", 80, ANY_ADDRESS), HostPort("TCP", 80, "10.0.0.1"), HostPort("TCP", 80, "10.0.0.2"))


@dataclass
class Walked:
    """Nodes by name, pods by UID with the name of their node, the labels of namespaces."""

    nodes: dict[str, Node]
    pods: dict[str, tuple[Pod, str]]
    namespaces: dict[str, Labels]

    def copy(self) -> "Walked":
        return replace(self, nodes=dict(self.nodes), pods=dict(self.pods), namespaces=dict(self.namespaces))

    def on(self, name: str) -> list[Pod]:
        return [pod for pod, node in self.pods.values() if node == name]

    def check(self, snapshot: Snapshot) -> None:
        table = snapshot.table
        assert table.row_of.keys() == self.nodes.keys()
        assert sorted(table.row_of.values()) == list(snapshot.rows()) == list(range(len(self.nodes)))
        assert {table.name(row) for row in snapshot.rows()} == self.nodes.keys()
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
        assert {info.uid: info.pod for info in seen.pods} == by_uid
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
        taken = {port for pod in placed for port in PodInfo(pod).ports}
        for wanted in PORTS:
            clash = any(wanted.ip == port.ip or ANY_ADDRESS in (wanted.ip, port.ip) for port in taken)
            assert snapshot.ports.is_taken(wanted, row) == (row in snapshot.ports.rows(wanted)) == clash

    def check_counters(self, snapshot: Snapshot) -> None:
        for selection in ASKED:
            expected = np.zeros(snapshot.table.capacity, np.int64)
            for pod, node in self.pods.values():
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
        held: HeldTermsView,
        terms_of: Callable[[PodInfo], list[tuple[AffinityTerm, int]]],
    ) -> None:
        """The weights on each node of the held terms that select a newcomer, by topology key."""
        met = held.meet(newcomer)
        tallies = [(key, met.tally(key).by_row) for key in met.keys] if met else []
        found = {
            (key, snapshot.table.name(row)): int(counts[row])
            for key, counts in tallies
            for row in counts.nonzero()[0].tolist()
        }
        expected: dict[tuple[str, str], int] = {}
        for pod, node in self.pods.values():
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
