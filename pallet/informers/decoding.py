"""What lists and watches bring, to structs. One object of a wrong shape must not hide all the others."""

import logging
from typing import Final, TypeVar

import msgspec

from pallet.api.codec import decoder, event_decoder, list_decoder
from pallet.api.meta import Object, ObjectList, ObjectMeta, Status, WatchEvent
from pallet.api.resource import Resource
from pallet.client.errors import ApiError

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Object)

_CHANGES: Final = frozenset(("ADDED", "MODIFIED", "DELETED"))


class Partial(msgspec.Struct, frozen=True, gc=False):
    """What is left of an object where its shape is wrong, or is not complete: bookmarks carry no more."""

    metadata: ObjectMeta = ObjectMeta()


class _Envelope(msgspec.Struct):
    """A watch event whose object is left undecoded."""

    type: str
    object: msgspec.Raw


def decode_event(resource: Resource[T], line: bytes) -> WatchEvent[T] | WatchEvent[Partial] | None:
    """Read a line of a watch: whole objects, or for BOOKMARK and DELETED at least their metadata.

    Give None for an added or modified object of a wrong shape, which is logged. Raise ApiError for an ERROR
    event, and msgspec.DecodeError for what is no event, or no JSON: the line was garbled on its way.
    """
    try:
        event: WatchEvent[T] = event_decoder(resource.kind)(line)
    except msgspec.ValidationError as error:
        envelope = decoder(_Envelope)(line)
        if envelope.type in ("BOOKMARK", "DELETED"):
            return WatchEvent(envelope.type, decoder(Partial)(bytes(envelope.object)))
        if envelope.type in _CHANGES:
            _log_left_out(resource, error)
            return None
    else:
        meta = event.object.metadata
        if (event.type in _CHANGES and meta.name) or (event.type == "BOOKMARK" and meta.resource_version):
            return event
        envelope = decoder(_Envelope)(line)
    if envelope.type != "ERROR":
        raise msgspec.ValidationError(f"it is no event of a watch: {line[:100]!r}")
    raise ApiError(decoder(Status)(bytes(envelope.object)), "watch", str(resource))


def decode_page(resource: Resource[T], body: bytes) -> ObjectList[T]:
    """Read a page of a list, without the objects of a wrong shape, which are logged.

    Raise msgspec.DecodeError for what is no list, or no JSON: to leave an object out would mean its deletion.
    """
    try:
        return list_decoder(resource.kind)(body)
    except msgspec.ValidationError:
        page = list_decoder(msgspec.Raw)(body)
    items: list[T] = []
    for raw in page.items:
        try:
            items.append(decoder(resource.kind)(bytes(raw)))
        except msgspec.ValidationError as error:
            _log_left_out(resource, error)
    return ObjectList(page.metadata, items)


def _log_left_out(resource: Resource[T], error: msgspec.ValidationError) -> None:
    log.error("%s: an object cannot be read and is left out: %s", resource, error)
