"""A running Prometheus, asked over its HTTP API."""

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from tests.e2e.workload import Document, eventually


class Prometheus:
    """`get` asks it: it gets a path with its query, and gives the JSON document of the answer.

    `get` raises `OSError` while it does not serve.
    """

    def __init__(self, get: Callable[[str], Any]) -> None:
        self._get = get

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer."""
        return self._get(f"/api/v1/{path}?{urlencode(parameters)}")["data"]

    def serves(self) -> bool:
        """Whether it answers."""
        try:
            self.ask("targets")
        except OSError:
            return False
        return True

    def targets(self) -> list[Document]:
        """What is scraped."""
        found: list[Document] = self.ask("targets")["activeTargets"]
        return found

    def await_targets(self, count: int) -> list[Document]:
        """Wait until there are so many targets, and all are up; returns their labels."""

        def up() -> list[Document] | None:
            found = self.targets()
            all_up = len(found) == count and all(target["health"] == "up" for target in found)
            return [target["labels"] for target in found] if all_up else None

        return eventually(f"{count} targets to be up", up, patience=60)

    def has_data(self, query: str) -> bool:
        """Whether a query gives a number now; a quantile of nothing is none."""
        return any(each["value"][1] != "NaN" for each in self.ask("query", query=query)["result"])

    def has_had_data(self, query: str, since: float) -> bool:
        """Whether a query has given a number since a time, as a graph of it shows."""
        span = {"start": f"{since:.0f}", "end": f"{time.time():.0f}", "step": "5"}
        series = self.ask("query_range", query=query, **span)["result"]
        return any(value != "NaN" for each in series for _, value in each["values"])

    def value(self, query: str) -> float:
        """The one number that a query gives; 0 where it gives none."""
        found = self.ask("query", query=query)["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def by_label(self, label: str, query: str) -> Mapping[str, float]:
        """The numbers that a query gives, by a label."""
        found = self.ask("query", query=query)["result"]
        return {each["metric"][label]: float(each["value"][1]) for each in found}

    def alerts(self) -> dict[str, str]:
        """The states of the alerts that are not inactive, by name."""
        return {alert["labels"]["alertname"]: alert["state"] for alert in self.ask("alerts")["alerts"]}
