"""Reading answers: the one place where what the API server sent is decoded.

An answer that cannot be read (garbled, cut short, of another shape, or from something that is not the API
server) says nothing of what was asked, so it counts as none. The readers made here also refuse what decodes
only because every field has a default: an object without its name, a list without its version.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec

from pallet.api.codec import decoder, list_decoder
from pallet.api.meta import Object, ObjectList, Status
from pallet.api.resource import Resource
from pallet.client.connection import Answer

T = TypeVar("T")
K = TypeVar("K", bound=Object)

Reader = Callable[[bytes], T]
"""Decodes a body; raises whatever decoding raises, or UnreadableError."""

NO_SUCH_PATH: Final = b"404 page not found"
"""What the API server says, in plain text, of a path it does not serve: of a kind that is not installed."""

_DECODING: Final = (msgspec.MsgspecError, ValueError, TypeError, LookupError, RecursionError)


class UnreadableError(Exception):
    """An answer says nothing; the text says why."""


class _Kind(msgspec.Struct, frozen=True, gc=False):
    kind: str
    status: msgspec.Raw = msgspec.Raw()


def read(reader: Reader[T], body: bytes) -> T:
    """Decode a body. Raise UnreadableError where that is not possible."""
    try:
        if not body.isascii():
            body.decode()  # what is skipped while decoding is not looked at
        return reader(body)
    except _DECODING as error:
        raise UnreadableError(f"{error} in {_excerpt(body)}") from error


def read_answer(reader: Reader[T], answer: Answer) -> T:
    """Decode what came back for a request that succeeded. Raise UnreadableError."""
    content_type = answer.header(b"content-type")
    if "json" not in content_type:
        raise UnreadableError(f"it is {content_type or 'of no type'}, not JSON: {_excerpt(answer.body)}")
    return read(reader, answer.body)


def object_of(resource: Resource[K], name: str = "") -> Reader[K]:
    """Read one object, which has this name; without one, any."""

    def reader(body: bytes) -> K:
        obj: K = decoder(resource.kind)(body)
        found = obj.metadata.name
        if not found or found != (name or found):
            raise UnreadableError(f"it is not {resource} {name}: {_excerpt(body)}")
        return obj

    return reader


def list_of(decode: Reader[ObjectList[Any]]) -> Reader[ObjectList[Any]]:
    """Read a page of a list with this decoder."""

    def reader(body: bytes) -> ObjectList[Any]:
        page = decode(body)
        if not page.metadata.resource_version:
            raise UnreadableError(f"it is no list: {_excerpt(body)}")
        return page

    return reader


def page_of(resource: Resource[K]) -> Reader[ObjectList[K]]:
    """Read a page of a list of a resource."""
    return list_of(list_decoder(resource.kind))


def anything_done(body: bytes) -> None:
    """Read an answer of which only the success matters: an object, or a Status that says so."""
    found: _Kind = decoder(_Kind)(body)
    if not found.kind or (found.kind == "Status" and bytes(found.status) != b'"Success"'):
        raise UnreadableError(f"it is no success: {_excerpt(body)}")


def read_refusal(code: int, body: bytes) -> Status:
    """Read why a request was refused. Raise UnreadableError.

    Where the code alone decides what to do (not authorised, too many requests, trouble in the server), a body
    that is no Status becomes its message.
    """
    try:
        status: Status = decoder(Status)(body)
    except _DECODING:
        status = Status(message=body[:300].decode(errors="replace").strip())
    else:
        if status.code in (0, code) and status != Status():
            return status if status.code else msgspec.structs.replace(status, code=code)
    if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS) or code >= 500:
        return msgspec.structs.replace(status, code=code)
    if code == HTTPStatus.NOT_FOUND and body.strip() == NO_SUCH_PATH:
        return Status(code=code, message="the server could not find the requested resource")
    raise UnreadableError(f"it refuses with {code}, and says {_excerpt(body)}")


def _excerpt(body: bytes) -> str:
    return repr(body[:100].decode(errors="replace"))
