"""JSON to structs and back."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import msgspec

from pallet.api.labels import Labels
from pallet.api.meta import ObjectList, ObjectMeta, WatchEvent
from pallet.api.whole import WholeObject

T = TypeVar("T")


def decode_hook(kind: type, value: Any) -> Any:
    """Build the types that msgspec does not know: Labels, and objects that are kept whole."""
    if kind is Labels:
        return Labels(value)
    if issubclass(kind, WholeObject):
        return kind(msgspec.convert(value["metadata"], ObjectMeta, dec_hook=decode_hook), value)
    raise NotImplementedError(f"cannot decode {kind.__name__}")


@cache
def decoder(kind: type[T]) -> Callable[[bytes], T]:
    """Give the decoder of one object of a kind.

    It raises msgspec.DecodeError on JSON of another shape, and on everything that is no JSON.
    """
    decode = msgspec.json.Decoder(kind, dec_hook=decode_hook).decode

    def read(data: bytes) -> T:
        try:
            return decode(data)
        except UnicodeDecodeError as error:  # msgspec leaves these two as they are
            raise msgspec.DecodeError(f"JSON is not UTF-8: {error.reason} in a string") from error
        except RecursionError as error:
            raise msgspec.DecodeError("JSON is nested too deep") from error

    return read


@cache
def list_decoder(kind: type[T]) -> Callable[[bytes], ObjectList[T]]:
    """Give the decoder of a page of a list of a kind; it raises as the decoder of one object does."""
    return decoder(ObjectList[kind])  # type: ignore[valid-type]


@cache
def event_decoder(kind: type[T]) -> Callable[[bytes], WatchEvent[T]]:
    """Give the decoder of a line of a watch of a kind; it raises as the decoder of one object does."""
    return decoder(WatchEvent[kind])  # type: ignore[valid-type]


encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
