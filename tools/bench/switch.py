"""How fast a set goes: from the switch of its trigger to Schedule until its last pod is bound.

The clock starts before the request that switches the trigger is sent, and stops when the independent
observer receives the last binding. pallet runs as `config/` installs it, as its ServiceAccount.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from tools.bench.contenders import start_pallet
from tools.bench.manifests import pod
from tools.bench.observer import Observer
from tools.bench.rules import node_of, unbound
from tools.bench.stage import (
    POD_SET_API,
    POD_SET_LABEL,
    ROOT,
    clear,
    create_pods,
    planned,
    pods_of,
    trigger,
)
from tools.bench.tables import Spread, markdown
from tools.bench.usage import wait_until_quiet
from tools.controlplane import ControlPlane, numbered
from tools.controlplane.cluster import ADMIN_GROUP
from tools.controlplane.processes import Process

SCHEDULER_NAME = "podset-planner-scheduler"
SYSTEM_NAMESPACE = "planner-system"
POD_SET = "bench"
GATED_SECONDS = 60.0
BOUND_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class SetSize:
    """A set of plain pods, the cluster it goes to, and how often that is repeated."""

    title: str
    pods: int
    nodes: int
    repetitions: int


SIZES = (
    SetSize("2 pods on 3 nodes (the quickstart)", pods=2, nodes=3, repetitions=10),
    SetSize("100 pods on 50 nodes", pods=100, nodes=50, repetitions=5),
)


@dataclass(frozen=True, slots=True)
class Latencies:
    """What the repetitions for one size gave; a repetition with a fault gave nothing else."""

    title: str
    milliseconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def run(_: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The part of the command line: print a table, and return what the JSON file gets and the faults."""
    latencies = []
    for each in measure_sets():
        latencies.append(each)
        print("; ".join((f"{each.title}: measured", *each.faults)), file=sys.stderr, flush=True)
    print(table(latencies))
    return {"podsets": [asdict(each) for each in latencies]}, [
        fault for each in latencies for fault in each.faults
    ]


def table(latencies: Sequence[Latencies]) -> str:
    """A line for each kind of set: milliseconds from the trigger's switch to the last binding."""
    lines = [["switch to last binding, ms", "median (lowest-highest)", "repetitions"]]
    for each in latencies:
        text = Spread.of(each.milliseconds).text(0) if each.milliseconds else "-"
        lines.append([each.title, text, str(len(each.milliseconds))])
    return markdown(lines)


def measure_sets(sizes: Sequence[SetSize] = SIZES) -> Iterator[Latencies]:
    """Measure each size, from small to large, on a control plane that grows to it."""
    with ControlPlane(kwok=False) as control_plane:
        control_plane.kubectl("apply", "-k", str(ROOT / "config" / "demo"))
        with _pallet(control_plane) as pallet:
            nodes = 0
            for size in sizes:
                control_plane.add_nodes(numbered("node", size.nodes)[nodes:])
                nodes = size.nodes
                yield _repeat(control_plane, pallet, size)


def _repeat(control_plane: ControlPlane, pallet: Process, size: SetSize) -> Latencies:
    latencies = Latencies(size.title)
    for number in range(size.repetitions):
        namespace = f"bench-{size.pods}-pods-{number}"
        milliseconds, found = _run(control_plane, pallet, namespace, size.pods)
        if found:
            latencies.faults.extend(found)
        else:
            latencies.milliseconds.append(milliseconds)
    return latencies


@contextmanager
def _pallet(control_plane: ControlPlane) -> Iterator[Process]:
    kubeconfig = control_plane.kubeconfig_for_service_account(SYSTEM_NAMESPACE, SCHEDULER_NAME)
    configuration = ROOT / "config" / "scheduler" / "scheduler-config.yaml"
    process = start_pallet(control_plane, kubeconfig, configuration)
    try:
        yield process
    finally:
        process.terminate()


def _run(control_plane: ControlPlane, pallet: Process, namespace: str, pods: int) -> tuple[float, list[str]]:
    """Hold a set back and let it go; return the milliseconds until it was bound, and what was wrong."""
    control_plane.create_namespace(namespace)
    triggers = f"{POD_SET_API}/{namespace}/scheduletriggers"
    control_plane.client.request("POST", triggers, trigger(POD_SET, "Planning"))
    labels = {POD_SET_LABEL: POD_SET}
    create_pods(
        control_plane,
        namespace,
        (pod(f"pod-{each}", labels=labels, scheduler_name=SCHEDULER_NAME) for each in range(pods)),
    )
    pallet.wait_until(
        lambda: _gated(control_plane, namespace) == pods, "holding back the pods of a set", GATED_SECONDS
    )
    wait_until_quiet(control_plane.pids)
    observer = Observer(control_plane.kubeconfig_for("observer", [ADMIN_GROUP]), namespace, pods)
    with observer:
        switched = time.monotonic()
        control_plane.client.request("PATCH", f"{triggers}/{POD_SET}", {"spec": {"state": "Schedule"}})
        pallet.wait_until(observer.done, "binding a set", BOUND_SECONDS)
        observation = observer.result()
    placed = pods_of(control_plane, namespace)
    found = unbound(pods, placed, observation)
    if planned(control_plane, namespace) != {each["metadata"]["name"]: node_of(each) for each in placed}:
        found.append("the plan differs from the bindings")
    clear(control_plane, namespace)
    last = max((binding.at for binding in observation.bindings), default=switched)
    return (last - switched) * 1000, found


def _gated(control_plane: ControlPlane, namespace: str) -> int:
    """How many pods say that they wait for their trigger."""
    return sum(
        any(condition.get("reason") == "AwaitingTrigger" for condition in pod["status"].get("conditions", ()))
        for pod in pods_of(control_plane, namespace)
    )
