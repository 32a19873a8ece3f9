"""The figures of a turn, derived from what was seen."""

from dataclasses import dataclass

import numpy as np

from tools.bench.observer import Observation
from tools.bench.rules import Quality
from tools.bench.usage import MIB, Meter


@dataclass(frozen=True, slots=True)
class Measures:
    """What one contender did in one turn.

    `pods_per_second` counts from the first sign of work, which is the first binding or event, to the last
    binding, `pods_per_second_with_events` to the last event; CPU is measured over the latter time, and so
    without the start. (With preemption the first sign is a refusal: bindings come late, and fast then.)

    The latency of a pod is the time from its creation, or the start of the contender where that is later, to
    its binding; here all pods are there before the start.
    """

    pods_per_second: float
    pods_per_second_with_events: float
    latency_p50_seconds: float
    latency_p99_seconds: float
    cpu_ms_per_pod: float
    """Of all pods of the backlog, those that fit nowhere included."""
    peak_mib: float
    start_seconds: float
    """From the start of the process to its first sign of work."""
    start_cpu_seconds: float
    apiserver_cpu_ms_per_pod: float
    etcd_cpu_ms_per_pod: float
    events: int
    nodes_used: int
    cpu_deviation: float
    zone_skew: int | None
    evicted: int | None


@dataclass(frozen=True, slots=True)
class Round:
    """One contender's turn in one round. Without measures where it did not bind two pods."""

    workload: str
    nodes: int
    pods: int
    number: int
    contender: str
    measures: Measures | None
    faults: list[str]


def measure(
    started: float, observation: Observation, backlog: int, meter: Meter, quality: Quality
) -> Measures | None:
    """Derive the figures of a turn; None where there is too little to derive them from."""
    times = [binding.at for binding in observation.bindings]
    if len(times) < 2:
        return None
    signs = [*times, *(event.at for event in observation.events)]
    first, last, end = min(signs), times[-1], max(signs)
    p50, p99 = np.percentile(np.array(times) - started, (50, 99))

    def per_pod(name: str) -> float:
        return meter.cpu_seconds(name, first, end) * 1000 / backlog

    return Measures(
        pods_per_second=(len(times) - 1) / (last - first),
        pods_per_second_with_events=(len(times) - 1) / (end - first),
        latency_p50_seconds=float(p50),
        latency_p99_seconds=float(p99),
        cpu_ms_per_pod=per_pod("contender"),
        peak_mib=meter.peak_bytes["contender"] / MIB,
        start_seconds=first - started,
        start_cpu_seconds=meter.cpu_seconds("contender", started, first),
        apiserver_cpu_ms_per_pod=per_pod("kube-apiserver"),
        etcd_cpu_ms_per_pod=per_pod("etcd"),
        events=len(observation.events),
        nodes_used=quality.nodes_used,
        cpu_deviation=quality.cpu_deviation,
        zone_skew=quality.zone_skew,
        evicted=quality.evicted,
    )
