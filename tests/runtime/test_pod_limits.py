"""What is too long, and what it costs to find that out."""

import json
import math
from random import Random

import pytest

from pallet.api.codec import decoder
from pallet.api.pod import Pod, Toleration
from pallet.cache.counters import PodCounters
from pallet.cache.live_snapshot import LiveSnapshot
from pallet.cache.pod_info import PodInfo
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Code
from pallet.runtime import pod_limits
from pallet.runtime.evaluator import Evaluator
from pallet.runtime.pod_limits import Limit, check_limits, large_part
from tests.builders import make_node, make_pod, pod_affinity, pod_term
from tests.profiles import default_profile
from tools.bench import attacks
from tools.bench.objects import LARGEST_BYTES, entries_within

LIMITED = {
    "resources": pod_limits.RESOURCES,
    "affinity, required": pod_limits.TERMS,
    "affinity, preferred": pod_limits.TERMS,
    "anti-affinity, required": pod_limits.TERMS,
    "anti-affinity, preferred": pod_limits.TERMS,
    "anti-affinity, topology keys": pod_limits.TERMS,
    "node affinity, required": pod_limits.NODE_EXPRESSIONS,
    "node affinity, preferred": pod_limits.NODE_EXPRESSIONS,
    "node affinity, expressions": pod_limits.NODE_EXPRESSIONS,
    "node affinity, names of nodes": pod_limits.NODE_EXPRESSIONS,
    "node affinity, preferred names and zones": pod_limits.NODE_EXPRESSIONS,
    "node affinity, values": pod_limits.NODE_VALUES,
    "node affinity, Gt": pod_limits.NODE_EXPRESSIONS,
    "node selector": pod_limits.NODE_EXPRESSIONS,
    "tolerations": pod_limits.TOLERATIONS,
    "tolerations of every effect": pod_limits.TOLERATIONS,
    "spread, hard": pod_limits.CONSTRAINTS,
    "spread, soft": pod_limits.CONSTRAINTS,
    "claims": pod_limits.CLAIMS,
    "disks": pod_limits.DISKS,
    "monitors": pod_limits.DISKS,
}
BESIDE = {
    "resources": 2,  # cpu and memory
}
"""So much is counted beside the entries of a field."""
TWICE = {"disks", "node affinity, preferred names and zones"}
"""A disk is a volume as well, and a name stands beside a zone."""
UNLIMITED = attacks.LONG.keys() - LIMITED.keys()


def info_of(field: str, entries: int) -> PodInfo:
    """A pod with so many entries in a field, as it is decoded."""
    pod: Pod = decoder(Pod)(json.dumps(attacks.LONG[field]("long", entries)).encode())
    return PodInfo(pod)


def entries(field: str, length: int) -> int:
    """How many entries make a part so long."""
    return length // 2 if field in TWICE else length - BESIDE.get(field, 0)


@pytest.mark.parametrize("field", [field for field, limit in LIMITED.items() if limit.most < math.inf])
def test_what_is_longer_than_a_limit_is_refused_with_its_place(field: str) -> None:
    most = entries(field, int(LIMITED[field].most))
    assert check_limits(info_of(field, most)) == SUCCESS
    refused = check_limits(info_of(field, most + 1))
    assert refused.code is Code.UNSCHEDULABLE_AND_UNRESOLVABLE
    assert refused.message.startswith("the pod has ")
    assert " in " in refused.message
    assert "spec." in refused.message
    assert "are supported" in refused.message


@pytest.mark.parametrize(("field", "limit"), LIMITED.items())
def test_what_is_longer_than_in_ordinary_pods_makes_a_pod_a_large_one(field: str, limit: Limit) -> None:
    most = entries(field, limit.ordinary)
    assert large_part(info_of(field, most)) is None
    part = large_part(info_of(field, most + 1))
    assert part is not None
    assert part.limit == limit
    assert part.length > limit.ordinary


@pytest.mark.parametrize("field", [field for field, limit in LIMITED.items() if limit.most == math.inf])
def test_what_has_no_limit_is_never_refused_for_its_length(field: str) -> None:
    most = entries_within(field, LARGEST_BYTES)
    assert check_limits(info_of(field, most)) == SUCCESS
    part = large_part(info_of(field, most))
    assert part is not None
    assert part.times_as_costly <= 10


def test_the_longest_part_of_several_says_how_large_a_pod_is() -> None:
    terms = [pod_term(f"t{number}") for number in range(2 * pod_limits.TERMS.ordinary)]
    tolerations = [Toleration(key=f"k{number}") for number in range(3 * pod_limits.TOLERATIONS.ordinary)]
    part = large_part(PodInfo(make_pod("web", affinity=pod_affinity(away=terms), tolerations=tolerations)))
    assert part is not None
    assert part.what == "entries in spec.tolerations"
    assert part.times_ordinary == 3


@pytest.mark.parametrize("field", sorted(UNLIMITED))
def test_what_only_adds_up_has_no_limit(field: str) -> None:
    assert check_limits(info_of(field, 2000)) == SUCCESS
    assert large_part(info_of(field, 2000)) is None


def test_an_ordinary_pod_is_within_the_limits() -> None:
    assert check_limits(PodInfo(make_pod("web"))) == SUCCESS
    assert large_part(PodInfo(make_pod("web"))) is None


def test_a_pod_beyond_the_limits_is_refused_before_anything_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[object] = []
    monkeypatch.setattr(PodCounters, "tally", lambda _, selectors: counted.append(selectors))
    snapshot = LiveSnapshot()
    snapshot.put_node(make_node("n1"))
    evaluator = Evaluator(default_profile(), snapshot, Random(0))  # noqa: S311 - breaks ties
    choice = evaluator.choose(CycleState(), info_of("claims", 600))
    assert choice.node is None
    assert choice.message == (
        "0/1 nodes are available: the pod has 600 claims in spec.volumes, and no more than 500 are supported."
    )
    assert [refused.status.plugin for refused in choice.refusals] == [pod_limits.NAME]
    assert not counted
