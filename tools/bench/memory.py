"""`python -m tools.bench --memory`: start and memory beside many pods that are bound already.

The pods are made with a node, so that nobody has to schedule them. Then each scheduler is started by itself,
with one fresh pod to bind.
"""

import argparse
import http.client
import ssl
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import anyio

from pallet.api.pod import PODS
from pallet.client import Client
from tools.bench import stage
from tools.bench.contenders import ANNOTATED, KUBE_SCHEDULER, PALLET, USER, start_with_port
from tools.bench.manifests import APP, APP_PODS, Manifest, node_name, plain, pod
from tools.bench.observer import Observer
from tools.bench.tables import Spread, markdown
from tools.bench.usage import MIB, Meter, resident_bytes, wait_until_quiet
from tools.controlplane import ControlPlane
from tools.controlplane.cluster import ADMIN_GROUP
from tools.controlplane.processes import StartError, free_port

NODES, PODS_BOUND = 5000, 150_000
NAMESPACE = "memory-bound"
WRITERS = 64
READY_SECONDS = 300.0
SETTLE_SECONDS = 30.0
"""After the first binding, until memory is called settled."""
CONTROLLERS = ("*", "-garbage-collector-controller")
"""The owners of the pods do not exist."""
LIGHT = {"cpu": "10m", "memory": "50Mi"}
"""What a bound pod asks for, so that there is room for more."""


@dataclass(frozen=True, slots=True)
class Start:
    """How one scheduler started, in seconds from the start of its process, and what it held, in MiB."""

    contender: str
    round: int
    ready_seconds: float
    """Until /readyz says ok."""
    first_binding_seconds: float
    start_cpu_seconds: float
    """Until the first binding."""
    peak_mib: float
    settled_mib: float


def run(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The part of the command line: print a table, and return what the JSON file gets and the faults."""
    pods = arguments.pods or PODS_BOUND
    starts: list[Start] = []
    faults: list[str] = []
    for nodes in arguments.nodes or [NODES]:
        with ControlPlane(
            kwok=False, apiserver_args=stage.APISERVER_ARGS, controllers=CONTROLLERS
        ) as control_plane:
            stage.add_nodes(control_plane, nodes)
            control_plane.create_namespace(NAMESPACE)
            began = time.monotonic()
            kubeconfig = str(control_plane.kubeconfig_for("writer", [ADMIN_GROUP]))
            anyio.run(_create_bound, kubeconfig, nodes, pods, backend_options={"use_uvloop": True})
            print(f"{pods:,} pods made in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            here: list[Start] = []
            for number in range(arguments.rounds or 1):
                for name in (KUBE_SCHEDULER.name, PALLET.name, ANNOTATED):
                    try:
                        here.append(_start(control_plane, name, number + 1))
                    except StartError as error:
                        faults.append(f"{name}: {error}")
            print(table(f"{nodes:,} nodes, {pods:,} bound pods", here))
            starts += here
    print("\n".join(faults))
    return {"memory": [asdict(each) for each in starts]}, faults


FIGURES = (
    ("ready_seconds", "start to /readyz ok, s", 1),
    ("first_binding_seconds", "start to first binding, s", 1),
    ("start_cpu_seconds", "CPU until then, s", 1),
    ("peak_mib", "peak memory, MiB", 0),
    ("settled_mib", f"memory {SETTLE_SECONDS:.0f} s later, MiB", 0),
)


def table(title: str, starts: list[Start]) -> str:
    """A line for each figure, a column for each scheduler."""
    names = list(dict.fromkeys(each.contender for each in starts))
    lines = [[title, *names]]
    for field, words, decimals in FIGURES:
        values = {name: [getattr(each, field) for each in starts if each.contender == name] for name in names}
        lines.append([words, *(Spread.of(each).text(decimals) for each in values.values())])
    return markdown(lines)


def bound_pod(number: int, nodes: int) -> Manifest:
    """A pod that was given a node when it was made; a hundred are of one app.

    It carries what pods do: two owners, 1 KiB of annotations, 300 bytes of them its own, and a finalizer.
    """
    app = f"app-{number // APP_PODS}"
    made = pod(f"pod-{number}", requests=LIGHT, labels={APP: app}, nodeName=node_name(number % nodes))
    owners = [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": app, "uid": f"rs-{app}", "controller": True},
        {"apiVersion": "example.com/v1", "kind": "Application", "name": app, "uid": f"application-{app}"},
    ]
    annotations = {
        "example.com/template": f"{app} ".ljust(684, "t"),
        "example.com/own": str(number).zfill(300),
    }
    made["metadata"] |= {
        "annotations": annotations,
        "finalizers": ["example.com/finalizer"],
        "ownerReferences": owners,
    }
    return made


async def _create_bound(kubeconfig: str, nodes: int, pods: int) -> None:
    """Make the pods, over a client that costs little."""

    async def work(client: Client, numbers: Iterator[int]) -> None:
        for number in numbers:
            await client.create(PODS, bound_pod(number, nodes), NAMESPACE)

    async with Client.connect(kubeconfig, qps=0, user_agent="bench") as client:
        numbers = iter(range(pods))
        async with anyio.create_task_group() as tasks:
            for _ in range(WRITERS):
                tasks.start_soon(work, client, numbers)


def _start(control_plane: ControlPlane, name: str, number: int) -> Start:
    """Start one scheduler, and end it when its memory has settled. Raises StartError."""
    namespace = f"memory-{number}-{name}"
    control_plane.create_namespace(namespace)
    stage.create_pods(control_plane, namespace, [plain(0)])
    wait_until_quiet(control_plane.pids)
    port = free_port()
    kubeconfig = control_plane.kubeconfig_for(USER)
    with Observer(control_plane.kubeconfig_for("observer", [ADMIN_GROUP]), namespace, 1) as observer:
        started = time.monotonic()
        process = start_with_port(control_plane, name, kubeconfig, port)
        try:
            with Meter({name: process.pid}) as meter:
                process.wait_until(lambda: _is_ready(port), "becoming ready", READY_SECONDS)
                ready = time.monotonic()
                process.wait_until(observer.done, "the first binding", READY_SECONDS)
                bindings = observer.result().bindings
                time.sleep(SETTLE_SECONDS)
                settled = resident_bytes(process.pid)
        finally:
            process.terminate()
    stage.clear(control_plane, namespace)
    if not bindings:
        raise StartError(f"{name} did not bind the fresh pod")
    return Start(
        name,
        number,
        ready_seconds=ready - started,
        first_binding_seconds=bindings[0].at - started,
        start_cpu_seconds=meter.cpu_seconds(name, started, bindings[0].at),
        peak_mib=meter.peak_bytes[name] / MIB,
        settled_mib=settled / MIB,
    )


def _is_ready(port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # their certificates are their own
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5.0, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
