import json

import msgspec
import pytest

from pallet.api.core import LEASES
from pallet.api.pod import PODS
from pallet.client import ApiError
from pallet.informers.decoding import decode_event, decode_page

BAD_SPEC = {"containers": "none"}


def line(event: str, /, **obj: object) -> bytes:
    return json.dumps({"type": event, "object": obj}).encode()


def test_a_bookmark_of_an_incomplete_object_gives_its_version() -> None:
    # As the API server writes them: a pod without its containers.
    event = decode_event(PODS, line("BOOKMARK", metadata={"resourceVersion": "7"}, spec={"containers": None}))
    assert event is not None
    assert (event.type, event.object.metadata.resource_version) == ("BOOKMARK", "7")


def test_a_delete_counts_whatever_the_shape() -> None:
    event = decode_event(PODS, line("DELETED", metadata={"name": "a"}, spec=BAD_SPEC))
    assert event is not None
    assert (event.type, event.object.metadata.name) == ("DELETED", "a")


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED"])
def test_a_wrong_shape_is_left_out_and_logged(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    assert decode_event(PODS, line(kind, metadata={"name": "a"}, spec=BAD_SPEC)) is None
    assert "pods: an object cannot be read" in caplog.text


@pytest.mark.parametrize("resource", [PODS, LEASES], ids=str)
def test_an_error_event_is_raised(resource: object) -> None:
    status = {"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"}
    with pytest.raises(ApiError) as caught:
        decode_event(resource, line("ERROR", **status))  # type: ignore[arg-type]  # a parameter of a table
    assert caught.value.expired
    assert caught.value.message == "too old"


def test_what_is_no_event_is_raised() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_event(PODS, b"upstream connect error")


@pytest.mark.parametrize(
    "garbled", [line("ADDED"), line("BOOKMARK"), line("GARBLED", metadata={"name": "a"}), line("")]
)
def test_what_decodes_only_because_fields_have_defaults_is_no_event(garbled: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_event(PODS, garbled)


def test_a_page_is_read_without_what_has_a_wrong_shape(caplog: pytest.LogCaptureFixture) -> None:
    items = [{"metadata": {"name": "a"}, "spec": BAD_SPEC}, {"metadata": {"name": "b"}}]
    page = decode_page(PODS, json.dumps({"metadata": {"resourceVersion": "7"}, "items": items}).encode())
    assert [pod.metadata.name for pod in page.items] == ["b"]
    assert page.metadata.resource_version == "7"
    assert "pods: an object cannot be read" in caplog.text


@pytest.mark.parametrize("line", [b'{"type": "\xff"}', b'{"type": "ADDED", "object": ' + b"[" * 100_000])
def test_bytes_that_are_no_json_are_no_event(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_event(PODS, line)


def test_a_list_that_is_not_utf_8_is_no_list() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_page(PODS, b'{"items": [{"metadata": {"name": "\xff"}}]}')
