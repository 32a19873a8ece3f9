"""Objects that are kept whole."""

import msgspec

from pallet.api.codec import event_decoder, list_decoder
from pallet.api.labels import Labels
from pallet.api.whole import WHOLE_NODES, WholeNode

DOCUMENT = {
    "metadata": {"name": "a", "labels": {"zone": "east"}, "annotations": {"other": "x"}, "managedFields": []},
    "spec": {"podCIDR": "10.0.0.0/24"},
    "status": {"nodeInfo": {"kernelVersion": "6.1"}},
}


def test_a_list_keeps_all_of_each_object() -> None:
    body = msgspec.json.encode({"metadata": {"resourceVersion": "7"}, "items": [DOCUMENT]})
    [node] = list_decoder(WholeNode)(body).items
    assert node.metadata.name == "a"
    assert node.metadata.labels is Labels({"zone": "east"})
    assert msgspec.json.decode(node.json) == DOCUMENT


def test_a_watch_keeps_all_of_each_object() -> None:
    event = event_decoder(WholeNode)(msgspec.json.encode({"type": "ADDED", "object": DOCUMENT}))
    assert msgspec.json.decode(event.object.json) == DOCUMENT


def test_they_are_read_from_where_nodes_are() -> None:
    assert WHOLE_NODES.path(name="a") == "/api/v1/nodes/a"
