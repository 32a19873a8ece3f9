"""The benchmark's workloads, and the rules that its results are held to."""

from collections.abc import Callable

import pytest

from tools.bench import manifests, rules, volumes
from tools.bench.manifests import Manifest
from tools.bench.observer import Binding, Observation
from tools.bench.rules import Cluster
from tools.bench.stage import POD_SET_LABEL, Turn
from tools.bench.workloads import WORKLOADS, Workload
from tools.controlplane import nodes

NOTHING_SEEN = Observation((), ())


def node(number: int) -> Manifest:
    return nodes.manifest(
        manifests.node_name(number), labels=manifests.node_labels(number), taints=(), capacity={}, ready=True
    )


def cluster(*placed: Manifest, node_count: int = 6) -> Cluster:
    return Cluster({manifests.node_name(number): node(number) for number in range(node_count)}, placed)


def on(number: int, pod: Manifest) -> Manifest:
    """The pod, bound to a node."""
    return {**pod, "spec": {**pod["spec"], "nodeName": manifests.node_name(number)}}


def put(kind: Callable[[int], Manifest], *node_numbers: int) -> list[Manifest]:
    """Pods of one app on these nodes."""
    return [on(number, kind(place)) for place, number in enumerate(node_numbers)]


def big(number: int) -> Manifest:
    return manifests.pod(f"pod-{number}", requests={"cpu": "3", "memory": "1Gi"})


def hungry(number: int) -> Manifest:
    return manifests.pod(f"pod-{number}", requests={"cpu": "1m", "memory": "9Gi"})


def small(number: int) -> Manifest:
    return manifests.pod(f"pod-{number}", requests={"cpu": "1m", "memory": "1Mi"})


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_a_backlog_has_as_many_pods_as_asked_for_all_with_a_name_of_their_own(workload: Workload) -> None:
    backlog = workload.backlog(30)
    assert [pod["metadata"]["name"] for pod in backlog] == [f"pod-{number}" for number in range(30)]


@pytest.mark.parametrize(
    ("name", "node_count", "asked", "size"),
    [
        ("plain", 500, None, 3000),
        ("plain", 500, 70, 70),
        ("preemption", 500, None, 250),
        ("preemption", 500, 9, 9),
    ],
)
def test_a_backlog_is_no_larger_than_the_nodes_can_take(
    name: str, node_count: int, asked: int | None, size: int
) -> None:
    assert WORKLOADS[name].size(node_count, asked) == size


def test_every_third_pod_of_the_churn_never_fits() -> None:
    fit = [rules.fits(pod) for pod in WORKLOADS["unschedulable"].backlog(6)]
    assert fit == [True, True, False, True, True, False]


def test_the_mix_has_every_kind_of_pod() -> None:
    backlog = WORKLOADS["mixed"].backlog(len(manifests.MIXTURE))
    specs = [pod["spec"] for pod in backlog]
    affinities = [spec["affinity"] for spec in specs if "affinity" in spec]
    assert {kind for affinity in affinities for kind in affinity} == {
        "nodeAffinity",
        "podAffinity",
        "podAntiAffinity",
    }
    assert sum("topologySpreadConstraints" in spec for spec in specs) == 2
    assert sum(bool(volumes.claimed(pod)) for pod in backlog) == 1
    assert sum(not rules.fits(pod) for pod in backlog) == 1


def test_no_important_pod_fits_before_both_unimportant_ones_have_gone() -> None:
    low = list(manifests.unimportant(2, 0))
    assert rules.broken(cluster(*low, node_count=2)) == []
    high = on(0, manifests.important(0))
    assert rules.broken(cluster(*low, high, node_count=2)) == ["1 nodes have more than fits"]
    assert rules.broken(cluster(*low[1:], high, node_count=2)) == ["1 nodes have more than fits"]
    assert rules.broken(cluster(*low[2:], high, node_count=2)) == []


def test_twenty_pods_are_gated_for_each_three_of_the_backlog() -> None:
    gated = list(WORKLOADS["gated"].standing(500, 3000))
    assert len(gated) == 20_000
    assert gated[0]["spec"]["schedulingGates"]


def test_only_a_contender_that_knows_sets_gets_them() -> None:
    turn = Turn(WORKLOADS["podsets"], nodes=5, pods=100, namespace="turn", in_sets=True)
    sets = [pod["metadata"]["labels"][POD_SET_LABEL] for pod in turn.backlog()]
    assert (sets.count("set-0"), sets.count("set-1")) == (50, 50)
    plain = Turn(WORKLOADS["podsets"], nodes=5, pods=100, namespace="turn")
    assert not any(POD_SET_LABEL in pod["metadata"]["labels"] for pod in plain.backlog())


def test_claims_are_made_for_the_pods_that_name_them() -> None:
    made = volumes.claims([manifests.plain(0), manifests.with_volume(1)], "sc")
    assert [claim["metadata"]["name"] for claim in made] == ["claim-1"]
    assert made[0]["spec"]["storageClassName"] == "sc"


