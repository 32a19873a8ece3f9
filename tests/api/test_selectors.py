"""Selectors; cases as in apimachinery's labels and component-helpers' nodeaffinity tests."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallet.api.codec import decode_hook
from pallet.api.labels import Labels
from pallet.api.selectors import (
    LabelRequirement,
    LabelSelector,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    label_integer,
    selects,
)


def needs(key: str, operator: str, *values: str) -> NodeSelectorRequirement:
    return NodeSelectorRequirement(key, operator, values)


def by_label(*requirements: NodeSelectorRequirement) -> NodeSelector:
    return NodeSelector((NodeSelectorTerm(match_expressions=requirements),))


def by_field(*requirements: NodeSelectorRequirement) -> NodeSelector:
    return NodeSelector((NodeSelectorTerm(match_fields=requirements),))


@pytest.mark.parametrize(
    ("operator", "values", "labels", "expected"),
    [
        ("In", ("a", "b"), {"x": "b"}, True),
        ("In", ("a", "b"), {"x": "c"}, False),
        ("In", ("a",), {"y": "a"}, False),
        ("In", ("",), {"x": ""}, True),
        ("In", ("",), {}, False),
        ("NotIn", ("a", "b"), {"x": "b"}, False),
        ("NotIn", ("a", "b"), {"x": "c"}, True),
        ("NotIn", ("a",), {"y": "a"}, True),
        ("NotIn", ("",), {}, True),
        ("Exists", (), {"x": ""}, True),
        ("Exists", (), {"y": ""}, False),
        ("DoesNotExist", (), {"x": ""}, False),
        ("DoesNotExist", (), {"y": ""}, True),
        ("Sometimes", ("a",), {"x": "a"}, False),
    ],
)
def test_a_requirement_on_labels(
    operator: str, values: tuple[str, ...], labels: dict[str, str], *, expected: bool
) -> None:
    assert LabelRequirement("x", operator, values).matches(labels) is expected
    assert needs("x", operator, *values).matches(labels) is expected


def test_an_empty_selector_selects_everything_and_an_absent_one_nothing() -> None:
    assert selects(LabelSelector(), {})
    assert selects(LabelSelector(), {"x": "y"})
    assert not selects(None, {})
    assert not selects(None, {"x": "y"})


def test_labels_and_expressions_must_all_be_met() -> None:
    selector = LabelSelector(Labels({"a": "1", "b": "2"}), (LabelRequirement("c", "Exists"),))
    assert selector.matches({"a": "1", "b": "2", "c": "", "d": "4"})
    assert selector.matches(Labels({"a": "1", "b": "2", "c": ""}))
    assert not selector.matches({"a": "1", "b": "2"})
    assert not selector.matches({"a": "1", "b": "3", "c": ""})
    assert not selector.matches({"a": "1", "c": ""})


@pytest.mark.parametrize(
    ("operator", "bound", "value", "expected"),
    [
        ("Gt", "0204", "0206", True),
        ("Gt", "1", "1", False),
        ("Gt", "9", "10", True),
        ("Lt", "7", "6", True),
        ("Lt", "7", "7", False),
        ("Lt", "0", "-1", True),
        ("Gt", "1", "v2", False),
        ("Gt", "1", "1.5", False),
        ("Gt", "1", "", False),
        ("Gt", "1", "9223372036854775808", False),
        ("Gt", "one", "2", False),
    ],
)
def test_gt_and_lt_compare_integers(operator: str, bound: str, value: str, *, expected: bool) -> None:
    assert by_label(needs("x", operator, bound)).matches("node", {"x": value}) is expected
    assert not by_label(needs("x", operator, bound)).matches("node", {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("+5", 5),
        ("-5", -5),
        ("007", 7),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", None),
        ("", None),
        ("1_0", None),
        (" 1", None),
        ("1\n", None),
        ("0x1", None),
        ("\u0661", None),
        ("1" * 5_000, None),
    ],
)
def test_a_label_is_read_as_an_int64(text: str, value: int | None) -> None:
    assert label_integer(text) == value


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (NodeSelector(), False),
        (NodeSelector((NodeSelectorTerm(),)), False),
        (by_label(needs("gpu", "Exists"), needs("gpu", "NotIn", "amd")), True),
        (by_label(needs("gpu", "Exists"), needs("gpu", "In", "amd")), False),
        (NodeSelector(by_label(needs("x", "Exists")).node_selector_terms * 2), False),
        (by_field(needs("metadata.name", "In", "node-1")), True),
        (by_field(needs("metadata.name", "In", "node-2")), False),
        (by_field(needs("metadata.name", "NotIn", "node-1")), False),
        (by_field(needs("metadata.name", "NotIn", "node-2")), True),
        (by_field(needs("metadata.uid", "In", "node-1")), False),
        (
            NodeSelector(
                (NodeSelectorTerm((needs("gpu", "Exists"),), (needs("metadata.name", "In", "no"),)),)
            ),
            False,
        ),
        (
            NodeSelector(
                (NodeSelectorTerm((needs("x", "Exists"),), (needs("metadata.name", "In", "node-1"),)),)
            ),
            False,
        ),
        (
            NodeSelector(
                (
                    NodeSelectorTerm(match_fields=(needs("metadata.name", "In", "node-2"),)),
                    NodeSelectorTerm((needs("gpu", "In", "nvidia"),)),
                )
            ),
            True,
        ),
    ],
)
def test_a_node_is_selected_when_one_term_is_met_in_full(selector: NodeSelector, *, expected: bool) -> None:
    assert selector.matches("node-1", {"gpu": "nvidia"}) is expected


@pytest.mark.parametrize(
    "term",
    [
        NodeSelectorTerm(),
        NodeSelectorTerm((needs("x", "In"),)),
        NodeSelectorTerm((needs("x", "NotIn"),)),
        NodeSelectorTerm((needs("gpu", "Exists", "a"),)),
        NodeSelectorTerm((needs("x", "DoesNotExist", "a"),)),
        NodeSelectorTerm((needs("gpu", "Gt", "1", "2"),)),
        NodeSelectorTerm((needs("gpu", "Gt", "one"),)),
        NodeSelectorTerm((needs("gpu", "invalid", "5"),)),
        NodeSelectorTerm((needs("invalid key", "DoesNotExist"),)),
        NodeSelectorTerm((needs("x", "NotIn", "invalid value: ___@#$%^"),)),
        NodeSelectorTerm((needs("gpu", "Exists"), needs("x", "NotIn"))),
        NodeSelectorTerm(match_fields=(needs("metadata.name", "In", "node-1", "node-2"),)),
        NodeSelectorTerm(match_fields=(needs("metadata.name", "NotIn"),)),
        NodeSelectorTerm(match_fields=(needs("metadata.name", "Exists"),)),
    ],
)
def test_a_malformed_term_selects_no_node(term: NodeSelectorTerm) -> None:
    assert not term.valid
    assert not term.matches("node-1", {"gpu": "3"})


def test_selectors_are_decoded_from_the_api_and_are_hashable() -> None:
    json = b"""{"matchLabels": {"b": "2", "a": "1"}, "later": 1,
        "matchExpressions": [{"key": "c", "operator": "In", "values": ["x", "y"], "later": 1}]}"""
    selector = msgspec.json.decode(json, type=LabelSelector, dec_hook=decode_hook)
    assert selector == LabelSelector(Labels({"a": "1", "b": "2"}), (LabelRequirement("c", "In", ("x", "y")),))
    assert hash(selector) == hash(msgspec.json.decode(json, type=LabelSelector, dec_hook=decode_hook))
    assert (
        msgspec.json.decode(msgspec.json.encode(selector), type=LabelSelector, dec_hook=decode_hook)
        == selector
    )


def test_node_selectors_are_decoded_from_the_api_and_are_hashable() -> None:
    json = b"""{"nodeSelectorTerms": [{"matchExpressions": [{"key": "x", "operator": "Gt", "values": ["1"]}],
        "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]}"""
    selector = msgspec.json.decode(json, type=NodeSelector)
    term = NodeSelectorTerm((needs("x", "Gt", "1"),), (needs("metadata.name", "In", "n"),))
    assert selector == NodeSelector((term,))
    assert hash(selector) == hash(NodeSelector((term,)))


KEYS = st.sampled_from(["a", "b", "c/d", "in", "notin"])
VALUES = st.sampled_from(["", "1", "2", "in", "x.y"])
LABELS = st.dictionaries(KEYS, VALUES)
REQUIREMENTS = st.builds(
    LabelRequirement,
    KEYS,
    st.sampled_from(["In", "NotIn"]),
    st.lists(VALUES, min_size=1, max_size=3).map(tuple),
) | st.builds(LabelRequirement, KEYS, st.sampled_from(["Exists", "DoesNotExist"]))
SELECTORS = st.builds(LabelSelector, LABELS.map(Labels), st.lists(REQUIREMENTS, max_size=4).map(tuple))


@given(SELECTORS)
def test_a_selector_survives_json(selector: LabelSelector) -> None:
    again = msgspec.json.decode(msgspec.json.encode(selector), type=LabelSelector, dec_hook=decode_hook)
    assert again == selector
    assert hash(again) == hash(selector)
