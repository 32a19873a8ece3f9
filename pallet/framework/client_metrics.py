"""The metrics of requests to the API server: client-go's names, labels and buckets."""

from typing import Final

from pallet.framework.instruments import Instruments

_SECONDS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)

NO_ANSWER: Final = "<error>"
"""The label `code` of a request that was not answered."""


class ClientMetrics:
    """Counts the requests to one API server. The names of verbs are HTTP's, as in client-go."""

    def __init__(self, instruments: Instruments, host: str) -> None:
        self._host = host
        self.requests_total = instruments.counter(
            "rest_client_requests_total",
            "Requests to the API server, by status code (<error> for none), method and host.",
            "code",
            "method",
            "host",
        )
        self.request_duration_seconds = instruments.histogram(
            "rest_client_request_duration_seconds",
            "Time of a request to the API server, without watches.",
            "verb",
            "host",
            bounds=_SECONDS,
        )
        self.rate_limiter_duration_seconds = instruments.histogram(
            "rest_client_rate_limiter_duration_seconds",
            "Time that a request waited for the rate limit of this process.",
            "verb",
            "host",
            bounds=_SECONDS,
        )

    def answered(self, method: str, status: int, seconds: float) -> None:
        """Count a request that took some seconds; its status is 0 where no answer came."""
        host = self._host
        self.requests_total[str(status) if status else NO_ANSWER, method, host].inc()
        self.request_duration_seconds[method, host].observe(seconds)

    def watch_answered(self, status: int) -> None:
        """Count a watch, or a streamed list, when its answer begins."""
        self.requests_total[str(status) if status else NO_ANSWER, "GET", self._host].inc()

    def waited(self, method: str, seconds: float) -> None:
        """Count a wait for the rate limit."""
        self.rate_limiter_duration_seconds[method, self._host].observe(seconds)
