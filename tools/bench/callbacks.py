"""`python -m tools.bench --callbacks`: how long callbacks hold the event loop when there is most to do.

While a callback runs, nothing else does: no lease is renewed, no probe answered, no pod bound. None may take
longer than MOST_MILLISECONDS of CPU time.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from tools.bench import manifests, one_node_plugins, stage
from tools.bench.contenders import CONFIGURATION, SETS, USER, start_python
from tools.bench.manifests import SCHEDULER_NAME, pod
from tools.bench.observer import Observer
from tools.bench.rules import unbound
from tools.bench.stage import POD_SET_API, POD_SET_LABEL
from tools.bench.tables import markdown
from tools.bench.timed_callbacks import BOUNDS, Record
from tools.bench.usage import wait_until_quiet
from tools.controlplane import ControlPlane
from tools.controlplane.cluster import ADMIN_GROUP
from tools.controlplane.processes import Process

NODES: Final = 5000
ROUNDS: Final = 3
MOST_MILLISECONDS: Final = 50.0
PATIENCE_SECONDS: Final = 300.0
POD_SET: Final = "held"
PLAIN_PODS: Final = 500
NODE_UPDATES: Final = 200
LONGEST: Final = ("longest", "longest_by_clock")


class Scene:
    """One round of one scenario: a namespace, and pallet in front of it."""

    def __init__(self, control_plane: ControlPlane, namespace: str, plugins: Sequence[str]) -> None:
        self.control_plane = control_plane
        self.namespace = namespace
        self.records: list[Record] = []
        self.faults: list[str] = []
        self._configuration = control_plane.directory / f"{namespace}.yaml"
        enabled = [{"name": each} for each in plugins]
        profile = {"schedulerName": SCHEDULER_NAME, "plugins": {"multiPoint": {"enabled": enabled}}}
        self._configuration.write_text(json.dumps({**CONFIGURATION, "profiles": [profile]}))
        control_plane.create_namespace(namespace)

    @contextmanager
    def pallet(self) -> Iterator[Process]:
        """Have it run until the block is left, and take its record."""
        name = f"{self.namespace}-{len(self.records)}"
        file = self.control_plane.directory / f"{name}.json"
        arguments = (
            f"--config={self._configuration}",
            f"--kubeconfig={self.control_plane.kubeconfig_for(USER)}",
            "--secure-port=0",
        )
        process = start_python(self.control_plane, name, "tools.bench.timed_callbacks", str(file), *arguments)
        try:
            yield process
        finally:
            process.terminate()
        self.records.append(Record(**json.loads(file.read_text())))

    def hold_back(self, pods: int) -> None:
        """Create a set whose trigger does not let it go yet."""
        self._triggers("POST", "", stage.trigger(POD_SET, "Planning"))
        labels = {POD_SET_LABEL: POD_SET}
        self._create(pod(f"pod-{number}", requests={"cpu": "10m"}, labels=labels) for number in range(pods))

    def switch(self) -> None:
        """Let the set go."""
        self._triggers("PATCH", f"/{POD_SET}", {"spec": {"state": "Schedule"}})

    def add_plain_pods(self) -> None:
        """Create pods that wait for nothing."""
        self._create(pod(f"plain-{number}", requests={"cpu": "10m"}) for number in range(PLAIN_PODS))

    def update_nodes(self) -> None:
        """Give some nodes another label, each an event that pods may wait for."""
        names = [manifests.node_name(number) for number in range(NODE_UPDATES)]
        patch = {"metadata": {"labels": {"bench": self.namespace}}}
        self.control_plane.client.request_all("PATCH", ((f"/api/v1/nodes/{name}", patch) for name in names))

    @contextmanager
    def bound(self, process: Process, pods: int) -> Iterator[None]:
        """Do what is in the block, then wait until so many pods of the namespace are bound."""
        kubeconfig = self.control_plane.kubeconfig_for("observer", [ADMIN_GROUP])
        with Observer(kubeconfig, self.namespace, pods) as observer:
            yield
            process.wait_until(observer.done, f"binding {pods:,} pods", PATIENCE_SECONDS)
            seen = observer.result()
        found = stage.pods_of(self.control_plane, self.namespace)
        self.faults += unbound(pods, [each for each in found if each["spec"].get("nodeName")], seen)

    def settle(self) -> None:
        """Wait until nothing happens any more."""
        wait_until_quiet(self.control_plane.pids)

    def _create(self, pods: Iterator[manifests.Manifest]) -> None:
        stage.create_pods(self.control_plane, self.namespace, pods)

    def _triggers(self, method: str, name: str, body: object) -> None:
        path = f"{POD_SET_API}/{self.namespace}/scheduletriggers{name}"
        self.control_plane.client.request(method, path, body)


def held_back(scene: Scene, pods: int) -> None:
    """A set is held back, the process begins again in front of it, nodes change and other pods are bound."""
    with scene.pallet():
        scene.hold_back(pods)
        scene.settle()
    with scene.pallet() as process:
        scene.settle()
        scene.update_nodes()
        with scene.bound(process, PLAIN_PODS):
            scene.add_plain_pods()


def let_go(scene: Scene, pods: int) -> None:
    """A set is held back, planned, and bound."""
    with scene.pallet() as process:
        scene.hold_back(pods)
        scene.settle()
        with scene.bound(process, pods):
            scene.switch()


def decided_by_plain_plugins(scene: Scene, pods: int) -> None:
    """Pods are bound by a profile with two plugins that look at one node at a time."""
    with scene.pallet() as process, scene.bound(process, pods):
        scene.add_plain_pods()


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens, to so many pods, with these plugins beside the default ones."""

    title: str
    play: Callable[[Scene, int], None]
    pods: int
    plugins: Sequence[str]


