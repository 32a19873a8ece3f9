"""The nodes refused: cases of the Kubernetes documentation and of kube-scheduler's own tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pallet.api.labels import Labels
from pallet.api.node import Node, Taint
from pallet.api.pod import Affinity, NodeAffinity, Pod, Toleration, TopologySpreadConstraint
from pallet.api.selectors import LabelRequirement, LabelSelector, NodeSelector, NodeSelectorTerm
from pallet.api.selectors import NodeSelectorRequirement as Requirement
from pallet.cache.columns import Mask
from pallet.cache.node_table import NodeTable
from pallet.cache.pod_info import PodInfo
from pallet.framework.state import CycleState
from pallet.plugins.pod_topology_spread import MOST_CONSTRAINTS, PodTopologySpread
from pallet.plugins.spread_domains import NodeInclusion
from pallet.runtime.pod_limits import CONSTRAINTS
from tests.builders import HOSTNAME, ZONE, even, make_node, make_pod, rather_even
from tests.plugins.asking import Asked

UNEVEN = "node(s) didn't match pod topology spread constraints"
NO_LABEL = "!node(s) didn't match pod topology spread constraints (missing required label)"
RACK = "example.com/rack"
ANY = LabelSelector()
TAINT = Taint("hard", "NoSchedule")


def node(name: str, zone: str = "", *, rack: str = "", disk: str = "", taint: Taint | None = None) -> Node:
    labels = {ZONE: zone, RACK: rack, "disk": disk}
    given = {key: value for key, value in labels.items() if value}
    return make_node(name, labels=given, taints=[taint] if taint else ())


A, B, X, Y = node("a", "1"), node("b", "1"), node("x", "2"), node("y", "2")
NODES = (A, B, X, Y)


def pod(*spread: TopologySpreadConstraint, app: str = "web", **more: Any) -> Pod:
    labels = {"app": app} | more.pop("labels", {})
    return make_pod("new", pod_set="", labels=labels, spread=spread, **more)


def placed(counts: Mapping[str, int], app: str = "web", **more: Any) -> list[Pod]:
    """So many pods of an app on each node."""
    labels = {"app": app} | more.pop("labels", {})
    return [
        make_pod(f"{labels}{more}{name}{number}", pod_set="", node=name, labels=labels, **more)
        for name, count in counts.items()
        for number in range(count)
    ]


def verdicts(**refused: str) -> dict[str, str]:
    return dict.fromkeys(("a", "b", "x", "y"), "") | refused


def asked(pods: Sequence[Pod], *nodes: Node) -> Asked:
    return Asked(PodTopologySpread, nodes or NODES, pods)


SPREAD_3_3 = placed({"a": 2, "b": 1, "y": 3})
SPREAD_2_1 = placed({"a": 1, "b": 1, "y": 1})
WEB_AND_DB = {"app": "web", "tier": "db"}


def by_tier(topology: str, **constraint: Any) -> TopologySpreadConstraint:
    return even(topology, None, selector=LabelSelector(Labels({"tier": "db"})), **constraint)


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        pytest.param(pod(), SPREAD_3_3, verdicts(), id="no constraint"),
        pytest.param(pod(rather_even()), SPREAD_2_1, verdicts(), id="one that should hold refuses nothing"),
        pytest.param(pod(even()), [], verdicts(), id="no pods yet"),
        pytest.param(pod(even(app="other")), [], verdicts(), id="no pods yet, nor the pod itself"),
        pytest.param(pod(even()), SPREAD_3_3, verdicts(), id="as many in each zone"),
        pytest.param(pod(even()), SPREAD_2_1, verdicts(a=UNEVEN, b=UNEVEN), id="one more in a zone"),
        pytest.param(pod(even(skew=2)), SPREAD_2_1, verdicts(), id="which maxSkew may allow"),
        pytest.param(
            pod(even()),
            [*placed({"a": 2}, namespace="other"), *placed({"x": 1, "y": 1})],
            verdicts(x=UNEVEN, y=UNEVEN),
            id="pods of other namespaces do not count",
        ),
        pytest.param(
            pod(even()),
            [*placed({"a": 3}, deleted=1), *placed({"y": 1})],
            verdicts(x=UNEVEN, y=UNEVEN),
            id="nor do those that are being deleted",
        ),
        pytest.param(pod(even(app=None)), placed({"x": 1, "y": 1}), verdicts(), id="no selector, no pods"),
        pytest.param(
            pod(even(app=None, selector=ANY)),
            placed({"x": 1, "y": 1}),
            verdicts(),
            id="an empty selector counts no pods either",
        ),
        pytest.param(
            pod(even(HOSTNAME)),
            SPREAD_3_3,
            verdicts(a=UNEVEN, b=UNEVEN, y=UNEVEN),
            id="2, 1, 0, 3 by node",
        ),
        pytest.param(
            pod(even(HOSTNAME, skew=2)), SPREAD_3_3, verdicts(a=UNEVEN, y=UNEVEN), id="by node, maxSkew 2"
        ),
        pytest.param(
            pod(even(HOSTNAME), app="other"),
            SPREAD_3_3,
            verdicts(a=UNEVEN, y=UNEVEN),
            id="a pod that is not counted itself adds nothing",
        ),
        pytest.param(
            pod(even(), even(HOSTNAME)),
            SPREAD_3_3,
            verdicts(a=UNEVEN, b=UNEVEN, y=UNEVEN),
            id="both by zone and by node",
        ),
        pytest.param(
            pod(even(), even(HOSTNAME)),
            placed({"a": 2, "b": 1, "y": 4}),
            verdicts(a=UNEVEN, b=UNEVEN, x=UNEVEN, y=UNEVEN),
            id="no node is good for both",
        ),
        pytest.param(
            pod(even(), by_tier(HOSTNAME), labels=WEB_AND_DB),
            [*placed({"a": 1}), *placed({"y": 1}, app="", labels={"tier": "db"})],
            verdicts(a=UNEVEN, b=UNEVEN, y=UNEVEN),
            id="each constraint counts its own pods",
        ),
        pytest.param(
            pod(by_tier(ZONE), even(), labels=WEB_AND_DB),
            [*placed({"a": 1, "b": 1, "y": 1}, labels=WEB_AND_DB), *placed({"a": 1, "y": 2})],
            verdicts(a=UNEVEN, b=UNEVEN),
            id="two constraints on one key",
        ),
        pytest.param(
            pod(even(match_label_keys=("hash",)), labels={"hash": "new"}),
            [*placed({"a": 5}, labels={"hash": "old"}), *placed({"x": 1}, labels={"hash": "new"})],
            verdicts(x=UNEVEN, y=UNEVEN),
            id="matchLabelKeys: only pods of the same revision",
        ),
        pytest.param(
            pod(even(app=None, selector=ANY, match_label_keys=("hash",)), labels={"hash": "new"}),
            [*placed({"a": 5}, labels={"hash": "old"}), *placed({"x": 1}, labels={"hash": "new"})],
            verdicts(x=UNEVEN, y=UNEVEN),
            id="matchLabelKeys beside an empty selector",
        ),
        pytest.param(
            pod(even(app=None, match_label_keys=("hash",)), labels={"hash": "new"}),
            placed({"x": 3}, labels={"hash": "new"}),
            verdicts(),
            id="matchLabelKeys without a selector: no pods",
        ),
        pytest.param(
            pod(even(match_label_keys=("hash",))),
            placed({"a": 1}, labels={"hash": "old"}),
            verdicts(a=UNEVEN, b=UNEVEN),
            id="matchLabelKeys that the pod lacks are nothing",
        ),
        pytest.param(
            pod(
                even(
                    app=None,
                    selector=LabelSelector(match_expressions=(LabelRequirement("app", "In", ("web", "db")),)),
                )
            ),
            [*placed({"a": 1}, app="db"), *placed({"b": 1})],
            verdicts(a=UNEVEN, b=UNEVEN),
            id="a selector with expressions",
        ),
    ],
)
def test_an_uneven_spread_is_refused(wanted: Pod, there: list[Pod], expected: Mapping[str, str]) -> None:
    assert asked(there).messages(wanted) == expected


@pytest.mark.parametrize(
    ("skew", "topology", "domains", "there", "expected"),
    [
        (2, HOSTNAME, 5, {"a": 2, "b": 2, "x": 1, "y": 1}, verdicts(a=UNEVEN, b=UNEVEN)),
        (2, HOSTNAME, 4, {"a": 2, "b": 2, "x": 1, "y": 1}, verdicts()),
        (2, ZONE, 3, {"a": 1, "b": 1, "y": 1}, verdicts(a=UNEVEN, b=UNEVEN)),
        (2, ZONE, 2, {"a": 1, "b": 1, "y": 1}, verdicts()),
    ],
)
def test_with_fewer_domains_than_wanted_the_lowest_counts_as_empty(
    skew: int, topology: str, domains: int, there: Mapping[str, int], expected: Mapping[str, str]
) -> None:
    wanted = pod(even(topology, skew=skew, min_domains=domains))
    assert asked(placed(there)).messages(wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "nodes", "there", "expected"),
    [
        pytest.param(
            pod(even()),
            (A, node("b"), X, Y),
            {"a": 1, "b": 1, "x": 1, "y": 1},
            verdicts(b=NO_LABEL, x=UNEVEN, y=UNEVEN),
            id="pods on a node without the label do not count",
        ),
        pytest.param(
            pod(even(RACK)), NODES, {}, verdicts(**dict.fromkeys("abxy", NO_LABEL)), id="no node has it"
        ),
        pytest.param(
            pod(even(), even(RACK)),
            (node("a", "1", rack="1"), B, node("x", "2", rack="2"), Y),
            {"b": 1, "y": 4},
            verdicts(b=NO_LABEL, y=NO_LABEL),
            id="a node must have all labels for its pods to count",
        ),
        pytest.param(
            pod(even(), even(RACK)),
            (node("a", "1", rack="1"), B, node("x", "2", rack="2"), Y),
            {"a": 1},
            verdicts(a=UNEVEN, b=UNEVEN, y=NO_LABEL),
            id="the first constraint that refuses gives the reason",
        ),
        pytest.param(
            pod(even(RACK), even()),
            (node("a", "1", rack="1"), B, node("x", "2", rack="2"), Y),
            {"a": 1},
            verdicts(a=UNEVEN, b=NO_LABEL, y=NO_LABEL),
            id="in the pod's order",
        ),
    ],
)
def test_nodes_without_a_topology_label(
    wanted: Pod, nodes: tuple[Node, ...], there: Mapping[str, int], expected: Mapping[str, str]
) -> None:
    assert asked(placed(there), *nodes).messages(wanted) == expected


def test_a_label_without_a_value_is_a_domain_too() -> None:
    nodes = (make_node("a", labels={RACK: ""}), make_node("b", labels={RACK: "1"}), make_node("c"))
    said = asked(placed({"a": 1, "c": 5}), *nodes).messages(pod(even(RACK)))
    assert said == {"a": UNEVEN, "b": "", "c": NO_LABEL}


def on_hosts(operator: str, *hosts: str) -> Affinity:
    term = NodeSelectorTerm((Requirement(HOSTNAME, operator, hosts),))
    return Affinity(NodeAffinity(NodeSelector((term,))))


SSD = {"disk": "ssd"}
MARKED = (node("a", "1", disk="ssd"), node("b", "1", disk="ssd"), node("x", "2", disk="ssd"), Y)
TAINTED = (A, B, X, node("y", "2", taint=TAINT))
RATHER_TAINTED = (A, B, X, node("y", "2", taint=Taint("soft", "PreferNoSchedule")))
FULL_BUT_X = {"a": 1, "b": 1, "y": 1}


@pytest.mark.parametrize(
    ("wanted", "nodes", "there", "expected"),
    [
        pytest.param(
            pod(even(HOSTNAME), affinity=on_hosts("In", "a", "y")),
            NODES,
            {"a": 2, "b": 1, "y": 3},
            verdicts(y=UNEVEN),
            id="only nodes of the pod's affinity count, whose own plugin refuses the others",
        ),
        pytest.param(
            pod(even(), affinity=on_hosts("NotIn", "b")),
            NODES,
            {"b": 2, "y": 1},
            verdicts(x=UNEVEN, y=UNEVEN),
            id="for the sums of zones too",
        ),
        pytest.param(
            pod(even(), affinity=on_hosts("NotIn", "b"), node_selector={ZONE: "2"}),
            NODES,
            {"b": 2, "y": 1},
            verdicts(),
            id="domains without such a node are none",
        ),
        pytest.param(
            pod(even(HOSTNAME), node_selector=SSD),
            MARKED,
            FULL_BUT_X,
            verdicts(a=UNEVEN, b=UNEVEN),
            id="by node selector",
        ),
        pytest.param(
            pod(even(HOSTNAME, node_affinity_policy="Ignore"), node_selector=SSD),
            MARKED,
            FULL_BUT_X,
            verdicts(a=UNEVEN, b=UNEVEN, y=UNEVEN),
            id="unless told to ignore it",
        ),
        pytest.param(
            pod(even(HOSTNAME, node_taints_policy="Honor")),
            TAINTED,
            FULL_BUT_X,
            verdicts(a=UNEVEN, b=UNEVEN),
            id="taints count when told to",
        ),
        pytest.param(
            pod(even(HOSTNAME)),
            TAINTED,
            FULL_BUT_X,
            verdicts(a=UNEVEN, b=UNEVEN, y=UNEVEN),
            id="and not otherwise",
        ),
        pytest.param(
            pod(even(HOSTNAME, node_taints_policy="Honor"), tolerations=[Toleration("hard", "Exists")]),
            TAINTED,
            FULL_BUT_X,
            verdicts(a=UNEVEN, b=UNEVEN, y=UNEVEN),
            id="nor if tolerated",
        ),
        pytest.param(
            pod(even(HOSTNAME, node_taints_policy="Honor")),
            RATHER_TAINTED,
            FULL_BUT_X,
            verdicts(a=UNEVEN, b=UNEVEN, y=UNEVEN),
            id="nor those that only discourage",
        ),
        pytest.param(
            pod(even(), even(HOSTNAME, node_affinity_policy="Ignore"), node_selector=SSD),
            MARKED,
            FULL_BUT_X,
            verdicts(a=UNEVEN, b=UNEVEN, y=UNEVEN),
            id="each constraint has its own policies",
        ),
    ],
)
def test_node_policies_decide_which_nodes_count(
    wanted: Pod, nodes: tuple[Node, ...], there: Mapping[str, int], expected: Mapping[str, str]
) -> None:
    assert asked(placed(there), *nodes).messages(wanted) == expected


def test_a_cordoned_node_counts_and_one_that_is_gone_does_not() -> None:
    gone = asked(placed({"a": 1, "b": 1, "x": 1}))
    gone.cache.drop_node("b")
    assert gone.messages(pod(even(skew=1))) == {"a": "", "x": "", "y": ""}
    cordoned = asked(
        placed({"a": 1, "b": 1, "x": 1}), A, make_node("b", labels={ZONE: "1"}, cordoned=True), X
    )
    assert cordoned.messages(pod(even(skew=1))) == {"a": UNEVEN, "b": UNEVEN, "x": ""}


def test_the_nodes_that_count_are_found_once_for_all_constraints(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[NodeInclusion] = []
    mask = NodeInclusion.mask

    def counted(inclusion: NodeInclusion, table: NodeTable) -> Mask:
        found.append(inclusion)
        return mask(inclusion, table)

    monkeypatch.setattr(NodeInclusion, "mask", counted)
    wanted = pod(*(even(app=f"app-{number}") for number in range(CONSTRAINTS.ordinary)))
    assert asked([]).messages(wanted) == verdicts()
    assert len(found) == 1


def test_pods_that_come_and_go_are_followed() -> None:
    cluster, wanted = asked([]), pod(even(), even(HOSTNAME, skew=2))
    on_a, on_x = placed({"a": 1, "x": 1})
    assert cluster.messages(wanted) == verdicts()
    cluster.cache.put_pod(on_a)
    assert cluster.messages(wanted) == verdicts(a=UNEVEN, b=UNEVEN)
    cluster.cache.put_pod(on_x)
    assert cluster.messages(wanted) == verdicts()
    cluster.cache.drop_pod(on_a)
    assert cluster.messages(wanted) == verdicts(x=UNEVEN, y=UNEVEN)
    for many in placed({"a": 6, "b": 3, "x": 7}, labels={"more": "x"}):
        cluster.cache.put_pod(many)
    assert cluster.messages(wanted) == verdicts(a=UNEVEN, b=UNEVEN, x=UNEVEN)


def counted(cluster: Asked, wanted: Pod) -> int:
    """How many constraints are counted for a pod."""
    return len(list(cluster.plugin.counted(PodInfo(wanted), cluster.cache.snapshot)))


def test_constraints_after_one_by_a_label_that_no_node_has_are_not_asked() -> None:
    """They number thousands in the longest pods."""
    cluster = asked(placed({"a": 5}))
    unknown = (even(f"example.com/none-{number}") for number in range(1000))
    wanted = pod(even(), even(HOSTNAME), *unknown)
    assert cluster.messages(wanted) == verdicts(a=NO_LABEL, b=NO_LABEL, x=NO_LABEL, y=NO_LABEL)
    assert counted(cluster, wanted) == 3


def test_soft_constraints_by_a_label_that_no_node_has_rank_nothing() -> None:
    cluster = asked(placed({"a": 5}))
    wanted = pod(rather_even(), *(rather_even(f"example.com/none-{number}") for number in range(100)))
    assert cluster.scores(wanted) == {"a": 0, "b": 0, "x": 0, "y": 0}
    assert counted(cluster, wanted) == 0


@pytest.mark.parametrize(
    ("constraints", "refused"), [(MOST_CONSTRAINTS, False), (MOST_CONSTRAINTS + 1, True)]
)
def test_a_pod_with_too_many_constraints_is_refused(constraints: int, *, refused: bool) -> None:
    labels = {f"key-{number}": "v" for number in range(constraints)}
    cluster = asked([], make_node("n", labels=labels))
    keys = list(labels)
    wanted = pod(*map(even, keys[:100]), *map(rather_even, keys[100:]))
    _, status = cluster.plugin.pre_filter(CycleState(), PodInfo(wanted), cluster.cache.snapshot)
    assert status.rejected is refused
    assert counted(cluster, wanted) == (0 if refused else constraints)
    if refused:
        assert status.message == (
            "the pod has more than 128 topology spread constraints by labels that nodes have, and no more "
            "are supported"
        )
