"""Durations; the values are those of Go's package time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallet.api.duration import DurationError, format_duration, parse_duration

MAX_EXACT = 2**50  # nanoseconds, about 13 days: up to here a float of seconds keeps each of them apart


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("-0", 0.0),
        ("+0", 0.0),
        ("0s", 0.0),
        ("5s", 5.0),
        ("+5s", 5.0),
        ("-1s", -1.0),
        ("100ms", 0.1),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("1μs", 1e-6),
        ("1ns", 1e-9),
        (".5s", 0.5),
        ("5.s", 5.0),
        ("1h2m3.5s", 3723.5),
        ("3h30m", 12600.0),
        ("10.5s4m", 250.5),
        ("-2m3.4s", -123.4),
        ("1h2m3s4ms5us6ns", 3723.004005006),
        ("0.333333333333h", 1199.999999998),
        ("1.9ns", 1e-9),
        ("9223372036854775807ns", 9223372036.854775807),
        ("-9223372036854775808ns", -9223372036.854775808),
        (f"0.{'1' * 5_000}s", 0.111111111),
    ],
)
def test_a_duration_has_the_length_that_go_gives_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "-", "+", "s", ".", ".s", "-.", "+.s", "1d", "1w", "1 s", " 1s", "1s ", "1s\n", "1h-2m",
        "1h 2m", "1h,2m", "1hms", "1min", "1.2.3s", "1e3s", "00", "0.0", "Infinity", "\u0661s", "1S",
    ],
)  # fmt: skip
def test_what_go_does_not_read_is_refused_by_name(text: str) -> None:
    with pytest.raises(DurationError, match="is not a duration") as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["9223372036854775808ns", "-9223372036854775809ns", "3000000h", "2562047h47m16.9s", "1" * 5_000 + "s"],
)
def test_a_duration_beyond_an_int64_of_nanoseconds_is_refused(text: str) -> None:
    with pytest.raises(DurationError, match="too long"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-0.0, "0s"),
        (1e-10, "0s"),
        (-1e-10, "0s"),
        (1e-9, "1ns"),
        (1.1e-6, "1.1µs"),
        (0.0022, "2.2ms"),
        (0.5, "500ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (10, "10s"),
        (60, "1m0s"),
        (120, "2m0s"),
        (305.5, "5m5.5s"),
        (3600, "1h0m0s"),
        (18000.001, "5h0m0.001s"),
        (-90, "-1m30s"),
        (-0.05, "-50ms"),
    ],
)
def test_a_duration_is_written_as_go_writes_it(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(-MAX_EXACT, MAX_EXACT))
def test_what_is_written_is_read_again_to_the_nanosecond(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds / 10**9)) == nanoseconds / 10**9
    assert parse_duration(f"{nanoseconds}ns") == nanoseconds / 10**9


@given(st.text() | st.text("0123456789.+-nuµmsh", max_size=8))
def test_any_text_gives_a_duration_or_the_typed_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except DurationError:
        return
    assert abs(seconds) <= 2**63 / 10**9