PLUGINS_OF_SETS = [each["name"] for each in SETS["multiPoint"]["enabled"]]

SCENARIOS = (
    Scenario("20,000 pods of a set held back", held_back, 20_000, PLUGINS_OF_SETS),
    Scenario("a set of 5,000 pods planned and bound", let_go, 5000, PLUGINS_OF_SETS),
    Scenario(
        "two plugins that look at one node at a time",
        decided_by_plain_plugins,
        PLAIN_PODS,
        (one_node_plugins.FILTERS, one_node_plugins.SCORES),
    ),
)


@dataclass(frozen=True, slots=True)
class Held:
    """How long callbacks held the loop in all rounds of a scenario."""

    title: str
    records: Sequence[Record]
    faults: Sequence[str]

    @property
    def counts(self) -> list[int]:
        """How many callbacks there were in each bucket."""
        return [sum(counts) for counts in zip(*(each.counts for each in self.records), strict=True)]


def run(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The part of the command line: print a table, and return what the JSON file gets and the faults."""
    nodes = (arguments.nodes or [NODES])[0]
    held: list[Held] = []
    with ControlPlane(kwok=False, apiserver_args=stage.APISERVER_ARGS) as control_plane:
        stage.add_nodes(control_plane, nodes)
        stage.furnish(control_plane, USER)
        for number, scenario in enumerate(SCENARIOS):
            held.append(_play(control_plane, number, scenario, arguments.rounds or ROUNDS))
            print("; ".join((f"{scenario.title}: measured", *judge(held[-1]))), file=sys.stderr, flush=True)
    print(table(held))
    return {"callbacks": [asdict(each) for each in held]}, [fault for each in held for fault in judge(each)]


def _play(control_plane: ControlPlane, number: int, scenario: Scenario, rounds: int) -> Held:
    records: list[Record] = []
    faults: list[str] = []
    for turn in range(rounds):
        scene = Scene(control_plane, f"callbacks-{number}-{turn}", scenario.plugins)
        scenario.play(scene, scenario.pods)
        stage.clear(control_plane, scene.namespace)
        records += scene.records
        faults += scene.faults
    return Held(scenario.title, records, faults)


def judge(held: Held) -> list[str]:
    """What was wrong: pods that were not bound, callbacks that took too long."""
    slow = [each for each in held.records if each.longest > MOST_MILLISECONDS]
    words = (f"a callback took {each.longest:.0f} ms of CPU time: {each.which}" for each in slow)
    return [f"{held.title}: {fault}" for fault in (*held.faults, *words)]


def table(held: Sequence[Held]) -> str:
    """A line for each scenario: how many callbacks took how long."""
    buckets = (f"to {bound}" for bound in BOUNDS)
    lines = [["callbacks, ms of CPU time", *buckets, "longer", "longest", "longest by the clock"]]
    for each in held:
        longest = (max(getattr(record, name) for record in each.records) for name in LONGEST)
        lines.append([each.title, *(f"{count:,}" for count in each.counts), *(f"{ms:.0f}" for ms in longest)])
    return markdown(lines)
