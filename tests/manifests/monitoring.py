"""What `examples/load-experiment/monitoring` asks Prometheus for."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.manifests.documents import ROOT, Document

MONITORING = ROOT / "examples" / "load-experiment" / "monitoring"

OTHERS = frozenset(
    {
        "up",  # Prometheus's own
        "kube_horizontalpodautoscaler_status_desired_replicas",  # kube-state-metrics'
        "kube_pod_container_status_running",  # likewise
    }
)
"""Metrics that are not the scheduler's."""

# Strings, selectors, ranges, and the labels of aggregations and matchings: no metric is named in there.
_ASIDE = re.compile(
    r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_(?:left|right))\s*\([^)]*\)'
)
_NAME = re.compile(r"(?<![\w.])[a-zA-Z_:][\w:]*\b(?!\s*\()")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "by", "without", "inf", "nan"})


def load(name: str) -> Any:
    """One of the YAML files."""
    return yaml.safe_load((MONITORING / name).read_text())


def alerts() -> list[Document]:
    """The alert rules."""
    return [rule for group in load("alerts.yaml")["groups"] for rule in group["rules"]]


def panels() -> list[Document]:
    """The dashboard's panels, rows included."""
    found: list[Document] = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return found


def queries(*, rate_interval: str = "1m") -> list[str]:
    """The dashboard's queries, as Grafana sends them."""
    targets = (target for panel in panels() for target in panel.get("targets", ()))
    return [target["expr"].replace("$__rate_interval", rate_interval) for target in targets]


def metric_names(expression: str) -> set[str]:
    """The metrics that a PromQL expression reads."""
    return {name for name in _NAME.findall(_ASIDE.sub(" ", expression)) if name not in _WORDS}


def read_metrics() -> Iterator[str]:
    """Every metric that dashboard and alerts read."""
    for expression in (*queries(), *(rule["expr"] for rule in alerts())):
        yield from metric_names(expression)
