"""Plain plugins that declare what they depend on are asked only where that changed."""

import dataclasses
from collections.abc import Hashable
from random import Random

import pytest
from hypothesis import settings

from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import NodeInfo
from pallet.framework.interface import Reads
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, PluginError, Status, unschedulable
from pallet.runtime import adapter
from pallet.runtime.adapter import vector_filter, vector_score
from pallet.runtime.evaluator import Choice, Evaluator
from pallet.runtime.profile import Profile
from tests.builders import make_node, make_pod
from tests.profiles import profile_of
from tests.runtime.test_evaluator_memory import RememberingNodeByNode

TEAM = "team"


class FewOfATeam:
    """Lets a node have two pods, and no pods of no team."""

    name = "FewOfATeam"
    filter_reads = Reads.LOAD

    def __init__(self) -> None:
        self.asked: list[str] = []

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        team = info.pod.metadata.labels.get(TEAM)
        return None if team == "free" else team or ""

    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        self.asked.append(node.name)
        if TEAM not in info.pod.metadata.labels:
            return unschedulable("pod was of no team")
        return SUCCESS if len(node.pods) < 2 else unschedulable(f"{len(node.pods)} pods were on {node.name}")


class Cores:
    """Scores a node by its cores, whatever is placed there."""

    name = "Cores"
    score_reads = Reads.NODE

    def __init__(self) -> None:
        self.asked: list[str] = []

    def score_signature(self, info: PodInfo) -> Hashable | None:
        return self.name

    def score(self, state: CycleState, info: PodInfo, node: NodeInfo) -> int:
        self.asked.append(node.name)
        return node.allocatable["cpu"] // 1000


class Scene:
    """Three nodes, and what both plugins were asked about for each pod."""

    def __init__(self) -> None:
        self.cache = Cache()
        for number, name in enumerate(("a", "b", "c")):
            self.cache.put_node(make_node(name, cpu=str(number + 1)))
        self.filter, self.score = FewOfATeam(), Cores()
        self.evaluator = Evaluator(profile_of(self.filter, self.score), self.cache.snapshot, Random(0))  # noqa: S311

    def choose(self, team: str = "x") -> Choice:
        self.filter.asked, self.score.asked = [], []
        labels = {TEAM: team} if team else {}
        return self.evaluator.choose(CycleState(), PodInfo(make_pod("p", labels=labels)))


def test_only_rows_that_changed_are_asked_for_again() -> None:
    scene = Scene()
    assert scene.choose().node == "c"
    assert (scene.filter.asked, scene.score.asked) == (["a", "b", "c"], ["a", "b", "c"])
    assert scene.choose().node == "c"
    assert (scene.filter.asked, scene.score.asked) == ([], [])
    for number in range(2):
        scene.cache.put_pod(make_pod(f"q{number}", node="c"))
    assert scene.choose().node == "b"
    assert (scene.filter.asked, scene.score.asked) == (["c"], [])
    scene.cache.put_node(make_node("a", cpu="4"))
    assert scene.choose().node == "a"
    assert (scene.filter.asked, scene.score.asked) == (["a"], ["a"])


def test_another_signature_is_another_question() -> None:
    scene = Scene()
    scene.choose("x")
    scene.choose("y")
    assert (scene.filter.asked, scene.score.asked) == (["a", "b", "c"], [])
    assert scene.choose("").node is None
    scene.choose("free")
    assert scene.filter.asked == []


def test_a_remembered_refusal_keeps_its_reason() -> None:
    scene = Scene()
    for number in range(6):
        scene.cache.put_pod(make_pod(f"q{number}", node="abc"[number % 3]))
    messages = {scene.choose().message for _ in range(3)}
    assert messages == {
        "0/3 nodes are available: 1 2 pods were on a, 1 2 pods were on b, 1 2 pods were on c."
    }
    assert scene.filter.asked == []


def test_a_score_out_of_bounds_is_an_error_where_it_is_remembered_too() -> None:
    scene = Scene()
    scene.cache.put_node(make_node("a", cpu="101"))
    with pytest.raises(PluginError, match=r"Cores: score 101 is not in 0\.\.100"):
        scene.choose()


class RememberingPlain(RememberingNodeByNode):
    """What is remembered of plain plugins, whose codes are given up every few cycles."""

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(adapter, "_STATUSES", 3)
        self.patch.setattr(adapter, "_STATUSES_A_ROW", 0)
        super().__init__()

    def new_profile(self) -> Profile:
        profile = super().new_profile()
        return dataclasses.replace(
            profile,
            filter=(*profile.filter, vector_filter(CountingFilter())),
            score=(*profile.score, (vector_score(Cores()), 1)),
        )

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self.patch.undo()


class CountingFilter:
    """Refuses a node with as many pods as the pod has millicores, and counts in the reason."""

    name = "CountingFilter"
    filter_reads = Reads.LOAD

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        return info.pod.metadata.labels.get("app")

    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        most = len(info.pod.metadata.labels["app"]) - 2
        return SUCCESS if len(node.pods) < most else unschedulable(f"{node.name} had {len(node.pods)} pods")


TestRememberingPlain = RememberingPlain.TestCase
TestRememberingPlain.settings = settings(max_examples=40, stateful_step_count=20)
