"""Random inputs: drawn from a grammar so that most are nearly right, and then damaged now and then."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

Draw = Callable[[Random], bytes]

_STRANGE = (
    "",
    "\x00",
    "\n",
    " ",
    "\ud7ff",
    "\u00b5",
    "9" * 30,
    "-0",
    "1e400",
    "null",
    "{}",
    "[",
    '"',
    "\\",
    "#",
    "&a",
    "*a",
)
_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**63,
    2**64,
    1.5,
    -0.0,
    "",
    "x",
    [],
    {},
    [[]],
    {"": None},
)


def damaged(draw: Draw, share: float) -> Draw:
    """Draw as `draw` does, and damage this share of the inputs in one to three places."""

    def drawn(rng: Random) -> bytes:
        data = draw(rng)
        if rng.random() < share:
            for _ in range(rng.randint(1, 3)):
                data = _damage(rng, data)
        return data

    return drawn


def _damage(rng: Random, data: bytes) -> bytes:
    """Remove, repeat, swap or replace some bytes, or put something strange between them."""
    start = rng.randint(0, len(data))
    end = min(len(data), start + rng.randint(0, 8))
    match rng.randrange(5):
        case 0:
            return data[:start] + data[end:]
        case 1:
            return data[:end] + data[start:end] + data[end:]
        case 2:
            return data[:start] + data[start:end][::-1] + data[end:]
        case 3:
            return data[:start] + rng.randbytes(end - start) + data[end:]
        case _:
            return data[:start] + rng.choice(_STRANGE).encode("utf-8", "surrogatepass") + data[start:]


def text(rng: Random, alphabet: str, longest: int) -> str:
    """A text of up to so many characters, mostly a short one."""
    return "".join(rng.choices(alphabet, k=min(longest, int(rng.expovariate(0.4)))))


def some(rng: Random, most: int, draw: Callable[[Random], T]) -> list[T]:
    """Up to so many, mostly few."""
    return [draw(rng) for _ in range(min(most, int(rng.expovariate(0.7))))]


def document(rng: Random, examples: Sequence[Any]) -> bytes:
    """One of the JSON documents, with some of its values exchanged for others of any type."""
    value = json.loads(json.dumps(rng.choice(examples)))
    for _ in range(rng.randint(0, 4)):
        value = _exchange(rng, value, rng.choice(examples))
    return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def _exchange(rng: Random, value: Any, source: Any) -> Any:
    """Replace a random part of a document by a strange value, or by a random part of another document."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        match rng.randrange(8):
            case 0:
                return {name: entry for name, entry in value.items() if name != key}
            case 1:
                return {**value, rng.choice(_STRANGE): value[key]}
            case _:
                return {**value, key: _exchange(rng, value[key], source)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        index = rng.randrange(len(value))
        return [*value[:index], _exchange(rng, value[index], source), *value[index + rng.randint(0, 1) :]]
    return rng.choice(_VALUES) if rng.random() < 0.6 else _part(rng, source)


def _part(rng: Random, value: Any) -> Any:
    while isinstance(value, (dict, list)) and value and rng.random() < 0.8:
        value = rng.choice(list(value.values()) if isinstance(value, dict) else value)
    return value