# The zones of nodes 0 to 5 are 0, 1, 2, 0, 1, 2.
@pytest.mark.parametrize(
    ("placed", "found"),
    [
        (put(big, 0, 0, 1), []),
        (put(big, 0, 0, 0), ["1 nodes have more than fits"]),
        (put(hungry, 0, 1), []),
        (put(hungry, 0, 0), ["1 nodes have more than fits"]),
        (put(small, *[0] * 110), []),
        (put(small, *[0] * 111), ["1 nodes have more than fits"]),
        (put(manifests.anti_affine, 0, 1, 2), []),
        (put(manifests.anti_affine, 0, 1, 1), ["1 anti-affinity terms are broken"]),
        (put(manifests.preferably_anti_affine, 0, 1, 1), []),
        (put(manifests.affine, 0, 3, 3), []),
        (put(manifests.affine, 0, 3, 1), ["1 affinity terms are broken"]),
        (put(manifests.preferably_affine, 0, 3, 1), []),
        (put(manifests.spread, 0, 1, 2, 3), []),
        (put(manifests.spread, 0, 3), ["1 spreading constraints are broken"]),
        (put(manifests.preferably_spread, 0, 3), []),
        (put(manifests.node_affine, 0, 1, 3), []),
        (put(manifests.node_affine, 0, 2), ["1 pods are on nodes that their node affinity leaves out"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else None,
)
def test_a_broken_rule_is_seen(placed: list[Manifest], found: list[str]) -> None:
    assert rules.broken(cluster(*placed)) == found


@pytest.mark.parametrize(
    ("pods", "seen", "found"),
    [
        (put(manifests.plain, 0, 1), NOTHING_SEEN, []),
        ([*put(manifests.plain, 0), manifests.plain(1)], NOTHING_SEEN, ["1 of 2 pods were not bound"]),
        ([*put(manifests.plain, 0, 1), manifests.never_fitting(2)], NOTHING_SEEN, []),
        (
            [*put(manifests.plain, 0, 1), on(0, manifests.never_fitting(2))],
            NOTHING_SEEN,
            ["1 pods were bound that fit nowhere"],
        ),
        (
            put(manifests.plain, 0, 1),
            Observation((Binding(1, "pod-0", "c"), Binding(2, "pod-0", "a"), Binding(3, "pod-1", "b")), ()),
            ["1 pods were seen on more than one node"],
        ),
    ],
    ids=["right", "not bound", "rightly not bound", "wrongly bound", "moved"],
)
def test_who_was_bound_is_looked_at(pods: list[Manifest], seen: Observation, found: list[str]) -> None:
    assert rules.unbound(2, pods, seen) == found


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (["pvc-0", "pvc-1"], []),
        (["pvc-0", ""], ["1 pods are on nodes that do not reach their volume"]),
        (["pvc-1", "pvc-0"], ["2 pods are on nodes that do not reach their volume"]),
        (
            ["pvc-0", "pvc-0"],
            ["1 pods are on nodes that do not reach their volume", "1 volumes are used twice"],
        ),
    ],
)
def test_a_misplaced_volume_is_seen(chosen: list[str], found: list[str]) -> None:
    placed = put(manifests.with_volume, 0, 3)
    claims = volumes.claims(placed, "sc")
    for claim, name in zip(claims, chosen, strict=True):
        claim["spec"]["volumeName"] = name
    made = [volumes.volume("turn", f"claim-{each}", f"{each}", f"node-{3 * each}", "sc") for each in (0, 1)]
    assert rules.misplaced_volumes(cluster(*placed), claims, made) == found


def test_the_quality_of_a_placement_is_seen() -> None:
    backlog = [*put(manifests.spread, 0, 3, 1), manifests.plain(3)]
    quality = rules.quality(cluster(*backlog[:3], node_count=4), backlog)
    assert quality.nodes_used == 3
    assert quality.zone_skew == 2
    # Three of four nodes have 0.1 of 8 CPUs.
    assert quality.cpu_deviation == pytest.approx(1.25 * 0.75**0.5 * 0.25**0.5)


def test_the_evicted_are_counted() -> None:
    low = list(manifests.unimportant(2, 0))
    high = on(0, manifests.important(0))
    assert rules.quality(cluster(high, *low[2:]), [high], len(low)).evicted == 2


def test_there_is_no_skew_where_nothing_is_to_be_spread() -> None:
    backlog = put(manifests.plain, 0, 3)
    assert rules.quality(cluster(*backlog), backlog).zone_skew is None


@pytest.mark.parametrize(
    ("quantity", "amount"), [("100m", 0.1), ("8", 8), ("500Mi", 500 * 2**20), ("16Gi", 16 * 2**30)]
)
def test_quantities_are_read(quantity: str, amount: float) -> None:
    assert rules.amount(quantity) == pytest.approx(amount)
