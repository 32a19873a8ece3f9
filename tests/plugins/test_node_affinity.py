from collections.abc import Mapping
from typing import Any

import pytest

from pallet.api.node import Node
from pallet.api.pod import Affinity, NodeAffinity, Pod, PreferredSchedulingTerm
from pallet.api.selectors import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from pallet.cache.live_snapshot import LiveSnapshot
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import NODE_ADD, Hint, node_update
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, unresolvable
from pallet.plugins.node_affinity import NodeAffinity as Plugin
from tests.builders import make_node, make_pod
from tests.plugins.asking import Asked

OTHER = "!node(s) didn't match Pod's node affinity/selector"


def label(key: str, operator: str, *values: str) -> NodeSelectorTerm:
    return NodeSelectorTerm((NodeSelectorRequirement(key, operator, values),))


def field(operator: str, *values: str, key: str = "metadata.name") -> NodeSelectorTerm:
    return NodeSelectorTerm((), (NodeSelectorRequirement(key, operator, values),))


def both(*terms: NodeSelectorTerm) -> NodeSelectorTerm:
    """One term with all requirements of some."""
    return NodeSelectorTerm(
        tuple(each for term in terms for each in term.match_expressions),
        tuple(each for term in terms for each in term.match_fields),
    )


def wanting(
    *terms: NodeSelectorTerm,
    rather: Mapping[NodeSelectorTerm, int] | None = None,
    selector: Mapping[str, str] | None = None,
    required: bool | None = None,
) -> Pod:
    """A pod with these required terms (an empty list of them if `required`) and preferred ones."""
    needs = NodeSelector(terms) if terms or required else None
    likes = tuple(PreferredSchedulingTerm(weight, term) for term, weight in (rather or {}).items())
    return make_pod("p", affinity=Affinity(NodeAffinity(needs, likes)), node_selector=selector)


@pytest.mark.parametrize(
    ("pod", "matches"),
    [
        pytest.param(make_pod("p"), True, id="no wish"),
        pytest.param(wanting(), True, id="an empty affinity"),
        pytest.param(wanting(selector={"disk": "ssd"}), True, id="selector"),
        pytest.param(wanting(selector={"disk": "ssd", "size": "12"}), True, id="selector of two"),
        pytest.param(wanting(selector={"disk": "ssd", "size": "13"}), False, id="all of a selector"),
        pytest.param(wanting(selector={"gone": ""}), False, id="a missing label is not an empty one"),
        pytest.param(wanting(selector={"empty": ""}), True, id="an empty label"),
        pytest.param(wanting(required=True), False, id="no terms select nothing"),
        pytest.param(wanting(NodeSelectorTerm()), False, id="an empty term selects nothing"),
        pytest.param(wanting(NodeSelectorTerm(), label("disk", "Exists")), True, id="beside another one"),
        pytest.param(wanting(label("disk", "In", "hdd", "ssd")), True, id="In"),
        pytest.param(wanting(label("disk", "In", "hdd")), False, id="not In"),
        pytest.param(wanting(label("gone", "In", "hdd")), False, id="In without the label"),
        pytest.param(wanting(label("disk", "NotIn", "hdd")), True, id="NotIn"),
        pytest.param(wanting(label("disk", "NotIn", "hdd", "ssd")), False, id="not NotIn"),
        pytest.param(wanting(label("gone", "NotIn", "hdd")), True, id="NotIn without the label"),
        pytest.param(wanting(label("disk", "Exists")), True, id="Exists"),
        pytest.param(wanting(label("gone", "Exists")), False, id="not Exists"),
        pytest.param(wanting(label("gone", "DoesNotExist")), True, id="DoesNotExist"),
        pytest.param(wanting(label("disk", "DoesNotExist")), False, id="not DoesNotExist"),
        pytest.param(wanting(label("size", "Gt", "11")), True, id="Gt"),
        pytest.param(wanting(label("size", "Gt", "12")), False, id="not Gt"),
        pytest.param(wanting(label("size", "Gt", "9")), True, id="Gt as numbers, not as text"),
        pytest.param(wanting(label("size", "Lt", "13")), True, id="Lt"),
        pytest.param(wanting(label("size", "Lt", "12")), False, id="not Lt"),
        pytest.param(wanting(label("disk", "Gt", "1")), False, id="Gt of no number"),
        pytest.param(wanting(label("gone", "Lt", "1")), False, id="Lt without the label"),
        pytest.param(wanting(label("size", "Gt", "1", "2")), False, id="an invalid requirement"),
        pytest.param(wanting(label("disk", "Near", "x")), False, id="an unknown operator"),
        pytest.param(
            wanting(label("disk", "In", "hdd"), label("size", "Exists")), True, id="one term is enough"
        ),
        pytest.param(
            wanting(both(label("disk", "In", "ssd"), label("gone", "Exists"))), False, id="but all of it"
        ),
        pytest.param(wanting(label("disk", "Exists"), selector={"size": "13"}), False, id="and the selector"),
        pytest.param(wanting(field("In", "a")), True, id="by name"),
        pytest.param(wanting(field("In", "b")), False, id="by another name"),
        pytest.param(wanting(field("NotIn", "b")), True, id="not by another name"),
        pytest.param(wanting(field("NotIn", "a")), False, id="not by name"),
        pytest.param(
            wanting(both(field("In", "a"), label("disk", "In", "hdd"))), False, id="by name and label"
        ),
        pytest.param(wanting(field("In", "b"), label("disk", "Exists")), True, id="by name or label"),
        pytest.param(wanting(field("In", "a", "b")), False, id="two names in one requirement are invalid"),
    ],
)
def test_which_nodes_a_pod_wants(pod: Pod, matches: bool) -> None:  # noqa: FBT001 - a table
    node = make_node("a", labels={"disk": "ssd", "size": "12", "empty": ""})
    asked = Asked(Plugin, [node, make_node("bare", labels={"gone": "x"})])
    assert asked.messages(pod)["a"] == ("" if matches else OTHER)


