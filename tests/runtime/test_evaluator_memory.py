"""What an evaluator remembers against what a new one finds out afresh, whatever happened before."""

import dataclasses
from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace

from pallet.api.labels import Labels
from pallet.api.node import Node, Taint
from pallet.api.pod import (
    Affinity,
    ContainerPort,
    NodeAffinity,
    Pod,
    PreferredSchedulingTerm,
    Toleration,
)
from pallet.api.selectors import LabelSelector, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from pallet.bounded_cache import registered
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.framework.interface import ALL_ROWS
from pallet.framework.state import CycleState
from pallet.plugins import inter_pod_affinity, spread_scores
from pallet.plugins.names import IMAGE_LOCALITY
from pallet.runtime import incremental_totals, ranking, results
from pallet.runtime.evaluator import Choice, Evaluator
from pallet.runtime.incremental_totals import INFEASIBLE
from pallet.runtime.profile import Profile
from tests.builders import HOSTNAME, ZONE, even, make_node, make_pod, pod_affinity, pod_term, rather_even
from tests.profiles import default_profile

if TYPE_CHECKING:
    from pallet.runtime.memory import PluginMemory

NODES = tuple(f"n{number}" for number in range(9))
"""More than are dealt with one by one when all change."""

HARD, SOFT = Taint("hard", "NoSchedule"), Taint("soft", "PreferNoSchedule")
GPU = "example.com/gpu"
TEAM = LabelSelector(Labels({"team": "x"}))


def in_zone(*zones: str) -> NodeSelectorTerm:
    return NodeSelectorTerm((NodeSelectorRequirement(ZONE, "In", zones),))


TEMPLATES: Mapping[str, Pod] = {
    pod.metadata.name: pod
    for pod in (
        make_pod("plain", pod_set="", labels={"app": "web"}),
        make_pod("large", pod_set="", cpu="3", requests={"cpu": "3", "memory": "2Gi"}),
        make_pod("gpu", pod_set="", requests={"cpu": "1", GPU: "1"}),
        make_pod("nothing", pod_set="", requests={}, labels={"app": "db"}),
        make_pod(
            "tolerant", pod_set="", tolerations=[Toleration("hard", "Exists"), Toleration("soft", "Exists")]
        ),
        make_pod("picky", pod_set="", node_selector={ZONE: "z1"}, images=("big:1", "image")),
        make_pod("port", pod_set="", ports=[ContainerPort(80)]),
        make_pod(
            "rather",
            pod_set="",
            affinity=Affinity(
                NodeAffinity(
                    NodeSelector((in_zone("z1", "z2"),)),
                    (PreferredSchedulingTerm(3, in_zone("z1")), PreferredSchedulingTerm(1, in_zone("z2"))),
                )
            ),
        ),
        make_pod("far", pod_set="", labels={"app": "web"}, affinity=pod_affinity(away=[pod_term("web")])),
        make_pod(
            "near",
            pod_set="",
            labels={"app": "db"},
            affinity=pod_affinity(near=[pod_term("web", ZONE)], rather_away={pod_term("db"): 10}),
        ),
        make_pod(
            "herd", pod_set="", labels={"app": "herd"}, affinity=pod_affinity(near=[pod_term("herd", ZONE)])
        ),
        make_pod(
            "shy",
            pod_set="",
            labels={"app": "shy"},
            affinity=pod_affinity(rather_away={pod_term("shy"): 3}, rather_near={pod_term("herd", ZONE): 1}),
        ),
        make_pod("even", pod_set="", labels={"app": "web"}, spread=[even(), rather_even(HOSTNAME)]),
        make_pod(
            "rather-even", pod_set="", labels={"app": "db"}, spread=[rather_even(), rather_even(HOSTNAME)]
        ),
        make_pod(
            "wide",
            pod_set="",
            affinity=pod_affinity(
                rather_near={pod_term("web", ZONE, namespace_selector=TEAM): 5}, away=[pod_term("none", ZONE)]
            ),
        ),
    )
}

nodes = st.builds(
    make_node,
    st.sampled_from(NODES),
    cpu=st.sampled_from(("1", "4", "6")),
    pods=st.sampled_from((1, 110)),
    taints=st.sampled_from(((), (), (HARD,), (SOFT,), (HARD, SOFT))),
    cordoned=st.sampled_from((False, False, True)),
    labels=st.sampled_from(({}, {ZONE: "z1"}, {ZONE: "z2"})),
    offers=st.sampled_from(({}, {GPU: "2"}, {"memory": "1Gi"})),
    images=st.sampled_from(({}, {"big:1": 900_000_000}, {"image:latest": 300_000_000})),
)
a_few = st.lists(st.sampled_from(sorted(TEMPLATES)), min_size=2, max_size=3, unique=True)
one_of_them = st.integers(0, 5)


