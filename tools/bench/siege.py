"""The attacks: what the author of each does until it is over, with objects (see `attacks`) or floods."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tools.bench import attacks, floods, stage
from tools.bench.floods import Flood
from tools.bench.manifests import Manifest, node_name, pod
from tools.bench.stage import POD_SET_API
from tools.controlplane import ApiError, ControlPlane


class Siege:
    """One attack under way: what it may use. It goes on until `over`."""

    def __init__(self, control_plane: ControlPlane, nodes: int, ports: tuple[int, int]) -> None:
        self.client = control_plane.client
        self.nodes = nodes
        self.secure_port, self.planner_port = ports
        self.over = threading.Event()
        self.errors: list[str] = []
        self._pods = f"/api/v1/namespaces/{attacks.NAMESPACE}/pods"

    def create(self, *pods: Manifest) -> None:
        """Create pods, one after the other."""
        for each in pods:
            self.client.request("POST", self._pods, each)

    def delete(self, name: str) -> None:
        """Delete a pod, without grace."""
        self.client.request("DELETE", f"{self._pods}/{name}", {"gracePeriodSeconds": 0})

    def flood(self, flood: Callable[[int], None], port: int) -> None:
        """Flood a port until the attack is over."""
        with Flood(flood, port):
            self.over.wait()


def made_up_resources(siege: Siege) -> None:
    """Two pods that ask for 2,500 resources of made-up names, and two that are put on nodes with them."""
    for number, spec in enumerate(({}, {"nodeName": "no-such-node"}, {}, {"nodeName": node_name(0)})):
        siege.create(attacks.invented_resources(f"made-up-{number}", 2500, **spec))


def many_resources(siege: Siege) -> None:
    """Pods that ask for 40 resources, a new one each quarter of a second."""
    for number in _beat(siege, 0.25):
        siege.create(attacks.invented_resources(f"many-{number}", 40))


def large_affinity(siege: Siege) -> None:
    """Pods with 2,900 terms of each sort, one a second, every other one put on a node."""
    sorts = [name for name in attacks.LONG if name.startswith(("affinity, ", "anti-affinity, "))]
    for number in _beat(siege, 1.0):
        made = attacks.LONG[sorts[number % len(sorts)]](f"affine-{number}", 2900)
        if number % 2:
            made["spec"]["nodeName"] = node_name(number % siege.nodes)
        siege.create(made)


def many_containers(siege: Siege) -> None:
    """Pods with 4,000 containers, or sidecars, one every two seconds."""
    for number in _beat(siege, 2.0):
        made = attacks.LONG["containers"](f"containers-{number}", 4000)
        siege.create(attacks.sidecars_with_resources(f"sidecars-{number}", 2000) if number % 2 else made)


def created_and_deleted(siege: Siege) -> None:
    """Pods of 300 KiB of affinity, created and deleted one at a time, some fifteen a second."""
    for number in _beat(siege, 0.05):
        siege.create(attacks.LONG["anti-affinity, required"](f"passing-{number}", 2900))
        siege.delete(f"passing-{number}")


def huge_numbers(siege: Siege) -> None:
    """Pods whose sums pass 64 bits, pending and put on nodes, ten a second."""
    for number in _beat(siege, 0.1):
        spec = {"nodeName": node_name(number % siege.nodes)} if number % 2 else {}
        siege.create(attacks.huge_numbers(f"huge-{number}", **spec))


def hand_written_plan(siege: Siege) -> None:
    """Gated pods of 10,000 CPUs, one for each node, with a plan that gives each its node."""
    pods, plan = attacks.greedy_set("greedy", [node_name(number) for number in range(siege.nodes)])
    collection = f"{POD_SET_API}/{attacks.NAMESPACE}"
    siege.create(*pods)  # before the plan, which would be dropped as one for no pods
    siege.client.request("POST", f"{collection}/scheduletriggers", stage.trigger("greedy", "Schedule"))
    siege.client.request("POST", f"{collection}/scheduleplans", plan)


def planner_plans(siege: Siege) -> None:
    """Requests of 1 MiB for plans of a set that exists."""
    labels = {stage.POD_SET_LABEL: floods.POD_SET}
    siege.create(*(pod(f"{floods.POD_SET}-{number}", labels=labels) for number in range(20)))
    triggers = f"{POD_SET_API}/{attacks.NAMESPACE}/scheduletriggers"
    siege.client.request("POST", triggers, stage.trigger(floods.POD_SET, "Planning"))
    siege.flood(floods.planner_plans, siege.planner_port)


ATTACKS: Final[dict[str, Callable[[Siege], None]]] = {
    "made-up-resources": made_up_resources,
    "many-resources": many_resources,
    "large-affinity": large_affinity,
    "many-containers": many_containers,
    "created-and-deleted": created_and_deleted,
    "huge-numbers": huge_numbers,
    "hand-written-plan": hand_written_plan,
    "planner-requests": lambda siege: siege.flood(floods.planner_requests, siege.planner_port),
    "planner-plans": planner_plans,
    "planner-health-watches": lambda siege: siege.flood(floods.health_watches, siege.planner_port),
    "metrics-requests": lambda siege: siege.flood(floods.metrics_requests, siege.secure_port),
    "idle-connections": lambda siege: siege.flood(floods.idle_connections, siege.secure_port),
}


def _beat(siege: Siege, seconds: float) -> Iterator[int]:
    """Numbers from 0, one each so many seconds, until the attack is over."""
    number = 0
    while not siege.over.wait(seconds):
        yield number
        number += 1


@contextmanager
def attacking(attack: Callable[[Siege], None], siege: Siege) -> Iterator[None]:
    """Have an attack go on while the block runs."""

    def carry_out() -> None:
        try:
            attack(siege)
        except (ApiError, OSError, http.client.HTTPException) as error:
            siege.errors.append(str(error)[:300])

    thread = threading.Thread(target=carry_out, name="attack")
    thread.start()
    try:
        yield
    finally:
        siege.over.set()
        thread.join()
