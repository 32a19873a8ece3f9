"""The parsers, each with random inputs for it, and what Go's own parser is called, where there is one."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from google.protobuf.message import DecodeError

from pallet.api.codec import decode_hook, decoder
from pallet.api.core import NAMESPACES, SERVICES
from pallet.api.duration import DurationError, nanoseconds
from pallet.api.labels import Labels
from pallet.api.node import NODES
from pallet.api.pod import PODS, Pod
from pallet.api.podset import SCHEDULE_PLANS, SCHEDULE_TRIGGERS, SchedulePlan
from pallet.api.quantity import MAX_INT64, QuantityError, milli, parse_quantity, whole
from pallet.api.selectors import LabelSelector, NodeSelector
from pallet.api.storage import CSI_NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from pallet.api.workloads import POD_DISRUPTION_BUDGETS, REPLICA_SETS
from pallet.cache.pod_info import PodInfo
from pallet.client.errors import ApiError
from pallet.config.errors import ConfigError
from pallet.config.load import parse
from pallet.config.reader import read
from pallet.informers.decoding import decode_event
from pallet.informers.lines import LineSplitter
from tools.fuzz import answers, examples
from tools.fuzz.drawing import Draw, damaged, document, some, text

if TYPE_CHECKING:
    from pallet.api.resource import Resource

REFUSED: Final = "error"
"""What an input comes to that is refused."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser. `read` gives what it reads in an input, as text; any exception is a crash.

    `oracle` names the oracle's parser whose text must be the same; `same` compares them where equal words are
    too much to ask.
    """

    name: str
    draw: Draw
    read: Callable[[bytes], str]
    oracle: str = ""
    same: Callable[[str, str], bool] = str.__eq__


def _quantity(data: bytes) -> str:
    try:
        text = data.decode()
        billionths = parse_quantity(text)
        in_units, in_thousandths = whole(text), milli(text)
    except (QuantityError, UnicodeDecodeError):
        return REFUSED
    if billionths < 0 or billionths == MAX_INT64 * 10**9:
        return f"{billionths} - -"
    return f"{billionths} {in_units} {in_thousandths if billionths <= MAX_INT64 * 10**6 else '-'}"


def _draw_quantity(rng: Random) -> bytes:
    digits = text(rng, "0123456789", 40)
    if rng.random() < 0.05:
        digits = rng.choice((str(MAX_INT64), str(MAX_INT64 + 1), "0" * 30, "9" * 25))
    fraction = "." + text(rng, "0123456789", 30) if rng.random() < 0.4 else ""
    suffix = rng.choice(
        ("", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e", "E")
    )
    if suffix in ("e", "E") and rng.random() < 0.9:
        wrapped = rng.choice((0, 0, 0, 2**32, -(2**32), 2**64))
        suffix += f"{wrapped + round(rng.gauss(0, 20)):{rng.choice(('', '+', '07', '030'))}}"
    return f"{rng.choice(('', '', '', '+', '-'))}{digits}{fraction}{suffix}".encode()


def _quick(draw: Draw) -> Draw:
    """Draw again what Go would compute for hours: large exponents, of which it keeps an int32."""

    def drawn(rng: Random) -> bytes:
        while True:
            data = draw(rng)
            exponent = _EXPONENT.search(data)
            if exponent is None or abs((int(exponent[1]) + 2**31) % 2**32 - 2**31) < _LARGEST_EXPONENT:
                return data

    return drawn


_EXPONENT: Final = re.compile(rb"[eE]([+-]?[0-9]+)$")
_LARGEST_EXPONENT: Final = 1000


def _duration(data: bytes) -> str:
    try:
        return str(nanoseconds(data.decode()))
    except (DurationError, UnicodeDecodeError):
        return REFUSED


def _draw_duration(rng: Random) -> bytes:
    def part(rng: Random) -> str:
        number = text(rng, "0123456789", 30)
        if rng.random() < 0.4:
            number += "." + text(rng, "0123456789", 40)
        return number + rng.choice(("ns", "us", "µs", "μs", "ms", "s", "m", "h", "", "d"))

    sign = rng.choice(("", "", "", "+", "-"))
    return (sign + "".join(some(rng, 8, part)) if rng.random() < 0.97 else sign + "0").encode()


def _selects(kind: type[Any]) -> Callable[[bytes], str]:
    """Answer what the oracle is asked about a selector, in JSON."""

    def selected(data: bytes) -> str:
        try:
            question = json.loads(data)
            selector = msgspec.convert(question["selector"], kind, dec_hook=decode_hook)
        except (ValueError, RecursionError):
            return REFUSED
        labels = Labels(question["labels"])
        found = selector.matches(question["name"], labels) if "name" in question else selector.matches(labels)
        return "true" if found else "false"

    return selected


_KEYS = ("a", "b", "example.com/c", "metadata.name", "", "-", "A_b.c", "x" * 64, "example.com/")
_LABELS = (
    "",
    "x",
    "y",
    "5",
    "7",
    "-3",
    "+4",
    "007",
    "9223372036854775807",
    "9223372036854775808",
    "-",
    "n" * 64,
)


def _requirement(operators: tuple[str, ...]) -> Callable[[Random], dict[str, Any]]:
    def drawn(rng: Random) -> dict[str, Any]:
        values = some(rng, 4, lambda rng: rng.choice(_LABELS))
        return {"key": _key(rng), "operator": rng.choice(operators), "values": values}

    return drawn


def _key(rng: Random) -> str:
    return rng.choice(_KEYS[:3] if rng.random() < 0.9 else _KEYS)


def _labels(rng: Random) -> dict[str, str]:
    return {_key(rng): rng.choice(_LABELS) for _ in range(rng.randint(0, 4))}


def _draw_label_selector(rng: Random) -> bytes:
    requirement = _requirement(("In", "NotIn", "Exists", "DoesNotExist", "Gt", ""))
    selector = {"matchLabels": _labels(rng), "matchExpressions": some(rng, 4, requirement)}
    return json.dumps({"selector": selector, "labels": _labels(rng)}).encode()


def _draw_node_selector(rng: Random) -> bytes:
    requirement = _requirement(("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "in", ""))

    def field(rng: Random) -> dict[str, Any]:
        drawn = requirement(rng)
        return (
            drawn
            if rng.random() < 0.2
            else {**drawn, "key": "metadata.name", "operator": rng.choice(("In", "NotIn"))}
        )

    def term(rng: Random) -> dict[str, Any]:
        return {"matchExpressions": some(rng, 3, requirement), "matchFields": some(rng, 2, field)}

    selector = {"nodeSelectorTerms": some(rng, 3, term)}
    return json.dumps(
        {"selector": selector, "name": rng.choice(("x", "y", "5")), "labels": _labels(rng)}
    ).encode()


def _configuration(data: bytes) -> str:
    try:
        parse(data.decode(), "fuzzed")
    except (ConfigError, UnicodeDecodeError):
        return REFUSED
    return "read"


def _yaml(data: bytes) -> str:
    try:
        value, mistakes = read(data.decode(), "fuzzed")
    except (ConfigError, UnicodeDecodeError):
        return REFUSED
    return REFUSED if mistakes else json.dumps(value)


def _same_if_valid(ours: str, theirs: str) -> bool:
    """The API server stores no selector that is not valid; what such a one selects is of no use."""
    return theirs in (REFUSED, ours)


def _same_json(ours: str, theirs: str) -> bool:
    if REFUSED in (ours, theirs):
        return ours == theirs
    return _alike(json.loads(ours), json.loads(theirs))


def _alike(ours: Any, theirs: Any) -> bool:
    """Whether documents are the same but for a mapping's nulls, which count as not given, and 1 for 1.0."""
    if isinstance(theirs, list):
        return isinstance(ours, list) and len(ours) == len(theirs) and all(map(_alike, ours, theirs))
    if isinstance(theirs, dict):
        given = {key: value for key, value in theirs.items() if value is not None}
        return (
            isinstance(ours, dict)
            and ours.keys() == given.keys()
            and all(_alike(ours[key], value) for key, value in given.items())
        )
    if isinstance(ours, float) or isinstance(theirs, float):
        return float(ours) == float(theirs)
    return type(ours) is type(theirs) and bool(ours == theirs)


