"""`python -m tools.bench --withstand`: what ordinary pods notice of one user's worst objects, and of floods.

Plain pods arrive at a steady rate. After a while without disturbance, one attack begins (see `attacks` and
`floods`), goes on for as long, and is taken back. The scheduler runs with leader election and pod sets; with
`--checkout` it is that of another version. After each attack it is a fresh process.
"""

import argparse
import http.client
import json
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from tools.bench import attacks, stage
from tools.bench.churn import metrics_of, reader_token
from tools.bench.contenders import BURST, QPS, USER, WITH_SETS, start_pallet
from tools.bench.manifests import SCHEDULER_NAME
from tools.bench.siege import ATTACKS, Siege, attacking
from tools.bench.stage import ROOT
from tools.bench.stream import Arrival, Stream
from tools.bench.tables import markdown
from tools.bench.usage import MIB, Meter, resident_bytes
from tools.controlplane import ApiError, ControlPlane
from tools.controlplane.cluster import ADMIN_GROUP
from tools.controlplane.processes import Process, free_port

NODES: Final = 200
RATE: Final = 100.0
WARM_SECONDS: Final = 3.0
PHASE_SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 5.0
READY_SECONDS: Final = 30.0
TARGET_SHARE: Final = 0.5
"""Of the undisturbed rate, so much must be left."""

LEADER_ELECTION: Final = {
    "leaderElect": True,
    "resourceName": "kube-scheduler",
    "resourceNamespace": "kube-system",
}
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler"
RENEW_DEADLINE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attack did; rates in pods a second, waits in seconds, memory in MiB."""

    attack: str
    arriving: float
    """Ordinary pods created, a second, during the attack."""
    undisturbed: float
    disturbed: float
    """Ordinary pods bound, a second, before and during the attack."""
    wait_before: float
    wait_during: float
    """The median wait from creation to binding, of those created then. Who never was bound waits for ever."""
    unbound: int
    held_before: float
    held: float
    """The longest hold of the event loop: no longer than this; infinite beyond the last bucket."""
    renewed_after: float
    """The longest time between two renewals of the lease."""
    before_mib: float
    peak_mib: float
    after_mib: float
    """After the attack was taken back, and its objects deleted."""
    ended: int | None
    """The status with which the process ended, if it did."""
    errors: list[str]

    @property
    def faults(self) -> list[str]:
        """What must not be."""
        found = [f"the attack could not be carried out: {error}" for error in self.errors]
        if self.ended is not None:
            found.append(f"the process ended with status {self.ended}")
        if self.disturbed < TARGET_SHARE * self.undisturbed:
            found.append(f"{self.disturbed:.0f} pods/s were bound, of {self.undisturbed:.0f} undisturbed")
        if self.renewed_after > RENEW_DEADLINE_SECONDS:
            found.append(f"the lease was not renewed for {self.renewed_after:.1f} s")
        return [f"{self.attack}: {each}" for each in found]


def run(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The part of the command line: print a table, and return what the JSON file gets and the faults."""
    nodes = (arguments.nodes or [NODES])[0]
    checkout = arguments.checkout or ROOT
    outcomes = []
    with ControlPlane(kwok=False) as control_plane:
        stage.add_nodes(control_plane, nodes)
        stage.furnish(control_plane, USER)
        token = reader_token(control_plane)
        for name in arguments.attacks or ATTACKS:
            outcomes.append(Assault(control_plane, nodes, checkout, token).run(name))
            print(_line(outcomes[-1]), file=sys.stderr, flush=True)
    print(table(outcomes))
    faults = [fault for each in outcomes for fault in each.faults]
    print("\n".join(faults))
    return {"nodes": nodes, "rate": RATE, "withstand": [asdict(each) for each in outcomes]}, faults


