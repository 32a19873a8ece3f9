"""Which events wake a pod that was refused: cases of kube-scheduler's own tests."""

import pytest

from pallet.api.node import Node, Taint
from pallet.api.pod import Pod, Toleration, TopologySpreadConstraint
from pallet.api.selectors import LabelRequirement, LabelSelector
from pallet.framework.events import (
    ASSIGNED_POD_ADD,
    ASSIGNED_POD_DELETE,
    NODE_ADD,
    NODE_DELETE,
    POD_ADD,
    POD_DELETE,
    ClusterEvent,
    Hint,
    node_update,
    pod_update,
)
from pallet.plugins.pod_topology_spread import PodTopologySpread
from tests.builders import ZONE, even, make_node, make_pod, rather_even
from tests.plugins.asking import Asked

RACK = "example.com/rack"
TIER = LabelSelector(match_expressions=(LabelRequirement("tier", "Exists"),))
BY_TIER = even(RACK, None, selector=TIER)


def pod(*spread: TopologySpreadConstraint, tolerations: tuple[Toleration, ...] = (), **labels: str) -> Pod:
    return make_pod("new", pod_set="", labels=labels, spread=spread, tolerations=tolerations)


def other(on: str = "n", namespace: str = "default", **labels: str) -> Pod:
    return make_pod("old", pod_set="", node=on, labels=labels, namespace=namespace)


def node(zone: str = "", rack: str = "", taint: str = "", **labels: str) -> Node:
    domains = {key: value for key, value in ((ZONE, zone), (RACK, rack)) if value}
    return make_node("n", labels=labels | domains, taints=[Taint(taint, "NoSchedule")] if taint else ())


def hint(event: ClusterEvent | None, refused: Pod, old: object, new: object) -> bool:
    assert event is not None
    return Asked(PodTopologySpread).hint(event, refused, old, new) is Hint.QUEUE


WEB = pod(even(), app="web")
BOTH = pod(even(), BY_TIER, app="web")


@pytest.mark.parametrize(
    ("placed", "helps"),
    [
        pytest.param(other(app="web"), True, id="one that counts"),
        pytest.param(other(app="db"), False, id="one that does not"),
        pytest.param(other(namespace="other", app="web"), False, id="of another namespace"),
        pytest.param(other(on="", app="web"), False, id="without a node"),
    ],
)
def test_a_pod_that_comes_or_goes_helps_if_it_counts(placed: Pod, helps: bool) -> None:  # noqa: FBT001 - a table's column
    came, went = (ASSIGNED_POD_ADD, ASSIGNED_POD_DELETE) if placed.spec.node_name else (POD_ADD, POD_DELETE)
    assert hint(came, WEB, None, placed) is helps
    assert hint(went, WEB, placed, None) is helps


def test_a_pod_that_gave_its_place_up_helps_though_it_never_showed_its_node() -> None:
    assert hint(ASSIGNED_POD_DELETE, WEB, other(on="", app="web"), None)
    assert not hint(ASSIGNED_POD_DELETE, WEB, other(on="", namespace="other", app="web"), None)


@pytest.mark.parametrize(
    ("refused", "old", "new", "helps"),
    [
        pytest.param(WEB, other(), other(app="web"), True, id="counts now"),
        pytest.param(WEB, other(app="web"), other(), True, id="counts no longer"),
        pytest.param(WEB, other(app="web"), other(app="web", more="x"), False, id="counts as before"),
        pytest.param(WEB, other(more="x"), other(more="y"), False, id="never counted"),
        pytest.param(WEB, other("", app="db"), other("", app="web"), False, id="has no node"),
        pytest.param(
            BOTH, other(app="web"), other(app="web", tier="a"), True, id="for one constraint of two"
        ),
        pytest.param(BOTH, other(app="web", tier="a"), other(app="web", tier="b"), False, id="for none"),
        pytest.param(WEB, pod(), pod(app="web"), True, id="the pod itself counts now"),
        pytest.param(WEB, pod(), pod(more="x"), False, id="the pod itself, other labels"),
    ],
)
def test_labels_that_change_help_if_they_change_what_counts(
    refused: Pod,
    old: Pod,
    new: Pod,
    helps: bool,  # noqa: FBT001 - a table's column
) -> None:
    assert hint(pod_update(old, new), refused, old, new) is helps


def test_a_new_toleration_helps_where_taints_matter() -> None:
    tolerant = pod(app="web", tolerations=(Toleration("hard", "Exists"),))
    minding = pod(even(node_taints_policy="Honor"), BY_TIER, app="web")
    change = pod_update(pod(app="web"), tolerant)
    assert hint(change, minding, pod(app="web"), tolerant)
    assert not hint(change, BOTH, pod(app="web"), tolerant)


@pytest.mark.parametrize(
    ("refused", "changed", "helps"),
    [
        pytest.param(WEB, node("1"), True, id="in a zone"),
        pytest.param(WEB, node(), False, id="in no zone"),
        pytest.param(BOTH, node("1"), False, id="in a zone but no rack"),
        pytest.param(BOTH, node("1", "1"), True, id="in both"),
        pytest.param(pod(even(), rather_even(RACK)), node("1"), True, id="wishes do not refuse"),
    ],
)
def test_a_node_that_comes_or_goes_helps_if_it_is_in_all_domains(
    refused: Pod,
    changed: Node,
    helps: bool,  # noqa: FBT001 - a table's column
) -> None:
    assert hint(NODE_ADD, refused, None, changed) is helps
    assert hint(NODE_DELETE, refused, changed, None) is helps


@pytest.mark.parametrize(
    ("old", "new", "helps"),
    [
        pytest.param(node("1", "1"), node("1", "2"), True, id="another rack"),
        pytest.param(node("1"), node("1", "1"), True, id="a rack at last"),
        pytest.param(node("1", "1"), node("1"), True, id="no rack any more"),
        pytest.param(node("1", "1"), node("1", "1", more="x"), False, id="other labels"),
        pytest.param(node("1"), node("2"), False, id="no rack still"),
        pytest.param(node("1", "1", taint="a"), node("1", "1", taint="b"), True, id="taints"),
        pytest.param(node("1", taint="a"), node("1", taint="b"), False, id="taints, without a rack"),
    ],
)
def test_a_node_that_changes_helps_if_a_domain_does(
    old: Node,
    new: Node,
    helps: bool,  # noqa: FBT001 - a table's column
) -> None:
    assert hint(node_update(old, new), BOTH, old, new) is helps
