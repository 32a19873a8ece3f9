"""What a plain scalar of a YAML file stands for, by the rules of the library that Kubernetes reads YAML with.

These are YAML 1.1 without numbers of base 60, and with numbers such as `1e3` and `0o7` of YAML 1.2. Dates are
strings. (go.yaml.in/yaml/v2, resolve.go)
"""

import math
import re

_WORDS = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{f"{sign}{word}": math.inf for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **{f"-{word}": -math.inf for word in (".inf", ".Inf", ".INF")},
}
_INTEGER = re.compile(
    r"([-+]?) (?: 0[xX]([0-9a-fA-F]+) | 0[bB]([01]+) | 0[oO]?([0-7]+) | (0|[1-9][0-9]*) )", re.VERBOSE
)
_BASES = (16, 2, 8, 10)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_MOST_DIGITS = 400
"""A longer text is a string: no configuration needs a number of so many digits."""


def resolve(text: str) -> str | bool | int | float | None:
    """Give the value of a plain scalar: a text that means nothing else is a string."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    plain = text if text[0] == "." else text.replace("_", "")
    if len(plain) <= _MOST_DIGITS:
        number = _integer(plain)
        if number is None and _FLOAT.fullmatch(plain):
            number = float(plain)
        if number is not None and math.isfinite(number):
            return number
    return text


def _integer(text: str) -> int | float | None:
    """Read an integer of 64 bits, with or without a sign."""
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    sign, *digits = match.groups()
    value = next(int(group, base) for group, base in zip(digits, _BASES, strict=True) if group is not None)
    if sign == "-":
        value = -value
    return value if -(2**63) <= value < (2**63 if sign else 2**64) else None
