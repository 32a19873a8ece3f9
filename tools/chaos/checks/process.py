"""I3, I8 and I10: what a replica must say of itself at rest."""

from collections.abc import Iterator, Mapping

from tools.chaos.dump import Dump, Metrics
from tools.chaos.history import Node, Object, Pod, Violation

MOST_REQUESTS = 3.0
"""Requests in a second at rest: the lease every two seconds, now and then a list, and a set's status."""

MOST_MEMORY = 300 * 2**20
"""Bytes of a replica with a few hundred pods and nodes."""


def agrees(agent: str, dump: Dump, state: Mapping[str, Object], at: float) -> Iterator[Violation]:
    """I3 and I8: every pending pod is in one place, and the cache is what the API has."""
    for mismatch in dump.mismatches:
        yield Violation("I3" if "in the queue" in mismatch else "I8", at, agent, mismatch)
    expected = {
        node.name: {"cpu": 0, "memory": 0, "pods": 0} for node in state.values() if isinstance(node, Node)
    }
    for pod in state.values():
        if isinstance(pod, Pod) and pod.node in expected and not pod.finished:
            requested = expected[pod.node]
            requested["cpu"] += pod.cpu
            requested["memory"] += pod.memory
            requested["pods"] += 1
    for name in sorted(expected.keys() | dump.nodes.keys()):
        told, stored = dump.nodes.get(name), expected.get(name)
        if told != stored:
            yield Violation("I8", at, agent, f"node {name} has {told} in the cache and {stored} in etcd")


def bounded(
    agent: str, dump: Dump, metrics: Metrics, requests: float, memory: int, at: float
) -> Iterator[Violation]:
    """I10: nothing is under way at rest, caches keep their bounds, and the API server is left in peace."""
    for place in ("assumed", "in_flight", "active"):
        if dump.summary.get(place, "0") != "0":
            yield Violation("I10", at, agent, f"{dump.summary[place]} pods are {place} at rest")
    for key, kept in metrics.of("scheduler_inflight_events").items():
        if kept:
            yield Violation("I10", at, agent, f"{key} is {kept:.0f} at rest")
    limits = metrics.of("pallet_cache_bytes_limit")
    for key, held in metrics.of("pallet_cache_bytes").items():
        limit = limits[key.replace("pallet_cache_bytes", "pallet_cache_bytes_limit")]
        if held > limit:
            yield Violation("I10", at, agent, f"{key} is {held:.0f}, with a bound of {limit:.0f}")
    if requests > MOST_REQUESTS:
        yield Violation("I10", at, agent, f"{requests:.1f} requests/s at rest")
    if memory > MOST_MEMORY:
        yield Violation("I10", at, agent, f"{memory / 2**20:.0f} MiB at rest")
