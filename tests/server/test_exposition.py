"""Metrics are written one at a time, and as Prometheus's own encoder writes all of them."""

from functools import partial

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from pallet.framework.instruments import Instruments
from pallet.server.exposition import exposition

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def registry() -> CollectorRegistry:
    """Only with what does not change while a test looks at it."""
    instruments = Instruments()
    instruments.counter("pods_total", "Pods.", "result")["bound"].inc()
    instruments.gauge("nodes", "Nodes.", "zone")["a"].set(3)
    instruments.histogram("seconds", "Time.", "plugin", bounds=(1.0, 2.0))["NodeName"].observe(1.5)
    registry = CollectorRegistry()
    registry.register(instruments)
    return registry


@pytest.mark.parametrize("accept", ["", "text/plain", OPEN_METRICS, f"text/html, {OPEN_METRICS};q=0.5"])
def test_the_pieces_are_the_whole(registry: CollectorRegistry, accept: str) -> None:
    encode, expected_type = choose_encoder(accept)
    content_type, pieces = exposition(registry, accept)
    assert content_type == expected_type
    assert b"".join(pieces) == encode(registry)


def test_each_metric_is_a_piece_that_is_made_when_it_is_asked_for() -> None:
    instruments = Instruments()
    read: list[str] = []

    def reading(name: str) -> float:
        read.append(name)
        return 1.0

    for name in ("a", "b", "c"):
        instruments.gauge(name, name)[()].follow(partial(reading, name))
    registry = CollectorRegistry()
    registry.register(instruments)
    read.clear()
    _, pieces = exposition(registry, "")
    for expected in (["a"], ["a", "b"], ["a", "b", "c"]):
        assert next(pieces).endswith(f"{expected[-1]} 1.0\n".encode())
        assert read == expected
