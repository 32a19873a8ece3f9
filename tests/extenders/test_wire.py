"""What is sent to extenders and read from them."""

import json

import msgspec
import pytest

from pallet.extenders import wire


def test_args_carry_names_for_an_extender_that_knows_nodes() -> None:
    body = wire.args(b'{"metadata":{"name":"web"}}', names=["a", "b"])
    assert json.loads(body) == {
        "Pod": {"metadata": {"name": "web"}},
        "Nodes": None,
        "NodeNames": ["a", "b"],
    }


def test_args_carry_whole_nodes_for_the_others() -> None:
    body = wire.args(b"{}", nodes=[b'{"metadata":{"name":"a"}}', b'{"metadata":{"name":"b"}}'])
    items = [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]
    assert json.loads(body) == {"Pod": {}, "Nodes": {"metadata": {}, "items": items}, "NodeNames": None}


@pytest.mark.parametrize(
    "body",
    [
        b'{"NodeNames":["a"],"FailedNodes":{"Node-B":"No GPU"},"Error":""}',
        b'{"nodenames":["a"],"failedNodes":{"Node-B":"No GPU"}}',
        b'{"nodeNames":["a"],"failednodes":{"Node-B":"No GPU"},"other":[{"X":1}]}',
    ],
    ids=["as Go spells it", "in the common spelling", "mixed, with more than is known"],
)
def test_answers_are_read_whatever_the_case_of_field_names(body: bytes) -> None:
    result = wire.read(wire.FilterResult, body)
    assert result.nodenames == ("a",)
    assert result.failednodes == {"Node-B": "No GPU"}, "names of nodes keep their case"


def test_nodes_that_come_back_are_read_by_name() -> None:
    result = wire.read(
        wire.FilterResult, b'{"Nodes":{"Items":[{"Metadata":{"Name":"a","Labels":{"A":"b"}}}]}}'
    )
    assert result.nodes is not None
    assert result.nodes.items == (wire.NamedNode(wire.NodeMetadata("a")),)


def test_scores_are_a_list() -> None:
    scores = wire.read(tuple[wire.HostPriority, ...], b'[{"Host":"a","Score":3},{"host":"b","score":10}]')
    assert [(each.host, each.score) for each in scores] == [("a", 3), ("b", 10)]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"nodenames":"a"}', b"<html>"])
def test_what_is_no_answer_is_an_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.read(wire.FilterResult, body)
