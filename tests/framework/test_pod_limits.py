"""What is too long, and what it costs to find that out."""

import json
from random import Random

import pytest

from pallet.api.codec import decoder
from pallet.api.pod import Pod
from pallet.cache.counters import PodCounters
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework import pod_limits
from pallet.framework.evaluator import Evaluator
from pallet.framework.pod_limits import check_limits
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Code
from tests.builders import make_node, make_pod
from tests.profiles import default_profile
from tools.bench import attacks

LIMITED = {
    "resources": pod_limits.MAX_RESOURCES - 2,  # cpu and memory
    "affinity, required": pod_limits.MAX_TERMS,
    "affinity, preferred": pod_limits.MAX_TERMS,
    "anti-affinity, required": pod_limits.MAX_TERMS,
    "anti-affinity, preferred": pod_limits.MAX_TERMS,
    "anti-affinity, topology keys": pod_limits.MAX_TERMS,
    "anti-affinity, values": pod_limits.MAX_SELECTED - 2,  # the expression, and the namespace
    "anti-affinity, expressions": pod_limits.MAX_SELECTED - 1,
    "anti-affinity, namespaces": pod_limits.MAX_SELECTED - 1,
    "node affinity, required": pod_limits.MAX_NODE_EXPRESSIONS,
    "node affinity, preferred": pod_limits.MAX_NODE_EXPRESSIONS,
    "node affinity, expressions": pod_limits.MAX_NODE_EXPRESSIONS,
    "node affinity, values": pod_limits.MAX_NODE_VALUES,
    "node affinity, Gt": pod_limits.MAX_NODE_EXPRESSIONS,
    "node selector": pod_limits.MAX_NODE_EXPRESSIONS,
    "tolerations": pod_limits.MAX_TOLERATIONS,
    "tolerations of every effect": pod_limits.MAX_TOLERATIONS,
    "spread, hard": pod_limits.MAX_CONSTRAINTS,
    "spread, soft": pod_limits.MAX_CONSTRAINTS,
    "claims": pod_limits.MAX_VOLUMES,
    "disks": pod_limits.MAX_VOLUMES // 2,  # counted as a disk, and as an in-tree volume
    "monitors": pod_limits.MAX_VOLUMES,
}
UNLIMITED = attacks.LONG.keys() - LIMITED.keys()


def info_of(field: str, entries: int) -> PodInfo:
    """A pod with so many entries in a field, as it is decoded."""
    pod: Pod = decoder(Pod)(json.dumps(attacks.LONG[field]("long", entries)).encode())
    return PodInfo(pod)


@pytest.mark.parametrize(("field", "most"), LIMITED.items())
def test_what_is_longer_than_a_limit_is_refused_with_its_place(field: str, most: int) -> None:
    assert check_limits(info_of(field, most)) == SUCCESS
    refused = check_limits(info_of(field, most + 1))
    assert refused.code is Code.UNSCHEDULABLE_AND_UNRESOLVABLE
    assert refused.message.startswith("the pod has ")
    assert " in " in refused.message
    assert "spec." in refused.message
    assert "are supported" in refused.message


@pytest.mark.parametrize("field", sorted(UNLIMITED))
def test_what_only_adds_up_has_no_limit(field: str) -> None:
    assert check_limits(info_of(field, 2000)) == SUCCESS


def test_an_ordinary_pod_is_within_the_limits() -> None:
    assert check_limits(PodInfo(make_pod("web"))) == SUCCESS


def test_a_pod_beyond_the_limits_is_refused_before_anything_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[object] = []
    monkeypatch.setattr(PodCounters, "tally", lambda _, selectors: counted.append(selectors))
    snapshot = Snapshot()
    snapshot.put_node(make_node("n1"))
    evaluator = Evaluator(default_profile(), snapshot, Random(0))  # noqa: S311 - breaks ties
    choice = evaluator.choose(CycleState(), info_of("anti-affinity, required", 3000))
    assert choice.node is None
    assert choice.message == (
        "0/1 nodes are available: the pod has 3,000 terms in spec.affinity.podAffinity and "
        "spec.affinity.podAntiAffinity, and no more than 50 are supported."
    )
    assert [refused.status.plugin for refused in choice.refusals] == [pod_limits.NAME]
    assert not counted