def test_a_label_that_has_a_value_on_another_node_only() -> None:
    asked = Asked(
        Plugin,
        [make_node("a", labels={"disk": "ssd"}), make_node("b", labels={"disk": "hdd"}), make_node("c")],
    )
    assert asked.messages(wanting(label("disk", "In", "hdd"))) == {"a": OTHER, "b": "", "c": OTHER}
    assert asked.messages(wanting(label("disk", "NotIn", "hdd"))) == {"a": "", "b": OTHER, "c": ""}


@pytest.mark.parametrize(
    ("pod", "names", "status"),
    [
        (make_pod("p"), None, SUCCESS),
        (wanting(required=True), None, SUCCESS),
        (wanting(field("In", "a")), {"a"}, SUCCESS),
        (wanting(field("In", "a"), field("In", "b")), {"a", "b"}, SUCCESS),
        (wanting(both(field("In", "a"), label("disk", "Exists"))), {"a"}, SUCCESS),
        (wanting(field("In", "a"), label("disk", "Exists")), None, SUCCESS),
        (wanting(field("NotIn", "a")), None, SUCCESS),
        (wanting(field("In", "a", key="metadata.uid")), None, SUCCESS),
        (
            wanting(both(field("In", "a"), field("In", "b"))),
            None,
            unresolvable("pod affinity terms conflict"),
        ),
        (wanting(both(field("In", "a"), field("In", "b")), field("In", "c")), {"c"}, SUCCESS),
    ],
)
def test_a_pod_that_names_its_nodes_narrows_the_search(
    pod: Pod, names: set[str] | None, status: object
) -> None:
    answer = Asked(Plugin).plugin.pre_filter(CycleState(), PodInfo(pod), LiveSnapshot())
    assert answer == (names, status)


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        pytest.param(make_pod("p"), {}, id="no wish"),
        pytest.param(wanting(label("disk", "Exists")), {}, id="only a need"),
        pytest.param(
            wanting(rather={label("disk", "In", "ssd"): 5}), {"a": 100, "b": 0, "c": 0}, id="one wish"
        ),
        pytest.param(
            wanting(rather={label("disk", "In", "ssd"): 2, label("disk", "Exists"): 3, field("In", "c"): 2}),
            {"a": 100, "b": 60, "c": 40},
            id="wishes add up",
        ),
        pytest.param(
            wanting(rather={label("disk", "In", "ssd"): 100, label("disk", "In", "hdd"): 33}),
            {"a": 100, "b": 33, "c": 0},
            id="in proportion to the best",
        ),
        pytest.param(
            wanting(rather={label("gone", "Exists"): 5}), {"a": 0, "b": 0, "c": 0}, id="a wish no node meets"
        ),
        pytest.param(
            wanting(rather={NodeSelectorTerm(): 5, label("disk", "Exists"): 1}),
            {"a": 100, "b": 100, "c": 0},
            id="an empty term is met by none",
        ),
    ],
)
def test_wishes_rank_nodes(pod: Pod, expected: Mapping[str, int]) -> None:
    nodes = [make_node("a", labels={"disk": "ssd"}), make_node("b", labels={"disk": "hdd"}), make_node("c")]
    assert Asked(Plugin, nodes).scores(pod) == expected


