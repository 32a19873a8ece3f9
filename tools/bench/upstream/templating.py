"""The part of Go's text/template that scheduler_perf's files use."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

ACTION: Final = re.compile(r"(\{\{.*?\}\})", re.DOTALL)
TOKEN: Final = re.compile(r'"[^"]*"|[()]|[^\s()]+')

FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "AddInt": lambda left, right: int(left) + int(right),
    "SubtractInt": lambda left, right: int(left) - int(right),
    "MultiplyInt": lambda left, right: int(left) * int(right),
    "DivideInt": lambda left, right: int(left) // int(right),
    "Mod": lambda left, right: int(left) % int(right),
    "eq": lambda left, right: left == right,
}
"""Counts and indices are not negative, so that // is Go's division."""


class TemplateError(Exception):
    """A template uses what is not supported here."""


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fill a template in. Raises TemplateError."""
    pieces = iter(ACTION.split(template))
    text, end = _block(pieces, values)
    if end:
        raise TemplateError(f"{{{{{end}}}}} without {{{{if}}}}")
    return text


def _block(pieces: Iterator[str], values: Mapping[str, Any]) -> tuple[str, str]:
    """The text up to the next else or end of this level, and which of them it was."""
    written = []
    for piece in pieces:
        if not piece.startswith("{{"):
            written.append(piece)
            continue
        action = piece[2:-2].strip()
        if action in ("else", "end"):
            return "".join(written), action
        if action.startswith("if "):
            written.append(_branch(action.removeprefix("if "), pieces, values))
        else:
            value = evaluate(action, values)
            written.append("<no value>" if value is None else str(value))
    return "".join(written), ""


def _branch(condition: str, pieces: Iterator[str], values: Mapping[str, Any]) -> str:
    holds = evaluate(condition, values)
    # Both branches are read, since their end is to be found. The one not taken has no values to fail on.
    chosen, end = _block(pieces, values)
    other = ""
    if end == "else":
        other, end = _block(pieces, values)
    if end != "end":
        raise TemplateError(f"{{{{if {condition}}}}} has no end")
    return chosen if holds else other


def evaluate(expression: str, values: Mapping[str, Any]) -> Any:
    """The value of a field, a literal or the call of a function. Raises TemplateError."""
    tokens = TOKEN.findall(expression)
    value = _call(tokens, values)
    if tokens:
        raise TemplateError(f"cannot read {expression!r}")
    return value


def _call(tokens: list[str], values: Mapping[str, Any]) -> Any:
    """The value up to the closing parenthesis or the end; the tokens that were read are removed."""
    if not tokens:
        raise TemplateError("an empty expression")
    function = FUNCTIONS.get(tokens[0])
    if function is None:
        return _operand(tokens, values)
    tokens.pop(0)
    arguments = []
    while tokens and tokens[0] != ")":
        arguments.append(_operand(tokens, values))
    if len(arguments) != 2:
        raise TemplateError(f"a function takes two arguments, not {len(arguments)}")
    return None if None in arguments else function(*arguments)


def _operand(tokens: list[str], values: Mapping[str, Any]) -> Any:
    word = tokens.pop(0)
    if word == "(":
        value = _call(tokens, values)
        if not tokens or tokens.pop(0) != ")":
            raise TemplateError("a parenthesis is not closed")
        return value
    if word.startswith("."):
        return values.get(word[1:])
    if word.startswith('"'):
        return word[1:-1]
    if word.isdecimal():
        return int(word)
    raise TemplateError(f"unknown function or value {word!r}")