class Remembering(RuleBasedStateMachine):
    """One evaluator lives through all changes; what it says is compared with a new one's words."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache()
        self.profile = self.new_profile()
        self.evaluator = Evaluator(self.profile, self.cache.snapshot, Random(0))  # noqa: S311 - breaks ties
        self.templates: list[Pod] = []
        self.placed: dict[str, Pod] = {}
        self.number = 0

    def new_profile(self) -> Profile:
        return default_profile(self.cache)

    @initialize(first=st.lists(nodes, min_size=3, max_size=6), names=a_few)
    def begin(self, first: list[Node], names: list[str]) -> None:
        self.templates = [TEMPLATES[name] for name in names]
        for node in first:
            self.cache.put_node(node)

    @rule(node=nodes)
    def put_node(self, node: Node) -> None:
        self.cache.put_node(node)

    @rule(name=st.sampled_from(NODES))
    def drop_node(self, name: str) -> None:
        self.cache.drop_node(name)

    @rule()
    def let_caches_age(self) -> None:
        for cache in registered():
            cache.age()

    @rule(labels=st.sampled_from(({}, {"team": "x"})))
    def label_namespace(self, labels: dict[str, str]) -> None:
        self.cache.set_namespace("default", Labels(labels))

    @rule(which=one_of_them, node=st.sampled_from(NODES))
    def bind_elsewhere(self, which: int, node: str) -> None:
        """Another scheduler's pod, feasible or not."""
        pod = self.instance(which, node)
        self.cache.put_pod(pod)
        self.placed[pod.metadata.uid] = pod

    @rule(which=one_of_them)
    def bind_everywhere(self, which: int) -> None:
        for node in NODES:
            self.bind_elsewhere(which, node)

    @precondition(lambda self: self.placed)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        pod = self.placed.pop(data.draw(st.sampled_from(sorted(self.placed))))
        self.cache.drop_pod(pod)

    @precondition(lambda self: self.cache.snapshot.table.capacity < 200)
    @rule()
    def grow_by_pods(self) -> None:
        """Pods on unknown nodes make the table grow, and no node has changed."""
        for number in range(self.cache.snapshot.table.capacity):
            self.cache.put_pod(make_pod("stray", uid=f"{self.number}-{number}", node=f"unknown-{number}"))
        self.number += 1

    @rule(which=one_of_them, count=st.integers(1, 3))
    def place(self, which: int, count: int) -> None:
        """What the scheduling loop does."""
        for _ in range(count):
            pod = self.instance(which)
            choice = self.evaluator.choose(CycleState(), PodInfo(pod))
            if choice.node is not None:
                self.cache.assume(PodInfo(pod), choice.node)
                self.placed[pod.metadata.uid] = pod

    @rule(which=one_of_them)
    def compare(self, which: int) -> None:
        self.compare_with_a_new_one(PodInfo(self.instance(which)))

    def teardown(self) -> None:
        for which, _ in enumerate(self.templates):
            self.compare(which)

    def instance(self, which: int, node: str = "") -> Pod:
        """A new pod of one of the templates."""
        self.number += 1
        template = self.templates[which % len(self.templates)]
        metadata = replace(template.metadata, uid=f"uid-{self.number}")
        return replace(template, metadata=metadata, spec=replace(template.spec, node_name=node))

    def compare_with_a_new_one(self, info: PodInfo) -> None:
        new = Evaluator(self.profile, self.cache.snapshot, Random(0))  # noqa: S311 - breaks ties
        totals = new.totals(CycleState(), info).tolist()
        assert self.evaluator.totals(CycleState(), info).tolist() == totals
        table = self.cache.snapshot.table
        live = table.live.nonzero()[0]
        state = CycleState()
        _, _, refusal = new._pre_filters.run(state, info, self.cache.snapshot)
        assert refusal is None
        self.compare_single_rows(new, state, info)
        rows, few = new._totals_over(state, info, live)
        assert rows.tolist() == [row for row, total in enumerate(totals) if total != INFEASIBLE]
        if rows.size > 1:
            assert few.tolist() == [totals[row] for row in rows.tolist()]
        choice, other = self.choice(self.evaluator, info), self.choice(new, info)
        assert (choice.score, choice.feasible, choice.message) == (other.score, other.feasible, other.message)
        assert self.reasons(choice) == self.reasons(other)
        if choice.node is None:
            assert rows.size == 0
        else:
            assert totals[table.row_of[choice.node]] == max(totals)

    def compare_single_rows(self, evaluator: Evaluator, state: CycleState, info: PodInfo) -> None:
        """What plugins say about one row in integers, with what they say about it in a vector."""
        snapshot = self.cache.snapshot
        memories: list[PluginMemory[Any]] = [*evaluator._filters, *evaluator._scores]
        for memory in memories:
            methods = memory.methods
            if memory.cacheable and memory.asked(state, info) and methods.row is not None:
                rows = list(snapshot.rows())
                answers = methods.rows(state, info, snapshot, ALL_ROWS)[rows].tolist()
                assert [methods.row(state, info, snapshot, row) for row in rows] == answers

    def choice(self, evaluator: Evaluator, info: PodInfo) -> Choice:
        return evaluator.choose(CycleState(), info)

    def reasons(self, choice: Choice) -> dict[str, tuple[str, tuple[str, ...]]]:
        name = self.cache.snapshot.table.name
        return {
            name(row): (refused.status.plugin, refused.status.reasons)
            for refused in choice.refusals
            for row in refused.rows.tolist()
        }


class RememberingNodeByNode(Remembering):
    """Without ImageLocality a change of one node does not concern the others."""

    def new_profile(self) -> Profile:
        profile = super().new_profile()
        scores = tuple((plugin, weight) for plugin, weight in profile.score if plugin.name != IMAGE_LOCALITY)
        return dataclasses.replace(profile, score=scores)


class RememberingAllAtOnce(Remembering):
    """Two rows are too many to be dealt with one by one, two nodes for a small domain, two cells for few."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for module, name in (
            (results, "FEW_ROWS"),
            (incremental_totals, "FEW_ROWS"),
            (inter_pod_affinity, "_FEW"),
            (ranking, "_MANY"),
            (spread_scores, "_FEW_GROUPS"),
        ):
            self.patch.setattr(module, name, 1)

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self.patch.undo()


TestRemembering = Remembering.TestCase
TestRemembering.settings = settings(max_examples=40, stateful_step_count=20)
TestRememberingNodeByNode = RememberingNodeByNode.TestCase
TestRememberingNodeByNode.settings = TestRemembering.settings
TestRememberingAllAtOnce = RememberingAllAtOnce.TestCase
TestRememberingAllAtOnce.settings = TestRemembering.settings
