"""Instruments count like prometheus_client's own, and are shown by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as ReferenceHistogram

from pallet.framework.instruments import NO_LABELS, Gauge, Histogram, Instruments, exponential


def lines(instruments: Instruments, prefix: str) -> list[str]:
    text = generate_latest(instruments.registry).decode()
    return [line for line in text.splitlines() if line.startswith(prefix)]


def test_a_counter_is_shown_with_its_labels() -> None:
    instruments = Instruments()
    attempts = instruments.counter("attempts_total", "Attempts.", "result", "profile")
    attempts["scheduled", "a"].inc()
    attempts["scheduled", "a"].inc(2)
    attempts["error", "b"].inc()
    assert lines(instruments, "attempts_total") == [
        'attempts_total{profile="a",result="scheduled"} 3.0',
        'attempts_total{profile="b",result="error"} 1.0',
    ]


def test_a_single_label_is_a_string_and_none_an_empty_key() -> None:
    instruments = Instruments()
    instruments.gauge("pending", "Pending.", "queue")["active"].set(3)
    instruments.counter("flushed_total", "Flushed.")[NO_LABELS].inc()
    assert lines(instruments, "pending") == ['pending{queue="active"} 3.0']
    assert lines(instruments, "flushed_total") == ["flushed_total 1.0"]


@pytest.mark.parametrize("values", ["active", ("active",), ("active", "a", "b"), NO_LABELS])
def test_the_wrong_number_of_labels_is_refused(values: str | tuple[str, ...]) -> None:
    family = Instruments().counter("attempts_total", "Attempts.", "result", "profile")
    with pytest.raises(ValueError, match="attempts_total has the labels result, profile"):
        family[values]


def test_a_gauge_goes_up_and_down_or_follows() -> None:
    gauge = Gauge()
    gauge.set(5)
    gauge.inc(2)
    gauge.dec()
    assert gauge.value == 6
    queue = ["a", "b"]
    gauge.follow(lambda: len(queue))
    queue.append("c")
    assert gauge.value == 3


def test_a_label_with_quotes_is_escaped() -> None:
    instruments = Instruments()
    instruments.gauge("pending", "Pending.", "queue")['a"b\n'].set(1)
    assert lines(instruments, "pending") == ['pending{queue="a\\"b\\n"} 1.0']


@given(st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.15, 0.2, 0.4, 0.8, 1e9]) | st.floats(0, 2)))
def test_a_histogram_counts_as_that_of_prometheus_client(amounts: list[float]) -> None:
    bounds = (0.1, 0.2, 0.4, 0.8)
    instruments, registry = Instruments(), CollectorRegistry()
    ours = instruments.histogram("took_seconds", "Took.", "point", bounds=bounds)["Filter"]
    theirs = ReferenceHistogram("took_seconds", "Took.", ["point"], registry=registry, buckets=bounds)
    theirs.labels("Filter")
    for amount in amounts:
        ours.observe(amount)
        theirs.labels("Filter").observe(amount)
    expected = generate_latest(registry).decode().splitlines()
    assert lines(instruments, "took_seconds") == [
        line for line in expected if line.startswith("took_seconds{")
    ] + [
        line
        for line in expected
        if line.startswith(("took_seconds_bucket", "took_seconds_sum", "took_seconds_count"))
    ]
    assert ours.count == len(amounts)


def test_exponential_bounds() -> None:
    assert exponential(1, 2, 5) == (1, 2, 4, 8, 16)
    histogram = Histogram(exponential(1, 2, 2))
    histogram.observe(2)
    assert histogram.buckets() == [("1.0", 0), ("2.0", 1), ("+Inf", 1)]


def test_the_process_is_measured_too() -> None:
    assert lines(Instruments(), "process_resident_memory_bytes")
