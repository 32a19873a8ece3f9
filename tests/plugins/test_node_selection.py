"""Node selectors over many nodes at once: as one node after the other is asked, and with few operations."""

from random import Random

import numpy as np
import pytest

from pallet.api.labels import Labels
from pallet.api.node import Node
from pallet.api.pod import PreferredSchedulingTerm
from pallet.api.selectors import LabelSelector, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from pallet.cache.columns import Mask
from pallet.cache.live_snapshot import LiveSnapshot
from pallet.cache.node_table import NodeTable
from pallet.framework.interface import ALL_ROWS, RowChoice
from pallet.plugins import node_selection
from pallet.plugins.node_selection import add_weights, match_any, match_label, match_required
from tests.builders import make_node

KEYS = ("zone", "size", "none", "-bad-")
VALUES = ("a", "b", "", "1", "07", "7", "-3", "not valid", "gone", "99999999999999999999")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Near")


def table_of(nodes: list[Node]) -> NodeTable:
    snapshot = LiveSnapshot()
    for node in nodes:
        snapshot.put_node(node)
    return snapshot.table


def numbered(count: int) -> NodeTable:
    """Nodes with numbers for labels, every other one without."""
    return table_of(
        [make_node(f"n{number}", labels={"n": str(number)} if number % 2 else {}) for number in range(count)]
    )


def expression(rng: Random) -> NodeSelectorRequirement:
    values = tuple(rng.choices(VALUES, k=rng.choice((0, 1, 1, 1, 2, 3))))
    return NodeSelectorRequirement(rng.choice(KEYS), rng.choice(OPERATORS), values)


def field(rng: Random) -> NodeSelectorRequirement:
    key = rng.choice(("metadata.name", "metadata.name", "metadata.uid"))
    names = tuple(rng.choices(("n0", "n1", "n70", "gone", ""), k=rng.choice((1, 1, 1, 2))))
    return NodeSelectorRequirement(key, rng.choice(("In", "NotIn", "Exists")), names)


def term(rng: Random) -> NodeSelectorTerm:
    return NodeSelectorTerm(
        tuple(expression(rng) for _ in range(rng.choice((0, 1, 1, 2)))),
        tuple(field(rng) for _ in range(rng.choice((0, 0, 0, 1, 2)))),
    )


@pytest.mark.parametrize("seed", range(60))
def test_many_nodes_are_selected_as_each_is_by_itself(seed: int) -> None:
    rng = Random(seed)  # noqa: S311 - draws an example
    nodes = []
    for number in range(75):
        labels = {key: rng.choice(VALUES) for key in ("zone", "size") if rng.random() < 0.8}
        nodes.append(make_node(f"n{number}", labels=labels))
    table = table_of(nodes)
    terms = tuple(term(rng) for _ in range(rng.choice((1, 2, 5, 40))))
    selector = Labels({key: rng.choice(VALUES) for key in KEYS[:3] if rng.random() < 0.2})
    weights = [PreferredSchedulingTerm(rng.randint(1, 100), each) for each in terms]
    choices: list[RowChoice] = [slice(5, 14), np.array(sorted(rng.sample(range(75), 20))), np.array([], int)]
    for rows in choices:
        asked = [table.nodes[row] for row in np.arange(table.capacity)[rows].tolist()]
        seen = [(each.metadata.name, each.metadata.labels) for each in asked if each is not None]
        assert match_any(terms, table, rows).tolist() == [NodeSelector(terms).matches(*each) for each in seen]
        assert match_required(selector, NodeSelector(terms), table, rows).tolist() == [
            LabelSelector(selector).matches(labels) and NodeSelector(terms).matches(name, labels)
            for name, labels in seen
        ]
        assert add_weights(weights, table, rows).tolist() == [
            sum(each.weight for each in weights if each.preference.matches(*node)) for node in seen
        ]
        one = expression(rng)
        assert match_label(one, table.labels[one.key], rows).tolist() == [
            one.matches(labels) for _, labels in seen
        ]


@pytest.mark.parametrize("operator", ["In", "NotIn", "Gt", "Lt"])
def test_many_values_of_a_label_are_told_apart_as_few_are(operator: str) -> None:
    table = numbered(400)
    terms = tuple(
        NodeSelectorTerm(
            (
                NodeSelectorRequirement("n", operator, (str(3 * number),)),
                NodeSelectorRequirement("n", "NotIn", (str(number),)),
            )
        )
        for number in range(130)
    )
    nodes = [node for node in table.nodes if node is not None]
    weights = [PreferredSchedulingTerm(1 + number % 100, each) for number, each in enumerate(terms)]
    rows = slice(0, 400)
    for some in (terms, terms[:3], terms[100:]):
        expected = [NodeSelector(some).matches(node.metadata.name, node.metadata.labels) for node in nodes]
        assert match_any(some, table, rows).tolist() == expected
    assert add_weights(weights, table, rows).tolist() == [
        sum(each.weight for each in weights if each.preference.matches("", node.metadata.labels))
        for node in nodes
    ]


@pytest.fixture
def vectors(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the arrays that were made into sets of rows."""
    made: list[int] = []
    pack = node_selection.packed

    def counted(mask: Mask) -> int:
        made.append(mask.size)
        return pack(mask)

    monkeypatch.setattr(node_selection, "packed", counted)
    return made


@pytest.mark.parametrize("operator", ["In", "NotIn", "Gt", "Lt"])
def test_a_thousand_requirements_on_a_label_take_few_operations_on_all_rows(
    vectors: list[int], operator: str
) -> None:
    table = numbered(1000)
    expressions = tuple(NodeSelectorRequirement("n", operator, (str(number),)) for number in range(1000))
    match_any([NodeSelectorTerm((each,)) for each in expressions], table, ALL_ROWS)
    match_any([NodeSelectorTerm(expressions)], table, ALL_ROWS)
    add_weights(
        [PreferredSchedulingTerm(1, NodeSelectorTerm((each,))) for each in expressions], table, ALL_ROWS
    )
    assert 0 < len(vectors) < 200


@pytest.mark.parametrize("operator", ["In", "Exists", "Gt"])
def test_labels_that_no_node_has_take_no_operation_on_rows(vectors: list[int], operator: str) -> None:
    table = numbered(10)
    values = () if operator == "Exists" else ("1",)
    expressions = tuple(NodeSelectorRequirement(f"k{number}", operator, values) for number in range(100))
    assert not match_any([NodeSelectorTerm((each,)) for each in expressions], table, ALL_ROWS).any()
    assert not match_required(
        Labels({f"k{number}": "" for number in range(100)}), None, table, ALL_ROWS
    ).any()
    absent = tuple(NodeSelectorRequirement(each.key, "DoesNotExist") for each in expressions)
    assert match_any([NodeSelectorTerm(absent)], table, ALL_ROWS).all()
    assert vectors == []


def test_of_many_terms_only_those_that_add_nodes_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[object] = []
    is_valid = NodeSelectorTerm.valid

    def counted(term: NodeSelectorTerm) -> bool:
        checked.append(term)
        return bool(is_valid.fget(term))  # type: ignore[attr-defined]

    monkeypatch.setattr(NodeSelectorTerm, "valid", property(counted))
    terms = [
        NodeSelectorTerm((NodeSelectorRequirement("n", "In", (value,)),)) for value in ("1", "1", "3", "gone")
    ]
    match_any(terms, numbered(9), ALL_ROWS)
    assert checked == [terms[0], terms[2]]
