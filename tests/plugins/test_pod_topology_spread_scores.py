"""The ranking: cases of kube-scheduler's own tests, with its numbers."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest

from pallet.api.core import SERVICES, Service, ServiceSpec
from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.node import Node, Taint
from pallet.api.pod import Pod, TopologySpreadConstraint
from pallet.api.selectors import LabelSelector
from pallet.plugins.pod_topology_spread import PodTopologySpread
from tests.builders import HOSTNAME, ZONE, even, make_node, make_pod, rather_even
from tests.plugins.asking import Asked

RACK = "example.com/rack"
ANY = LabelSelector()
A, B = (make_node(name, labels={ZONE: "1"}) for name in "ab")
X, Y = (make_node(name, labels={ZONE: "2"}) for name in "xy")
NODES = (A, B, X, Y)
WITHOUT_HOSTNAME = Node(ObjectMeta(name="b", labels=Labels({ZONE: "1"})), B.spec, B.status)
UNZONED = tuple(make_node(name) for name in "abxy")


def pod(*spread: TopologySpreadConstraint, **more: Any) -> Pod:
    labels = {"app": "web"} | more.pop("labels", {})
    return make_pod("new", pod_set="", labels=labels, spread=spread, **more)


def placed(counts: Mapping[str, int], labels: Mapping[str, str] | None = None, **more: Any) -> list[Pod]:
    """So many pods on each node, of the app `web` unless their labels are given."""
    labels = {"app": "web"} if labels is None else labels
    return [
        make_pod(f"{labels}{more}{name}{number}", pod_set="", node=name, labels=labels, **more)
        for name, count in counts.items()
        for number in range(count)
    ]


def by(key: str, topology: str, **constraint: Any) -> TopologySpreadConstraint:
    """A constraint that should hold on the pods with a label."""
    return rather_even(topology, None, selector=LabelSelector(Labels({key: ""})), **constraint)


FOO, BAR, BOTH = {"foo": ""}, {"bar": ""}, {"foo": "", "bar": ""}
BY_FOO_AND_BAR = pod(by("foo", ZONE), by("bar", HOSTNAME), labels=BOTH)


@pytest.mark.parametrize(
    ("wanted", "there", "among", "expected"),
    [
        pytest.param(pod(rather_even(HOSTNAME)), [], "ab", {"a": 100, "b": 100}, id="no pods"),
        pytest.param(
            pod(rather_even(HOSTNAME)), placed({"a": 2, "b": 1}), "a", {"a": 100}, id="one node to choose"
        ),
        pytest.param(
            pod(rather_even(HOSTNAME)), placed({"a": 1, "b": 1}), "ab", {"a": 100, "b": 100}, id="all alike"
        ),
        pytest.param(
            pod(rather_even(HOSTNAME)),
            placed({"a": 2, "b": 1, "y": 3}),
            "abxy",
            {"a": 20, "b": 60, "x": 100, "y": 0},
            id="2, 1, 0, 3",
        ),
        pytest.param(
            pod(rather_even(HOSTNAME, skew=2)),
            placed({"a": 2, "b": 1, "y": 3}),
            "abxy",
            {"a": 33, "b": 66, "x": 100, "y": 16},
            id="a larger maxSkew makes differences smaller",
        ),
        pytest.param(
            pod(rather_even(HOSTNAME, skew=3)),
            placed({"a": 4, "b": 3, "x": 2, "y": 1}),
            "abxy",
            {"a": 44, "b": 66, "x": 77, "y": 100},
            id="maxSkew 3",
        ),
        pytest.param(
            pod(rather_even(HOSTNAME, None)),
            placed({"a": 2, "b": 1, "y": 3}),
            "abxy",
            {"a": 100, "b": 100, "x": 100, "y": 100},
            id="no selector, no pods",
        ),
        pytest.param(
            pod(rather_even(HOSTNAME, None, selector=ANY)),
            placed({"a": 2, "b": 1, "y": 3}),
            "abxy",
            {"a": 100, "b": 100, "x": 100, "y": 100},
            id="an empty selector counts none either",
        ),
        pytest.param(
            pod(rather_even(HOSTNAME)),
            placed({"a": 4, "b": 2, "x": 1, "y": 3}),
            "abx",
            {"a": 33, "b": 83, "x": 100},
            id="a node that is not to be chosen has no say in the scale",
        ),
        pytest.param(
            pod(rather_even()),
            placed({"a": 4, "b": 2, "x": 1, "y": 3}),
            "abx",
            {"a": 75, "b": 75, "x": 100},
            id="yet its pods count for its zone",
        ),
        pytest.param(
            pod(rather_even(), rather_even(HOSTNAME)),
            placed({"a": 2, "b": 1, "x": 2, "y": 4}),
            "ax",
            {"a": 100, "x": 63},
            id="zone and node",
        ),
        pytest.param(
            pod(by("foo", ZONE), by("bar", ZONE)),
            [*placed({"a": 1, "b": 1, "y": 1}, BOTH), *placed({"a": 1, "y": 2}, FOO)],
            "ax",
            {"a": 85, "x": 100},
            id="two constraints on the zone",
        ),
        pytest.param(
            BY_FOO_AND_BAR,
            [*placed({"a": 1, "y": 1}, FOO), *placed({"b": 1}, BOTH), *placed({"y": 1}, BAR)],
            "abxy",
            {"a": 60, "b": 20, "x": 100, "y": 60},
            id="each constraint counts its own pods",
        ),
        pytest.param(
            BY_FOO_AND_BAR,
            [*placed({"b": 1}, BAR), *placed({"x": 1}, FOO), *placed({"y": 1}, BOTH)],
            "abxy",
            {"a": 100, "b": 60, "x": 40, "y": 0},
            id="some without any",
        ),
        pytest.param(
            BY_FOO_AND_BAR,
            [*placed({"a": 1, "y": 1}, FOO), *placed({"b": 1}, BOTH), *placed({"y": 1}, BAR)],
            "abx",
            {"a": 50, "b": 25, "x": 100},
            id="with three of four nodes to choose from",
        ),
        pytest.param(
            pod(rather_even(HOSTNAME)),
            [*placed({"a": 1}, namespace="other"), *placed({"a": 1, "b": 2})],
            "ab",
            {"a": 100, "b": 33},
            id="pods of other namespaces do not count",
        ),
        pytest.param(
            pod(rather_even(HOSTNAME)),
            [*placed({"a": 1}, deleted=1), *placed({"b": 1})],
            "ab",
            {"a": 100, "b": 0},
            id="nor those that are being deleted",
        ),
        pytest.param(
            pod(rather_even(HOSTNAME, None, selector=ANY, match_label_keys=("bar",)), labels=BAR),
            [*placed({"a": 2}, FOO), *placed({"b": 1}, BAR)],
            "ab",
            {"a": 100, "b": 0},
            id="matchLabelKeys",
        ),
        pytest.param(
            pod(even(), rather_even(HOSTNAME)),
            placed({"b": 1}),
            "ab",
            {"a": 100, "b": 0},
            id="a constraint that must hold does not rank",
        ),
    ],
)
def test_the_fewer_pods_the_better(
    wanted: Pod, there: Sequence[Pod], among: str, expected: Mapping[str, int]
) -> None:
    assert Asked(PodTopologySpread, NODES, there).scores(wanted, among) == expected


@pytest.mark.parametrize("wanted", [pod(), pod(even())])
def test_without_a_constraint_that_should_hold_there_is_no_ranking(wanted: Pod) -> None:
    assert Asked(PodTopologySpread, NODES).scores(wanted) == {}


RACKS = tuple(
    make_node(name, labels={RACK: name} | mark) for name, mark in (("a", FOO), ("b", FOO), ("c", {}))
)
TAINTED = (*RACKS[:2], make_node("c", labels={RACK: "c"}, taints=[Taint("hard", "NoSchedule")]))
LEFT_OUT, COUNTED = {"a": 0, "b": 33, "c": 100}, {"a": 66, "b": 100, "c": 100}


@pytest.mark.parametrize(
    ("wanted", "nodes", "expected"),
    [
        pytest.param(pod(rather_even(RACK), node_selector=FOO), RACKS, LEFT_OUT, id="node selector"),
        pytest.param(
            pod(rather_even(RACK, node_affinity_policy="Ignore"), node_selector=FOO),
            RACKS,
            COUNTED,
            id="ignored",
        ),
        pytest.param(pod(rather_even(RACK, node_taints_policy="Honor")), TAINTED, LEFT_OUT, id="taints"),
        pytest.param(pod(rather_even(RACK)), TAINTED, COUNTED, id="taints ignored"),
        pytest.param(
            pod(rather_even(HOSTNAME, node_taints_policy="Honor")),
            TAINTED,
            COUNTED,
            id="by node itself no policy matters",
        ),
    ],
)
def test_node_policies_decide_which_pods_count(
    wanted: Pod, nodes: Sequence[Node], expected: Mapping[str, int]
) -> None:
    there = placed({"a": 2, "b": 1, "c": 1})
    assert Asked(PodTopologySpread, nodes, there).scores(wanted) == expected


def test_a_node_without_a_topology_label_gets_nothing_and_has_no_say() -> None:
    there = placed({"a": 4, "b": 2, "x": 1, "y": 3})
    asked = Asked(PodTopologySpread, (A, WITHOUT_HOSTNAME, X, Y), there)
    assert asked.scores(pod(rather_even(HOSTNAME)), "abx") == {"a": 16, "b": 0, "x": 100}
    assert asked.scores(pod(rather_even(RACK)), "abx") == {"a": 0, "b": 0, "x": 0}


SERVICE = Service(ObjectMeta(name="web", namespace="default"), ServiceSpec(selector=Labels({"app": "web"})))
SERVED = {SERVICES: [SERVICE]}


def test_kube_schedulers_defaults_spread_by_node_where_there_are_no_zones() -> None:
    there = placed({"a": 4, "b": 3, "x": 2, "y": 1})
    asked = Asked(PodTopologySpread, UNZONED, there, objects=SERVED)
    assert asked.scores(pod()) == {"a": 44, "b": 66, "x": 77, "y": 100}


def test_nodes_without_a_zone_count_as_one_domain_for_the_weight_and_have_no_share_of_it() -> None:
    """Domains are zone 1, zone 2 and none: a pod weighs ln 5 in a zone, as it does on one of three nodes."""
    there = placed({"a": 6, "y": 5})
    asked = Asked(PodTopologySpread, (A, X, UNZONED[3]), there, objects=SERVED)
    # a: 6·ln 5 + 2 + 6·ln 5 + 4 = 25.3, x: 2 + 4, y: 5·ln 5 + 2 = 10.05
    assert asked.scores(pod()) == {"a": 24, "x": 100, "y": 84}


def test_configured_defaults_leave_out_nodes_without_the_label() -> None:
    constraints = [
        {"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"} for key in (ZONE, HOSTNAME)
    ]
    args = {"defaultingType": "List", "defaultConstraints": constraints}
    there = placed({"a": 1, "y": 9})
    asked = Asked(PodTopologySpread, (A, X, UNZONED[3]), there, objects=SERVED, args=args)
    assert asked.scores(pod()) == {"a": 0, "x": 100, "y": 0}


@pytest.mark.parametrize("seed", range(3))
def test_scores_kept_while_pods_come_and_go_are_those_found_afresh(seed: int) -> None:
    rng = Random(seed)  # noqa: S311 - chooses what happens
    nodes = [make_node(f"n{number}", labels={ZONE: f"z{number % 3}"}) for number in range(7)]
    asked, there = Asked(PodTopologySpread, nodes), list[Pod]()
    wanted = [pod(rather_even(), rather_even(HOSTNAME)), BY_FOO_AND_BAR]
    for step in range(120):
        if there and rng.random() < (0.3 if step < 60 else 0.7):
            asked.cache.drop_pod(there.pop(rng.randrange(len(there))))
        else:
            labels = rng.choice(({"app": "web"}, FOO, BOTH))
            there.append(make_pod(f"p{step}", pod_set="", node=rng.choice(("n0", "n1", "n6")), labels=labels))
            asked.cache.put_pod(there[-1])
        afresh = Asked(PodTopologySpread, nodes, there)
        for each in wanted:
            assert asked.scores(each) == afresh.scores(each)
