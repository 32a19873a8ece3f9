"""Which candidates extenders are asked about."""

from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

import pytest

from pallet.api.pod import Pod
from pallet.framework.extender_result import Victims
from pallet.framework.status import Status
from pallet.plugins.default_preemption import DefaultPreemptionArgs
from pallet.plugins.preemption import candidates
from tests.builders import pod_affinity, pod_term
from tests.plugins.preemption.scene import Scene, make_budget
from tests.plugins.preemption.test_default_preemption import PORT, nodes, pod

SUMS_ONLY: dict[str, Any] = {}
ONE_BY_ONE: dict[str, Any] = {"affinity": pod_affinity(away=[pod_term("x")])}
"""What makes a preemptor's nodes be tried one by one."""


class Picky:
    """Wants to be asked about pods whose name starts with p."""

    def are_asked_to_preempt(self, pod: Pod) -> bool:
        return pod.metadata.name.startswith("p")

    async def preempt(self, pod: Pod, candidates: Mapping[str, Victims]) -> Mapping[str, Victims] | Status:
        raise NotImplementedError


def scene(*pods: Pod, enough: int = 100, cpus: tuple[int, ...] = (1, 1, 1), **more: Any) -> Scene:
    args = DefaultPreemptionArgs(0, enough)
    return Scene(nodes(*cpus), pods, args=args, extenders=Picky(), **more)


def asked_about(scene: Scene, preemptor: Pod) -> dict[str, str]:
    """The victims by node, in words, with the number of budgets that are broken if there are any."""
    decision = scene.decide(preemptor)
    assert (decision.node, decision.victims) == (None, ())
    assert decision.status.message == "waiting for extenders to agree to preemption"
    return {
        node: " ".join(each.pod.metadata.name for each in victims.pods)
        + (f" ({victims.violations} broken)" if victims.violations else "")
        for node, victims in decision.candidates.items()
    }


@pytest.mark.parametrize("asks", [SUMS_ONLY, ONE_BY_ONE], ids=["all at once", "one by one"])
def test_all_nodes_where_it_helps_the_best_first(asks: dict[str, Any]) -> None:
    pods = [pod("v", "a", 3), pod("w", "b", 1), pod("x", "b", 2), pod("y", "c", 6), pod("z", "d", 4)]
    guarded = pod("g", "e", 0, labels={"app": "g"})
    cluster = scene(*pods, guarded, cpus=(1, 2, 1, 1, 1), budgets=[make_budget("b", {"app": "g"})])
    found = asked_about(cluster, pod("p", priority=5, **asks))
    assert found == {"b": "w", "a": "v", "d": "z", "e": "g (1 broken)"}
    assert next(iter(found)) == "b"


@pytest.mark.parametrize("asks", [SUMS_ONLY, ONE_BY_ONE], ids=["all at once", "one by one"])
def test_of_too_many_the_best_and_such_as_chance_takes(asks: dict[str, Any]) -> None:
    cluster = scene(*(pod(f"{name}1", name, 1 + (name != "c")) for name in "abcdef"), enough=2, cpus=(1,) * 6)
    seen = [asked_about(cluster, pod("p", priority=5, **asks)) for _ in range(40)]
    assert all(len(each) == 2 and each["c"] == "c1" for each in seen)
    assert {name for each in seen for name in each} == set("abcdef")


def test_trying_one_by_one_ends_in_time() -> None:
    cluster = scene(*(pod(f"{name}1", name, 1) for name in "abcdef"), cpus=(1,) * 6)
    with patch.object(candidates, "MOST_MOVES", 1):
        counts = [len(asked_about(cluster, pod("p", priority=5, **ONE_BY_ONE))) for _ in range(2)]
    assert counts == [1, 1]


def test_what_was_tried_for_extenders_is_not_tried_again() -> None:
    cluster = scene(pod("x", "a", 1), pod("y", "b", 2), pod("z", "c", 3))
    first = asked_about(cluster, pod("p", priority=5, ports=PORT))
    with patch.object(candidates, "MOST_MOVES", 0):
        assert asked_about(cluster, pod("p2", priority=5, ports=PORT)) == first
    assert len(first) == 3


def test_trying_leaves_everybody_in_place() -> None:
    cluster = scene(pod("x", "a", 1), pod("y", "b", 1), cpus=(1, 1))
    before = [sorted(each.uid for each in cluster.cache.snapshot.pods(row)) for row in range(2)]
    asked_about(cluster, pod("p", priority=5, **ONE_BY_ONE))
    assert [sorted(each.uid for each in cluster.cache.snapshot.pods(row)) for row in range(2)] == before


def test_a_pod_that_no_extender_is_interested_in_preempts_at_once() -> None:
    assert scene(pod("x", "a", 1), cpus=(1,)).decision(pod("other", priority=5)) == "a: x"