def _plan(data: bytes) -> str:
    try:
        plan = decoder(SchedulePlan)(data)
    except msgspec.DecodeError:
        return REFUSED
    return f"{plan.pod_set} {len(plan.spec.plan)}"


_RESOURCES = (
    *(PODS, NODES, NAMESPACES, SERVICES, SCHEDULE_TRIGGERS, SCHEDULE_PLANS, PERSISTENT_VOLUMES),
    *(PERSISTENT_VOLUME_CLAIMS, CSI_NODES, REPLICA_SETS, POD_DISRUPTION_BUDGETS),
)


def _watch(data: bytes) -> str:
    """Read pieces of a watch as the reflector does: of whatever kind it may be, and however it is cut."""
    resource = cast("Resource[Any]", _RESOURCES[data[0] % len(_RESOURCES)] if data else PODS)
    cut = data[0] % 64 + 1 if data else 1
    splitter = LineSplitter()
    lines = [line for start in range(1, len(data), cut) for line in splitter.feed(data[start : start + cut])]
    if lines != [line for line in data[1:].split(b"\n")[:-1] if line]:
        raise AssertionError("the lines are not those of the stream")
    events = 0
    for line in lines:
        try:
            event = decode_event(resource, line)
            if event is not None and isinstance(event.object, Pod):
                PodInfo(event.object)
        except (ApiError, msgspec.DecodeError, QuantityError):
            continue
        events += event is not None
    return f"{events} events"


def _draw_watch(rng: Random) -> bytes:
    kind = rng.randrange(256)
    objects = (
        examples.OBJECTS[_RESOURCES[kind % len(_RESOURCES)].plural] if rng.random() < 0.9 else examples.ALL
    )

    def line(rng: Random) -> bytes:
        event = {
            "type": rng.choice(("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "")),
            "object": None,
        }
        body = document(rng, objects)
        return json.dumps(event).encode().replace(b"null", body) + b"\n"

    return bytes((kind,)) + b"".join(some(rng, 4, line))


def _answer(data: bytes) -> str:
    try:
        return answers.read(data)
    except DecodeError:
        return REFUSED


TARGETS: Final = (
    Target("quantities", _quick(damaged(_draw_quantity, 0.1)), _quantity, "quantity"),
    Target("durations", damaged(_draw_duration, 0.1), _duration, "duration"),
    Target(
        "label selectors", _draw_label_selector, _selects(LabelSelector), "label-selector", _same_if_valid
    ),
    Target("node selectors", _draw_node_selector, _selects(NodeSelector), "node-selector"),
    Target("configurations", damaged(examples.configuration, 0.5), _configuration),
    Target("YAML", examples.yaml, _yaml, "yaml", _same_json),
    Target("damaged YAML", damaged(examples.yaml, 1), _yaml),
    Target("plans", damaged(lambda rng: document(rng, examples.OBJECTS["scheduleplans"]), 0.3), _plan),
    Target("watch lines", damaged(_draw_watch, 0.3), _watch),
    Target("planner answers", damaged(answers.draw, 0.3), _answer),
)