class Assault:
    """One attack on a fresh process, with ordinary pods beside it."""

    def __init__(self, control_plane: ControlPlane, nodes: int, checkout: Path, token: str) -> None:
        self._control_plane = control_plane
        self._nodes = nodes
        self._checkout = checkout
        self._token = token
        self._ports = free_port(), free_port()

    def run(self, name: str) -> Outcome:
        """Carry it out, and clean up."""
        namespace = f"ordinary-{name}"
        for each in (namespace, attacks.NAMESPACE):
            _make_namespace(self._control_plane, each)
        process = self._start(name)
        try:
            return self._measure(name, namespace, process)
        finally:
            process.terminate()
            for each in (namespace, attacks.NAMESPACE):
                stage.clear(self._control_plane, each)

    def _start(self, name: str) -> Process:
        planner = {"planner": {"address": f"127.0.0.1:{self._ports[1]}"}}
        profile = {
            **WITH_SETS["profiles"][0],
            "pluginConfig": [{"name": "PodSetPlanner", "args": planner}],
        }
        configuration = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": LEADER_ELECTION,
            "clientConnection": {"qps": QPS, "burst": BURST},
            "profiles": [{**profile, "schedulerName": SCHEDULER_NAME}],
        }
        file = self._control_plane.directory / "withstand.yaml"
        file.write_text(json.dumps(configuration))
        kubeconfig = self._control_plane.kubeconfig_for(USER)
        process = start_pallet(
            self._control_plane, kubeconfig, file, f"pallet-{name}", self._ports[0], checkout=self._checkout
        )
        process.wait_until(
            lambda: self._metric("leader_election_master_status") > 0, "leading", READY_SECONDS
        )
        return process

    def _measure(self, name: str, namespace: str, process: Process) -> Outcome:
        siege = Siege(self._control_plane, self._nodes, self._ports)
        kubeconfig = self._control_plane.kubeconfig_for("stream", [ADMIN_GROUP])
        with ExitStack() as stack:
            stream = stack.enter_context(Stream(kubeconfig, namespace, RATE))
            lease = stack.enter_context(LeaseWatch(self._control_plane))
            time.sleep(WARM_SECONDS)
            start, quiet = self._holds(), time.monotonic()
            time.sleep(PHASE_SECONDS)
            before, memory, began = self._holds(), _resident(process), time.monotonic()
            with Meter({name: process.pid}) as meter, attacking(ATTACKS[name], siege):
                time.sleep(PHASE_SECONDS)
                ended = time.monotonic()
            arrivals = stream.stop()
            code = process.code
            after = self._holds()
        stage.clear(self._control_plane, attacks.NAMESPACE)
        time.sleep(SETTLE_SECONDS)
        return Outcome(
            attack=name,
            arriving=sum(began <= each.created < ended for each in arrivals) / (ended - began),
            undisturbed=bound_rate(arrivals, quiet, began),
            disturbed=bound_rate(arrivals, began, ended),
            wait_before=median_wait(arrivals, quiet, began),
            wait_during=median_wait(arrivals, began, ended),
            unbound=sum(each.bound is None for each in arrivals),
            held_before=longest_hold(start, before),
            held=longest_hold(before, after),
            renewed_after=lease.longest,
            before_mib=memory,
            peak_mib=meter.peak_bytes[name] / MIB,
            after_mib=_resident(process),
            ended=code,
            errors=siege.errors,
        )

    def _metric(self, name: str) -> float:
        try:
            text = metrics_of(self._ports[0], self._token)
        except (OSError, http.client.HTTPException):
            return 0.0
        families = text_string_to_metric_families(text)
        return max(
            (each.value for family in families if family.name == name for each in family.samples), default=0.0
        )

    def _holds(self) -> dict[float, float]:
        """How often the loop was held until now (see `holds`); empty where there is no answer."""
        try:
            text = metrics_of(self._ports[0], self._token)
        except (OSError, http.client.HTTPException):
            return {}
        return holds(text)


class LeaseWatch:
    """Looks at the lease again and again, and notes the longest time without a renewal; a context manager."""

    PERIOD_SECONDS = 0.5

    def __init__(self, control_plane: ControlPlane) -> None:
        self.longest = 0.0
        self._client = control_plane.client
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease")

    def __enter__(self) -> "LeaseWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        renewed, since = "", time.monotonic()
        while not self._done.wait(self.PERIOD_SECONDS):
            try:
                seen = self._client.request("GET", LEASE)["spec"]["renewTime"]
            except (ApiError, OSError, http.client.HTTPException):
                continue
            now = time.monotonic()
            if seen != renewed:
                renewed, since = seen, now
            self.longest = max(self.longest, now - since)


def _make_namespace(control_plane: ControlPlane, name: str) -> None:
    """Create a namespace, once an earlier one of this name is gone."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            control_plane.create_namespace(name)
        except ApiError as error:
            if error.code != 409 or time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def _resident(process: Process) -> float:
    try:
        return resident_bytes(process.pid) / MIB
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def holds(text: str) -> dict[float, float]:
    """How often the loop was held, from an exposition of metrics: by upper bound, all below included."""
    return {
        float(each.labels["le"]): each.value
        for family in text_string_to_metric_families(text)
        if family.name == "pallet_loop_held_seconds"
        for each in family.samples
        if each.name.endswith("_bucket")
    }


def bound_rate(arrivals: Sequence[Arrival], since: float, until: float) -> float:
    """Pods bound in a span of time, a second."""
    bound = sum(each.bound is not None and since <= each.bound < until for each in arrivals)
    return bound / (until - since)


def median_wait(arrivals: Sequence[Arrival], since: float, until: float) -> float:
    """The median wait of the pods created in a span of time; infinite where half of them were never bound."""
    waits = sorted(
        float("inf") if each.bound is None else each.bound - each.created
        for each in arrivals
        if since <= each.created < until
    )
    return waits[len(waits) // 2] if waits else float("inf")


def longest_hold(before: dict[float, float], after: dict[float, float]) -> float:
    """The upper bound of the longest hold between two readings; infinite without an answer to the second."""
    if not after:
        return float("inf")
    total = after[float("inf")] - before.get(float("inf"), 0.0)
    return min(
        (bound for bound, count in after.items() if count - before.get(bound, 0.0) == total), default=0.0
    )


HEAD = (
    "attack", "pods/s bound before", "during", "median wait, s", "during", "never bound",
    "loop held, s, up to", "during", "lease renewed within, s", "MiB before", "at most", "after", "ended",
)  # fmt: skip


def table(outcomes: Sequence[Outcome]) -> str:
    """A line for each attack."""
    return markdown([HEAD, *map(_cells, outcomes)])


def _cells(each: Outcome) -> tuple[str, ...]:
    return (
        each.attack,
        f"{each.undisturbed:.0f}",
        f"{each.disturbed:.0f}",
        f"{each.wait_before:.2f}",
        f"{each.wait_during:.2f}",
        f"{each.unbound:,}",
        f"{each.held_before:.3f}",
        f"{each.held:.3f}",
        f"{each.renewed_after:.1f}",
        f"{each.before_mib:.0f}",
        f"{each.peak_mib:.0f}",
        f"{each.after_mib:.0f}",
        "" if each.ended is None else f"status {each.ended}",
    )


def _line(each: Outcome) -> str:
    words = ", ".join(
        f"{head}: {cell}" for head, cell in zip(HEAD[1:], _cells(each)[1:], strict=True) if cell
    )
    return f"{each.attack}: {words}{''.join(f'; {error}' for error in each.errors)}"
