"""Strict decoding of plain data into structs, which finds every mistake rather than the first.

The struct is the schema: its field names (as renamed for the file), types and defaults. Three types mean
more than they say: a `Seconds` is written as a Go duration, bytes as base64, and a field of type `FieldPath`
is not read from the file but learns where its struct stood in it, so that whoever uses the value later can
still point at its place.
"""

import enum
import json
import types
import typing
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from pallet.api.duration import parse_duration
from pallet.config.errors import FieldPath, Mistake, nearest, refuse, suggestion

S = TypeVar("S", bound=msgspec.Struct)


class Seconds(float):
    """A time span in seconds, in the file a Go duration such as `"1m30s"`."""

    __slots__ = ()


_EXPECTED = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    bytes: "a base64 string",
    Seconds: 'a duration such as "15s"',
}


def decode(kind: type[S], raw: object, path: FieldPath, earlier: Iterable[Mistake] = ()) -> S:
    """Return the struct that the data stands for.

    Raises `ConfigError` with all mistakes: those found earlier, then those found here.
    """
    mistakes = list(earlier)
    value = _value(kind, raw, path, mistakes)
    refuse(mistakes)
    return typing.cast("S", value)


def decode_args(kind: type[S], raw: dict[str, Any], path: FieldPath) -> S:
    """Return a plugin's args, as `decode` does; `apiVersion` and `kind` may stand among them.

    A `ValueError` raised by the struct's own checks (`__post_init__`) becomes a mistake of this path.
    """
    return decode(kind, {key: raw[key] for key in raw if key not in {"apiVersion", "kind"}}, path)


def _value(kind: Any, raw: object, path: FieldPath, mistakes: list[Mistake]) -> Any:
    """Return the decoded value; None, and a mistake noted, where it cannot be."""
    kind = _without_none(kind)
    origin = typing.get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(kind, raw, path, mistakes)
    if origin is tuple:
        return _tuple(typing.get_args(kind)[0], raw, path, mistakes)
    if origin is dict:
        return _dict(typing.get_args(kind)[1], raw, path, mistakes)
    try:
        return msgspec.convert(raw, kind, dec_hook=_duration)
    except msgspec.ValidationError as error:
        mistakes.append(path.mistake(_leaf_message(kind, raw, error)))
        return None


def _struct(kind: type[msgspec.Struct], raw: object, path: FieldPath, mistakes: list[Mistake]) -> Any:
    if not isinstance(raw, dict):
        mistakes.append(path.mistake(f"must be a mapping, got {_shown(raw)}"))
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    ours = {name: field for name, field in fields.items() if field.type is FieldPath}
    in_file = sorted(fields.keys() - ours.keys())
    missing = {name for name in in_file if fields[name].required and name not in raw}
    before = len(mistakes)
    values: dict[str, Any] = {field.name: path for field in ours.values()}
    for name, entry in raw.items():
        if name in in_file:
            values[fields[name].name] = _value(fields[name].type, entry, path.field(name), mistakes)
        else:
            mistakes.append(path.field(name).mistake(f"unknown field{suggestion(name, in_file)}"))
            missing.discard(nearest(name, in_file))  # misspelt rather than missing
    mistakes.extend(path.field(name).mistake("is required") for name in sorted(missing))
    if len(mistakes) > before:
        return None
    try:
        return kind(**values)
    except ValueError as error:
        mistakes.append(path.mistake(str(error)))
        return None


def _tuple(kind: Any, raw: object, path: FieldPath, mistakes: list[Mistake]) -> Any:
    if not isinstance(raw, list):
        mistakes.append(path.mistake(f"must be a list, got {_shown(raw)}"))
        return None
    return tuple(_value(kind, entry, path.item(index), mistakes) for index, entry in enumerate(raw))


def _dict(kind: Any, raw: object, path: FieldPath, mistakes: list[Mistake]) -> Any:
    if not isinstance(raw, dict):
        mistakes.append(path.mistake(f"must be a mapping, got {_shown(raw)}"))
        return None
    return {key: _value(kind, entry, path.field(key), mistakes) for key, entry in raw.items()}


def _without_none(kind: Any) -> Any:
    """Return `X` for `X | None`: a value of null never gets this far."""
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        rest = [part for part in typing.get_args(kind) if part is not types.NoneType]
        if len(rest) == 1:
            return rest[0]
    return kind


def _duration(kind: type, raw: object) -> object:
    """Decode what msgspec itself does not know; raise `ValueError` if it is not possible."""
    if kind is Seconds and isinstance(raw, str):
        return Seconds(parse_duration(raw))
    raise ValueError(f"a {kind.__name__} cannot be made of it")


def _leaf_message(kind: Any, raw: object, error: msgspec.ValidationError) -> str:
    plain = typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
    choices = _choices(plain)
    if choices:
        known = ", ".join(json.dumps(choice) for choice in choices)
        return f"must be one of {known}, got {_shown(raw)}"
    if plain is Seconds and isinstance(raw, str):
        return str(error)
    _, bounded, bound = str(error).partition(f"Expected `{plain.__name__}` ")
    return f"must be {bound if bounded else _EXPECTED.get(plain, error)}, got {_shown(raw)}"


def _choices(kind: Any) -> list[Any]:
    """The values that a literal or enumeration allows; none for another type."""
    if typing.get_origin(kind) is typing.Literal:
        return list(typing.get_args(kind))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [member.value for member in kind]
    return []


def _shown(raw: object) -> str:
    """Show a value from the file, shortened, as JSON would write it."""
    if isinstance(raw, dict):
        return "a mapping"
    if isinstance(raw, list):
        return "a list"
    text = json.dumps(raw, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else f"{text[:40]}…"
