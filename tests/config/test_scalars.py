"""Plain scalars; the values were read off Kubernetes' own YAML library."""

import math

import pytest

from pallet.config.scalars import resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n", False),
        ("Yes", True),
        ("yEs", "yEs"),
        ("~", None),
        ("", None),
        ("1e3", 1000),
        ("1E-2", 0.01),
        (".5", 0.5),
        ("5.", 5),
        (".", "."),
        ("._5", "._5"),
        ("1_000", 1000),
        ("010", 8),
        ("0o10", 8),
        ("08", 8),
        ("0x1F", 31),
        ("-0b101", -5),
        ("0x", "0x"),
        ("+.inf", math.inf),
        ("1e400", "1e400"),
        ("18446744073709551615", 2**64 - 1),
        ("+18446744073709551615", 18446744073709551615.0),
        ("-9223372036854775808", -(2**63)),
        ("12:30:45", "12:30:45"),
        ("2026-01-31", "2026-01-31"),
        ("=", "="),
        ("9" * 1000, "9" * 1000),
    ],
)
def test_a_scalar_stands_for_what_kubernetes_reads(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value) or isinstance(value, (int, float))
