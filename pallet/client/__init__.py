"""The way to the API server: credentials, retries, rate limit, typed requests and watch streams."""

from pallet.client.backoff import Backoff
from pallet.client.client import MERGE_PATCH, STRATEGIC_MERGE_PATCH, Client
from pallet.client.errors import AnswerLost, ApiError, ConfigError, Unreachable
from pallet.client.limiter import Priority

__all__ = [
    "MERGE_PATCH",
    "STRATEGIC_MERGE_PATCH",
    "AnswerLost",
    "ApiError",
    "Backoff",
    "Client",
    "ConfigError",
    "Priority",
    "Unreachable",
]
