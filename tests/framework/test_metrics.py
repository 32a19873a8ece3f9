"""The metrics have kube-scheduler's names, labels and buckets (1.36, pkg/scheduler/metrics/metrics.go)."""

import pytest

from pallet.framework.instruments import Family, Gauge, Histogram, Instruments
from pallet.framework.metrics import Metrics


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("schedule_attempts_total", ("result", "profile")),
        ("queue_incoming_pods_total", ("queue", "event")),
        ("queue_incoming_entities_total", ("queue", "event", "type")),
        ("queued_entities", ("queue", "type")),
        ("plugin_evaluation_total", ("plugin", "extension_point", "profile")),
        ("scheduling_attempt_duration_seconds", ("result", "profile")),
        ("framework_extension_point_duration_seconds", ("extension_point", "status", "profile")),
        ("plugin_execution_duration_seconds", ("plugin", "extension_point", "status")),
        ("pod_scheduling_sli_duration_seconds", ("attempts",)),
        ("permit_wait_duration_seconds", ("result",)),
        ("event_handling_duration_seconds", ("event",)),
        ("queueing_hint_execution_duration_seconds", ("plugin", "event", "hint")),
        ("pending_pods", ("queue",)),
        ("cache_size", ("type",)),
        ("unschedulable_pods", ("plugin", "profile")),
        ("inflight_events", ("event",)),
        ("goroutines", ("operation",)),
    ],
)
def test_a_metric_is_named_and_labelled_as_in_kube_scheduler(name: str, labels: tuple[str, ...]) -> None:
    family: Family[Gauge] = getattr(Metrics(Instruments()), name)
    assert family.name == f"scheduler_{name}"
    assert family.labels == labels


@pytest.mark.parametrize(
    ("name", "values", "first", "last", "count"),
    [
        ("scheduling_attempt_duration_seconds", ("scheduled", "p"), 0.001, 16.384, 15),
        ("framework_extension_point_duration_seconds", ("Filter", "Success", "p"), 0.0001, 0.2048, 12),
        ("plugin_execution_duration_seconds", ("NodeName", "Filter", "Success"), 0.00001, 0.0221683782, 20),
        ("pod_scheduling_sli_duration_seconds", "1", 0.01, 5242.88, 20),
        ("permit_wait_duration_seconds", "success", 0.001, 16.384, 15),
        ("event_handling_duration_seconds", "NodeAdd", 0.0001, 0.2048, 12),
        ("queueing_hint_execution_duration_seconds", ("p", "e", "Queue"), 0.00001, 0.0221683782, 20),
        ("scheduling_algorithm_duration_seconds", None, 0.001, 16.384, 15),
        ("pod_scheduling_attempts", None, 1, 16, 5),
    ],
)
def test_buckets_are_those_of_kube_scheduler(
    name: str, values: str | tuple[str, ...] | None, first: float, last: float, count: int
) -> None:
    member = getattr(Metrics(Instruments()), name)
    histogram: Histogram = member if values is None else member[values]
    bounds = [float(bound) for bound, _ in histogram.buckets()]
    assert len(bounds) == count + 1
    assert bounds[0] == first
    assert bounds[-2] == pytest.approx(last)
    assert bounds[-1] == float("inf")


def test_each_set_of_metrics_counts_by_itself() -> None:
    one, other = Metrics(Instruments()), Metrics(Instruments())
    one.pod_scheduled_after_flush_total.inc()
    assert other.pod_scheduled_after_flush_total.value == 0
