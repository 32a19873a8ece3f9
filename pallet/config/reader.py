"""Reading YAML, or JSON which is part of it, into plain data: mappings, lists, strings, numbers, booleans.

The file is read event by event rather than loaded, so that a key given twice is reported with its path, and
so that neither deep nesting nor aliases that multiply can exhaust the process. As in Kubernetes, a key or a
mapping's value of null counts as not given, and a date is a string.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import NoneType
from typing import Any

import yaml

from pallet.config.errors import FieldPath, Mistake, fail
from pallet.config.scalars import resolve

MAX_DEPTH = 64
"""How deep mappings and lists may nest."""
MAX_VALUES = 100_000
"""How many values a file may hold, those repeated by aliases included."""

_TAG = "tag:yaml.org,2002:"
_KINDS: dict[str, tuple[type, ...]] = {
    "": (str, bool, int, float, NoneType),
    "null": (NoneType,),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "timestamp": (str,),
}
"""What a scalar with a tag may stand for."""


def read(text: str, source: str) -> tuple[Any, list[Mistake]]:
    """Return what the only document of a YAML text holds (None when it is empty), and its mistakes.

    The mistakes are keys given twice, of which the last counts, and values that JSON cannot express.
    Raises `ConfigError` for what is no YAML, and for a document of unreasonable depth or size.
    """
    root = FieldPath(source)
    try:
        reader = _Reader(_content(text))
        value = reader.document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        fail(root, f"{where}{error.problem}")
    except yaml.YAMLError as error:
        fail(root, str(error).splitlines()[0])
    return value, reader.mistakes


def _content(text: str) -> Iterator[yaml.Event]:
    """Yield the events of a stream that say something about its content."""
    for event in yaml.parse(text, yaml.CSafeLoader):
        if not isinstance(event, yaml.StreamStartEvent | yaml.StreamEndEvent):
            yield event


@dataclass(slots=True)
class _Anchored:
    """A value that aliases may repeat, and how many values it holds in all."""

    value: Any
    size: int


@dataclass(slots=True)
class _Reader:
    """Builds the values of one document from its events, and notes the mistakes."""

    events: Iterator[yaml.Event]
    mistakes: list[Mistake] = field(default_factory=list)
    anchors: dict[str, _Anchored] = field(default_factory=dict)
    size: int = 0

    def document(self, root: FieldPath) -> Any:
        """Return the document's value: exactly one is expected."""
        if next(self.events, None) is None:
            return None
        value = self._value(next(self.events), root, 0)
        next(self.events)  # the document's end
        if next(self.events, None) is not None:
            fail(root, "holds more than one document: remove all but one")
        return value

    def _value(self, event: yaml.Event, path: FieldPath, depth: int) -> Any:
        before = self.size
        self.size += 1
        if isinstance(event, yaml.AliasEvent):
            value = self._alias(event, path)
        elif isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        elif depth == MAX_DEPTH:
            fail(path, f"is nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(path, depth + 1)
        else:
            value = self._list(path, depth + 1)
        if self.size > MAX_VALUES:
            fail(FieldPath(path.source), f"holds more than {MAX_VALUES} values")
        if isinstance(event, yaml.NodeEvent) and event.anchor and not isinstance(event, yaml.AliasEvent):
            self.anchors[event.anchor] = _Anchored(value, self.size - before)
        return value

    def _alias(self, event: yaml.AliasEvent, path: FieldPath) -> Any:
        anchored = self.anchors.get(event.anchor or "")
        if anchored is None:
            fail(path, f"*{event.anchor} stands for nothing that is complete before it")
        self.size += anchored.size
        return anchored.value

    def _scalar(self, event: yaml.ScalarEvent, path: FieldPath) -> Any:
        """Return what a scalar stands for; one that is quoted, or tagged as such, is a string."""
        kind = (event.tag or "").removeprefix(_TAG)
        if kind == "str" or (kind in ("", "!") and not event.implicit[0]):
            return event.value
        value = resolve(event.value)
        if isinstance(value, _KINDS.get(kind, ())) and not _is_boundless(value):
            return value
        kind = kind or "float"  # only such a value is refused without having been asked for
        self.mistakes.append(path.mistake(f"{event.value!r} cannot be read as {kind}"))
        return None

    def _list(self, path: FieldPath, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._value(event, path.item(len(items)), depth))
        return items

    def _mapping(self, path: FieldPath, depth: int) -> dict[str, Any]:
        seen: set[str] = set()
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                fail(path, "has a key that is not a plain word")
            key = event.value
            place = path.field(key)
            if key in seen:
                self.mistakes.append(place.mistake("is given twice"))
            seen.add(key)
            value = self._value(next(self.events), place, depth)
            if key == "<<" and event.implicit[0]:
                self._merge(value, merged, place)
            elif value is not None:
                own[key] = value
        return merged | own

    def _merge(self, value: Any, merged: dict[str, Any], path: FieldPath) -> None:
        """Take over the keys of one or several mappings, the first of which has precedence."""
        for mapping in value if isinstance(value, list) else [value]:
            if isinstance(mapping, dict):
                merged.update({key: entry for key, entry in mapping.items() if key not in merged})
            else:
                self.mistakes.append(path.mistake("must be a mapping, or a list of mappings"))


def _is_boundless(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
