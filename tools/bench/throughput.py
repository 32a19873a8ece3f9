"""How fast a backlog is bound: rounds in which each contender gets the same pods on the same nodes."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tools.bench.contenders import USER, Contender
from tools.bench.observer import Observation, Observer
from tools.bench.usage import Meter, wait_until_quiet
from tools.bench.workload import PODS_PER_NODE, clear, create_pods, faults, nodes_of, plain_pod
from tools.controlplane import ControlPlane
from tools.controlplane.cluster import ADMIN_GROUP

ROUND_SECONDS = 600.0
MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Measures:
    """What one contender did in one round.

    `pods_per_second` counts from the first to the last binding, `pods_per_second_with_events` from the first
    binding to the last event; CPU is measured over the latter time, which starts when the start is over.
    """

    pods_per_second: float
    pods_per_second_with_events: float
    last_event_seconds: float
    """From the first binding."""
    cpu_ms_per_pod: float
    peak_mib: float
    start_seconds: float
    """From the start of the process to its first binding."""
    start_cpu_seconds: float
    apiserver_cpu_ms_per_pod: float
    etcd_cpu_ms_per_pod: float
    events: int
    nodes_used: int
    most_pods_on_a_node: int


@dataclass(frozen=True, slots=True)
class Round:
    """One contender's turn in one round. Without measures where it did not bind two pods."""

    number: int
    contender: str
    measures: Measures | None
    faults: list[str]


def run_rounds(
    control_plane: ControlPlane, contenders: Sequence[Contender], rounds: int, pods: int
) -> Iterator[Round]:
    """Give each contender its turn in each round, beginning with another one each time."""
    for number in range(rounds):
        first = number % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            yield _run(control_plane, contender, number + 1, pods)


def _run(control_plane: ControlPlane, contender: Contender, number: int, pods: int) -> Round:
    namespace = f"bench-{number}-{contender.name.replace(' ', '-')}"
    control_plane.create_namespace(namespace)
    create_pods(control_plane, namespace, (plain_pod(f"pod-{each}") for each in range(pods)))
    found = [] if wait_until_quiet(control_plane.pids) else ["the control plane was busy at the start"]
    kubeconfig = control_plane.kubeconfig_for(USER)
    with Observer(control_plane.kubeconfig_for("observer", [ADMIN_GROUP]), namespace, pods) as observer:
        started = time.monotonic()
        process = contender.start(control_plane, kubeconfig, namespace)
        try:
            with Meter({**_servers(control_plane), "contender": process.pid}) as meter:
                process.wait_until(observer.done, "binding the pods", ROUND_SECONDS)
        finally:
            process.terminate()
        observation = observer.result()
    nodes = nodes_of(control_plane, namespace)
    clear(control_plane, namespace)
    found += faults(pods, nodes, observation, PODS_PER_NODE)
    return Round(number, contender.name, measure(started, observation, nodes, meter), found)


def measure(
    started: float, observation: Observation, nodes: Mapping[str, str], meter: Meter
) -> Measures | None:
    """Derive the figures of a round; None where there is too little to derive them from."""
    times = [binding.at for binding in observation.bindings]
    if len(times) < 2:
        return None
    first, last = times[0], times[-1]
    end = max([last, *(event.at for event in observation.events)])
    pods = len(times)
    loads = Counter(node for node in nodes.values() if node)

    def per_pod(name: str) -> float:
        return meter.cpu_seconds(name, first, end) * 1000 / pods

    return Measures(
        pods_per_second=(pods - 1) / (last - first),
        pods_per_second_with_events=(pods - 1) / (end - first),
        last_event_seconds=end - first,
        cpu_ms_per_pod=per_pod("contender"),
        peak_mib=meter.peak_bytes["contender"] / MIB,
        start_seconds=first - started,
        start_cpu_seconds=meter.cpu_seconds("contender", started, first),
        apiserver_cpu_ms_per_pod=per_pod("kube-apiserver"),
        etcd_cpu_ms_per_pod=per_pod("etcd"),
        events=sum(event.reason == "Scheduled" for event in observation.events),
        nodes_used=len(loads),
        most_pods_on_a_node=max(loads.values()),
    )


def _servers(control_plane: ControlPlane) -> dict[str, int]:
    pids = control_plane.pids
    return {name: pids[name] for name in ("kube-apiserver", "etcd")}
