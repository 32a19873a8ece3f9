"""Resource quantities such as `500m`, `1.5Gi` or `12e6`: exact, with integers, as apimachinery reads them.

What is finer than the unit asked for is rounded away from zero. What is beyond 2^63-1 is held there, so that
every result of `whole` and `milli` fits an int64. (apimachinery holds binary forms only; its Value() of a
decimal form that is too large overflows.)
"""

import re

from pallet.bounded_cache import MIB, bounded_cache

MAX_INT64 = 2**63 - 1

_NANO = 10**9
_MICRO = 10**6
_TEN_POWER = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_TWO_POWER = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_QUANTITY = re.compile(
    r"(?=.) ([+-]?) ([0-9]*) (?:\.([0-9]*))? (?: ([numkMGTPE] | [KMGTPE]i) | [eE]([+-]?[0-9]+) )?",
    re.VERBOSE,
)
_TOO_LARGE = 28  # 10^28 billionths are more than 2^63-1


class QuantityError(ValueError):
    """A text that is not a quantity."""


def parse_quantity(text: object) -> int:
    """Give a quantity in billionths. Raises QuantityError.

    A sign, a point or a suffix alone, without any digit, counts as zero, as for the API server; which only
    refuses it with Pi, Ei or an exponent below -9.
    """
    if isinstance(text, int):
        return _within(text * _NANO, MAX_INT64 * _NANO)
    if not isinstance(text, str) or (match := _QUANTITY.fullmatch(text)) is None:
        raise _not_a_quantity(text)
    sign, integer, fraction, suffix, exponent = match.groups("")
    digits = integer + fraction
    try:
        amount = int(digits or "0") << _TWO_POWER.get(suffix, 0)
        power = _as_int32(exponent) if exponent else _TEN_POWER.get(suffix, 0)
    except ValueError:  # Python does not read numbers of thousands of digits
        raise QuantityError(f"{text[:20]!r}... is too long for a quantity") from None
    if power is None or (not digits and (suffix in ("Pi", "Ei") or power < -9)):
        raise _not_a_quantity(text)
    power += 9 - len(fraction)
    if power >= 0:
        amount *= 10 ** min(power, _TOO_LARGE)
    else:
        amount = _divide(amount, 10 ** min(-power, len(text)))  # by more, one billionth would still be left
    return _within(-amount if sign == "-" else amount, MAX_INT64 * _NANO)


@bounded_cache("quantities", 2 * MIB)
def whole(text: str | int) -> int:
    """Give a quantity in whole units, such as bytes or devices. Raises QuantityError."""
    return _divide(parse_quantity(text), _NANO)


@bounded_cache("quantities", 2 * MIB)
def milli(text: str | int) -> int:
    """Give a quantity in thousandths, such as millicores. Raises QuantityError."""
    return _within(_divide(parse_quantity(text), _MICRO), MAX_INT64)


def _as_int32(exponent: str) -> int | None:
    """Read an exponent as apimachinery does: an int64, of which the lower half is kept; None beyond that."""
    power = int(exponent)
    return (power + 2**31) % 2**32 - 2**31 if -(2**63) <= power < 2**63 else None


def _not_a_quantity(text: object) -> QuantityError:
    return QuantityError(
        f"{text!r} is not a quantity; write a number with a suffix, such as 500m, 2 or 1.5Gi"
    )


def _divide(amount: int, unit: int) -> int:
    """Divide, rounding away from zero."""
    return -(-amount // unit) if amount >= 0 else amount // unit


def _within(amount: int, limit: int) -> int:
    """Hold an amount between -limit and limit."""
    return max(-limit, min(amount, limit))
