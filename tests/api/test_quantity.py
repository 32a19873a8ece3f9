"""Quantities; the cases are those of apimachinery's own tests, and values read off apimachinery itself."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallet.api.quantity import MAX_INT64, QuantityError, milli, parse_quantity, whole

KI = 1024
VALUES: list[tuple[str, int | str]] = [
    *(
        (f"0{suffix}", 0)
        for suffix in ("", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti")
    ),
    ("1", 1),
    ("9", 9),
    # powers of two
    ("1Ki", KI),
    ("8Ki", 8 * KI),
    ("7Mi", 7 * KI**2),
    ("6Gi", 6 * KI**3),
    ("5Ti", 5 * KI**4),
    ("100Ti", 100 * KI**4),
    ("4Pi", 4 * KI**5),
    ("3Ei", 3 * KI**6),
    # powers of ten
    ("5n", "5e-9"),
    ("4u", "4e-6"),
    ("3m", "3e-3"),
    ("8k", 8_000),
    ("50k", 50_000),
    ("7M", 7 * 10**6),
    ("6G", 6 * 10**9),
    ("300T", 3 * 10**14),
    ("2P", 2 * 10**15),
    ("1E", 10**18),
    # exponents
    ("1E-3", "1e-3"),
    ("1e3", 1_000),
    ("1E6", 10**6),
    ("1e14", 10**14),
    ("1E18", 10**18),
    ("1.3E+6", 1_300_000),
    ("12E-2", "0.12"),
    ("1e0000000003", 1_000),
    ("1.7E18", 17 * 10**17),
    # fractions
    ("0.001", "0.001"),
    ("0.0005k", "0.5"),
    ("0.00050k", "0.5"),
    ("0.50000", "0.5"),
    ("0.5e-2", "0.005"),
    ("10.035M", 10_035_000),
    ("100.035k", 100_035),
    ("6.987654321G", 6_987_654_321),
    ("300.2T", 3002 * 10**11),
    ("1.01E", 101 * 10**16),
    ("100.035Ki", "102435.84"),
    ("0.5Mi", 512 * KI),
    ("0.05Gi", "53687091.2"),
    ("0.025Ti", "27487790694.4"),
    # rounded away from zero at a billionth
    ("3.001n", "4e-9"),
    ("1.1E-9", "2e-9"),
    ("0.0000000001", "1e-9"),
    ("0.00000000050", "1e-9"),
    ("0.9n", "1e-9"),
    ("0.00000012345", "124e-9"),
    ("0.000000000001Ki", "2e-9"),
    ("1e-300", "1e-9"),
    ("1e-4294967290", 10**6),  # of an exponent the lower 32 bits count
    ("1e4294967296", 1),
    # held at the largest int64
    ("9223372036854775807", MAX_INT64),
    ("9Ei", MAX_INT64),
    ("9223372036854775807Ki", MAX_INT64),
    ("12E", MAX_INT64),
    ("1e300", MAX_INT64),
    # odd, but read
    (".001", "0.001"),
    (".0001k", "0.1"),
    ("1.", 1),
    ("1.G", 10**9),
    ("00001", 1),
    (".", 0),
    ("m", 0),
    ("Ti", 0),
    ("e-9", 0),
]


@pytest.mark.parametrize("sign", ["", "+", "-"])
@pytest.mark.parametrize(("text", "value"), VALUES)
def test_a_quantity_has_the_value_that_apimachinery_gives_it(sign: str, text: str, value: int | str) -> None:
    exact = Fraction(value) * (-1 if sign == "-" else 1)
    assert Fraction(parse_quantity(sign + text), 10**9) == exact


@pytest.mark.parametrize(
    ("text", "units", "thousandths"),
    [
        ("0", 0, 0),
        ("1", 1, 1_000),
        ("100m", 1, 100),
        ("1.5", 2, 1_500),
        ("1500m", 2, 1_500),
        ("9.01", 10, 9_010),
        ("0.1m", 1, 1),
        ("1n", 1, 1),
        ("1.5Gi", 1610612736, 1610612736000),
        ("-9.01", -10, -9_010),
        ("-1n", -1, -1),
        ("9Ei", MAX_INT64, MAX_INT64),
        ("-12E", -MAX_INT64, -MAX_INT64),
        ("9E", 9 * 10**18, MAX_INT64),
        (4, 4, 4_000),
        (-(10**30), -MAX_INT64, -MAX_INT64),
    ],
)
def test_units_and_thousandths_are_rounded_away_from_zero_and_fit_an_int64(
    text: str | int, units: int, thousandths: int
) -> None:
    assert (whole(text), milli(text)) == (units, thousandths)


@pytest.mark.parametrize(
    "text",
    [
        "", " 1", "1 ", "1\n", "Infinity", "NaN", "1_000", "1K", "1ki", "1.1.M", "1+1.0M", "0.1mi", "0.1am",
        "aoeu", ".5i", "1i", "-3.01i", "-3.01e-", "1e", "1E+", "1e1.5", "--1", "+-1", "1,5", "0x10", "1Kib",
        "1Kii", "\u0661", "Ei", "-.Pi", "e-10", "1" * 5_000, "1e" + "1" * 5_000,
    ],
)  # fmt: skip
def test_what_is_not_a_quantity_is_refused_by_name(text: str) -> None:
    with pytest.raises(QuantityError, match="quantity") as caught:
        parse_quantity(text)
    assert repr(text[:20])[1:-1] in str(caught.value)


SUFFIXES = {
    **{
        suffix: Fraction(1000) ** power
        for power, suffix in enumerate(["n", "u", "m", "", *"kMGTPE"], start=-3)
    },
    **{f"{suffix}i": Fraction(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}
UNITS = st.sampled_from(sorted(SUFFIXES.items())) | st.integers(-30, 30).flatmap(
    lambda power: st.sampled_from(
        [(f"e{power}", Fraction(10) ** power), (f"E{power:+}", Fraction(10) ** power)]
    )
)
NUMBERS = st.from_regex(r"[+-]?([0-9]{1,25}(\.[0-9]{0,15})?|\.[0-9]{1,15})", fullmatch=True).filter(
    str.isascii
)


def rounded(value: Fraction) -> int:
    """Round away from zero, and hold within an int64."""
    integer = math.ceil(value) if value > 0 else math.floor(value)
    return max(-MAX_INT64, min(integer, MAX_INT64))


@given(NUMBERS, UNITS)
def test_every_number_and_suffix_agree_with_exact_arithmetic(number: str, unit: tuple[str, Fraction]) -> None:
    suffix, factor = unit
    exact = Fraction(number) * factor
    assert whole(number + suffix) == rounded(exact)
    assert milli(number + suffix) == rounded(exact * 1000)


@given(st.integers(-MAX_INT64, MAX_INT64))
def test_a_number_and_its_text_are_the_same_quantity(number: int) -> None:
    assert whole(number) == whole(str(number)) == number
    assert milli(number) == milli(str(number))


@given(st.text() | st.text("0123456789.+-eEinumkKMGTP", max_size=8))
def test_any_text_gives_a_quantity_or_the_typed_error(text: str) -> None:
    try:
        value = parse_quantity(text)
    except QuantityError:
        return
    assert abs(value) <= MAX_INT64 * 10**9
