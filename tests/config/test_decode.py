import enum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from pallet.config.decode import Seconds, decode, decode_args
from pallet.config.errors import ConfigError, FieldPath

ARGS = FieldPath("c.yaml", "args")


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Part(msgspec.Struct, frozen=True, rename="camel"):
    part_name: str
    size: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    path: FieldPath = FieldPath()

    def __post_init__(self) -> None:
        if self.part_name == "bad":
            raise ValueError("is bad")


class Args(msgspec.Struct, frozen=True, rename="camel"):
    call_timeout: Seconds = Seconds(15)
    debug: bool = False
    ratio: float = 0.5
    mode: Literal["fast", "slow"] = "fast"
    colour: Colour = Colour.RED
    data: bytes = b""
    parts: tuple[Part, ...] = ()
    labels: dict[str, str] = {}
    extra: Part | None = None
    url: str = msgspec.field(default="", name="URL")


def mistakes(raw: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        decode_args(Args, raw, ARGS)
    return [str(mistake).removeprefix("c.yaml: args") for mistake in caught.value.mistakes]


def test_nothing_given_is_all_defaults() -> None:
    assert decode_args(Args, {}, ARGS) == Args()


def test_every_kind_of_field_is_read() -> None:
    raw = {
        "callTimeout": "1m30s",
        "debug": True,
        "ratio": 1,
        "mode": "slow",
        "colour": "blue",
        "data": "eA==",
        "parts": [{"partName": "a"}, {"partName": "b", "size": 2}],
        "labels": {"k": "v"},
        "extra": {"partName": "c"},
        "URL": "http://x",
    }
    assert decode_args(Args, raw, ARGS) == Args(
        call_timeout=Seconds(90),
        debug=True,
        ratio=1.0,
        mode="slow",
        colour=Colour.BLUE,
        data=b"x",
        parts=(
            Part("a", path=FieldPath("c.yaml", "args.parts[0]")),
            Part("b", 2, path=FieldPath("c.yaml", "args.parts[1]")),
        ),
        labels={"k": "v"},
        extra=Part("c", path=FieldPath("c.yaml", "args.extra")),
        url="http://x",
    )


def test_a_duration_is_a_number_of_seconds() -> None:
    args = decode_args(Args, {"callTimeout": "1.5s"}, ARGS)
    assert isinstance(args.call_timeout, Seconds)
    assert args.call_timeout == 1.5


def test_args_may_name_their_version_and_kind() -> None:
    raw = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "XArgs", "debug": True}
    assert decode_args(Args, raw, ARGS).debug


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ({"debg": True}, '.debg: unknown field, did you mean "debug"?'),
        ({"call_timeout": "1s"}, '.call_timeout: unknown field, did you mean "callTimeout"?'),
        ({"zzz": 1}, ".zzz: unknown field"),
        ({"debug": "yes please"}, '.debug: must be true or false, got "yes please"'),
        ({"debug": 1}, ".debug: must be true or false, got 1"),
        ({"ratio": "x"}, '.ratio: must be a number, got "x"'),
        ({"URL": 5}, ".URL: must be a string, got 5"),
        ({"URL": {"a": 1}}, ".URL: must be a string, got a mapping"),
        ({"callTimeout": 15}, '.callTimeout: must be a duration such as "15s", got 15'),
        (
            {"callTimeout": "15"},
            ".callTimeout: '15' is not a duration; write numbers with units, such as 90s, 1m30s or 500ms",
        ),
        ({"mode": "medium"}, '.mode: must be one of "fast", "slow", got "medium"'),
        ({"colour": "green"}, '.colour: must be one of "red", "blue", got "green"'),
        ({"data": "%"}, '.data: must be a base64 string, got "%"'),
        ({"parts": {}}, ".parts: must be a list, got a mapping"),
        ({"parts": [1]}, ".parts[0]: must be a mapping, got 1"),
        ({"parts": [None]}, ".parts[0]: must be a mapping, got null"),
        ({"parts": [{}]}, ".parts[0].partName: is required"),
        ({"parts": [{"partNam": "x"}]}, '.parts[0].partNam: unknown field, did you mean "partName"?'),
        ({"parts": [{"partName": "x", "size": 10}]}, ".parts[0].size: must be <= 9, got 10"),
        ({"parts": [{"partName": "x", "size": "1"}]}, '.parts[0].size: must be an integer, got "1"'),
        ({"parts": [{"partName": "x", "path": "y"}]}, ".parts[0].path: unknown field"),
        ({"parts": [{"partName": "bad"}]}, ".parts[0]: is bad"),
        ({"extra": []}, ".extra: must be a mapping, got a list"),
        ({"labels": {"k": 1}}, ".labels.k: must be a string, got 1"),
        ({"labels": "x" * 90}, f'.labels: must be a mapping, got "{"x" * 39}…'),
    ],
)
def test_a_mistake_says_where_and_what(raw: dict[str, Any], line: str) -> None:
    assert mistakes(raw) == [line]


def test_all_mistakes_are_found_at_once() -> None:
    raw = {"debug": 1, "parts": [{"size": 0}, {"partName": 5}], "x": 1}
    assert mistakes(raw) == [
        ".debug: must be true or false, got 1",
        ".parts[0].size: must be >= 1, got 0",
        ".parts[0].partName: is required",
        ".parts[1].partName: must be a string, got 5",
        ".x: unknown field",
    ]


def test_earlier_mistakes_come_first() -> None:
    with pytest.raises(ConfigError) as caught:
        decode(Args, {"x": 1}, ARGS, [ARGS.mistake("was wrong before")])
    assert [mistake.message for mistake in caught.value.mistakes] == ["was wrong before", "unknown field"]
