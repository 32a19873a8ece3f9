"""Go durations such as `1h2m3.5s`, as ParseDuration of Go's package time reads them.

(durationpy also takes days and years, skips what stands between two parts, and loses nanoseconds.)
"""

import re

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,  # U+00B5, micro sign
    "μs": 10**3,  # U+03BC, Greek letter mu
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(rf"([0-9]+\.?[0-9]*|\.[0-9]+)({'|'.join(_NANOSECONDS)})")
_DURATION = re.compile(rf"[+-]?(?:0|(?:{_PART.pattern})+)")
_LIMIT = 2**63  # nanoseconds; a Go duration is an int64
_DIGITS = len(str(_LIMIT))


class DurationError(ValueError):
    """A text that is not a Go duration."""


def parse_duration(text: str) -> float:
    """Give a duration in seconds. Raises DurationError."""
    return nanoseconds(text) / 10**9


def nanoseconds(text: str) -> int:
    """Give a duration in nanoseconds, as Go keeps it. Raises DurationError."""
    if _DURATION.fullmatch(text) is None:
        raise DurationError(
            f"{text!r} is not a duration; write numbers with units, such as 90s, 1m30s or 500ms"
        )
    total = sum(_part(number, unit) for number, unit in _PART.findall(text))
    negative = text.startswith("-")
    if total > _LIMIT or (total == _LIMIT and not negative):
        raise DurationError(f"{text[:40]!r} is too long a duration; the longest is about 292 years")
    return -total if negative else total


def format_duration(seconds: float) -> str:
    """Write a finite number of seconds as Go does: `0s`, `500ms`, `1.5s`, `2m0s`, `1h0m0s`."""
    total = round(abs(seconds) * 10**9)
    sign = "-" if seconds < 0 else ""
    if total == 0:
        return "0s"
    for unit, places in (("ns", 0), ("µs", 3), ("ms", 6)):
        if total < 10 ** (places + 3):
            return f"{sign}{_decimal(total, places)}{unit}"
    minutes, rest = divmod(total, _NANOSECONDS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 9)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else sign + text


def _part(number: str, unit: str) -> int:
    """Give one part of a duration in nanoseconds; what is finer is cut off.

    Go reads of a fraction as many digits as an int64 holds, and multiplies in floating point. So does this,
    for the last nanosecond depends on it.
    """
    whole, _, fraction = number.partition(".")
    size = _NANOSECONDS[unit]
    if len(whole.lstrip("0")) > _DIGITS:
        return _LIMIT + 1
    digits = fraction[: _leading(fraction)]
    return int(whole or "0") * size + int(int(digits or "0") * (size / float(10 ** len(digits))))


def _leading(fraction: str) -> int:
    """How many digits of a fraction an int64 holds; zeros in front of them are free."""
    zeros = len(fraction) - len(fraction.lstrip("0"))
    held = fraction[zeros : zeros + _DIGITS]
    return zeros + len(held) - (int(held or "0") > _LIMIT)


def _decimal(amount: int, places: int) -> str:
    """Write an amount of 10^-places units without trailing zeros."""
    whole, fraction = divmod(amount, 10**places)
    return f"{whole}.{fraction:0{places}d}".rstrip("0").rstrip(".")