def added(**sorts: Any) -> Mapping[str, Any]:
    return {"addedAffinity": sorts}


def added_term(value: str) -> Mapping[str, Any]:
    return {"matchExpressions": [{"key": "disk", "operator": "In", "values": [value]}]}


def test_what_the_configuration_asks_of_every_node() -> None:
    args = added(requiredDuringSchedulingIgnoredDuringExecution={"nodeSelectorTerms": [added_term("ssd")]})
    asked = Asked(Plugin, [make_node("a", labels={"disk": "ssd"}), make_node("b")], args=args)
    enforced = "!node(s) didn't match scheduler-enforced node affinity"
    assert asked.messages(make_pod("p")) == {"a": "", "b": enforced}
    assert asked.messages(wanting(field("In", "b"))) == {"a": OTHER, "b": enforced}


def test_what_the_configuration_would_like() -> None:
    preferred = [{"weight": 2, "preference": added_term("ssd")}]
    nodes = [make_node("a", labels={"disk": "ssd"}), make_node("b"), make_node("c")]
    asked = Asked(Plugin, nodes, args=added(preferredDuringSchedulingIgnoredDuringExecution=preferred))
    assert asked.scores(make_pod("p")) == {"a": 100, "b": 0, "c": 0}
    assert asked.scores(wanting(rather={field("In", "b"): 1})) == {"a": 100, "b": 50, "c": 0}


SSD, HDD = make_node("a", labels={"disk": "ssd"}), make_node("a", labels={"disk": "hdd"})


@pytest.mark.parametrize(
    ("pod", "old", "new", "hint"),
    [
        (wanting(label("disk", "In", "ssd")), None, SSD, Hint.QUEUE),
        (wanting(label("disk", "In", "ssd")), None, HDD, Hint.SKIP),
        (wanting(label("disk", "In", "ssd")), HDD, SSD, Hint.QUEUE),
        (wanting(label("disk", "In", "ssd")), SSD, HDD, Hint.SKIP),
        (wanting(label("disk", "Exists")), SSD, HDD, Hint.SKIP),
        (wanting(selector={"disk": "ssd"}), HDD, SSD, Hint.QUEUE),
        (wanting(selector={"disk": "ssd"}), None, HDD, Hint.SKIP),
        (
            wanting(label("disk", "In", "ssd")),
            HDD,
            make_node("a", cpu="9", labels={"disk": "hdd"}),
            Hint.SKIP,
        ),
    ],
)
def test_which_nodes_help(pod: Pod, old: Node | None, new: Node, hint: Hint) -> None:
    event = NODE_ADD if old is None else node_update(old, new)
    assert event is not None
    assert Asked(Plugin).hint(event, pod, old, new) is hint


def test_a_node_that_the_configuration_does_not_want_does_not_help() -> None:
    args = added(requiredDuringSchedulingIgnoredDuringExecution={"nodeSelectorTerms": [added_term("ssd")]})
    asked = Asked(Plugin, args=args)
    assert asked.hint(NODE_ADD, make_pod("p"), None, HDD) is Hint.SKIP
    assert asked.hint(NODE_ADD, make_pod("p"), None, SSD) is Hint.QUEUE
