"""The metrics in the text that Prometheus reads, one metric at a time: all of them at once take a while."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

_END = b"# EOF\n"
"""What OpenMetrics ends with, and the encoder puts behind whatever it is given."""


class _One(Collector):
    """A registry of one metric."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def exposition(registry: CollectorRegistry, accept: str) -> tuple[str, Iterator[bytes]]:
    """Give the content type for an Accept header, and the text, a piece for each metric."""
    encode, content_type = choose_encoder(accept)

    def pieces() -> Iterator[bytes]:
        end = b""
        for metric in registry.collect():
            piece = encode(_One(metric))
            if piece.endswith(_END):
                piece, end = piece.removesuffix(_END), _END
            yield piece
        yield end

    return content_type, pieces()
