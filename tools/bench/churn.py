"""`python -m tools.bench --churn`: what memory does while pods and sets come, are bound and go, for an hour.

The pods come in waves (see `waves`), some of which stand at any time. Every ten seconds it is read how much
memory the process holds, and how much of it each of its caches. What is held when it is warm is compared with
what is held later: it may grow by less than AIM_PERCENT, and no cache may be beyond its bound.
"""

import argparse
import http.client
import json
import ssl
import statistics
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tools.bench import stage, waves
from tools.bench.contenders import CONFIGURATION, USER, WITH_SETS, start_pallet
from tools.bench.rules import node_of
from tools.bench.stage import POD_SET_API
from tools.bench.tables import markdown
from tools.bench.usage import MIB, resident_bytes
from tools.controlplane import ApiError, ControlPlane
from tools.controlplane.processes import Process, StartError, free_port

NODES: Final = 500
MINUTES: Final = 60.0
WARM_MINUTES: Final = 10.0
"""After these it is warm; in a shorter run, after half of it."""
AIM_PERCENT: Final = 5.0
SAMPLE_SECONDS: Final = 10.0
STANDING_WAVES: Final = 10
"""So many waves stand before the oldest of them goes."""
BOUND_SECONDS: Final = 60.0
READER: Final = "metrics-reader"
HELD, BOUND = "pallet_cache_bytes", "pallet_cache_bytes_limit"


@dataclass(frozen=True, slots=True)
class Sample:
    """What was held at a moment, counted from the start of the churn."""

    seconds: float
    pods: int
    """So many had come until then."""
    resident_mib: float
    caches: dict[str, int]
    """The bytes of each cache."""
    limits: dict[str, int]


def run(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The part of the command line: print a table, and return what the JSON file gets and the faults."""
    minutes = arguments.minutes or MINUTES
    with ControlPlane(kwok=False) as control_plane:
        stage.add_nodes(control_plane, (arguments.nodes or [NODES])[0])
        stage.furnish(control_plane, USER)
        token = reader_token(control_plane)
        port = free_port()
        configuration = control_plane.directory / "pallet.yaml"
        configuration.write_text(json.dumps({**CONFIGURATION, **WITH_SETS}))
        process = start_pallet(control_plane, control_plane.kubeconfig_for(USER), configuration, port=port)
        try:
            churn = Churn(control_plane, process)
            with Sampler(process, port, token, churn) as samples:
                churn.run(minutes * 60)
        finally:
            process.terminate()
    faults = [*churn.faults, *samples.faults, *judge(samples.taken, warm_seconds(minutes))]
    print(table(samples.taken, warm_seconds(minutes)))
    print("\n".join(faults))
    return {"churn": document(samples.taken, warm_seconds(minutes))}, faults


class Churn:
    """Waves that come and go, one after the other."""

    def __init__(self, control_plane: ControlPlane, process: Process) -> None:
        self._control_plane = control_plane
        self._process = process
        self.waves = 0
        self.pods = 0
        self.faults: list[str] = []

    def run(self, seconds: float) -> None:
        """Have waves come and go for so long, or until the process ends or does not bind one."""
        ends = time.monotonic() + seconds
        try:
            while time.monotonic() < ends:
                self._come(self.waves)
                if self.waves >= STANDING_WAVES:
                    self._go(self.waves - STANDING_WAVES)
                self.waves += 1
        except (StartError, ApiError) as error:
            self.faults.append(f"wave {self.waves}: {error}")

    def _come(self, wave: int) -> None:
        namespace, pod_set = waves.namespace_of(wave), waves.set_of(wave)
        client = self._control_plane.client
        self._control_plane.create_namespace(namespace)
        triggers = f"{POD_SET_API}/{namespace}/scheduletriggers"
        client.request("POST", triggers, stage.trigger(pod_set, "Planning"))
        fitting = [*waves.pods_of_set(wave), *waves.fitting_pods(wave)]
        stage.create_pods(self._control_plane, namespace, [waves.never_fitting_pod(wave), *fitting])
        client.request("PATCH", f"{triggers}/{pod_set}", {"spec": {"state": "Schedule"}})
        self._process.wait_until(
            lambda: self._bound(namespace) >= len(fitting), f"binding the pods of {namespace}", BOUND_SECONDS
        )
        self.pods += len(fitting) + 1

    def _bound(self, namespace: str) -> int:
        return sum(bool(node_of(each)) for each in stage.pods_of(self._control_plane, namespace))

    def _go(self, wave: int) -> None:
        namespace = waves.namespace_of(wave)
        client = self._control_plane.client
        client.request("DELETE", f"{POD_SET_API}/{namespace}/scheduletriggers/{waves.set_of(wave)}")
        stage.clear(self._control_plane, namespace)
        # kube-controller-manager takes seconds for each, and would let ever more of them pile up.
        client.request("PUT", f"/api/v1/namespaces/{namespace}/finalize", {"metadata": {"name": namespace}})


class Sampler:
    """Reads what the process holds; a context manager, whose thread reads from entry to exit."""

    def __init__(self, process: Process, port: int, token: str, churn: Churn) -> None:
        self._process = process
        self._port = port
        self._token = token
        self._churn = churn
        self.taken: list[Sample] = []
        self.faults: list[str] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler")

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        started = time.monotonic()
        while not self._done.wait(SAMPLE_SECONDS):
            try:
                held, limits = cache_bytes(metrics_of(self._port, self._token))
                resident = resident_bytes(self._process.pid) / MIB
            except (OSError, http.client.HTTPException) as error:
                self.faults.append(f"after {time.monotonic() - started:.0f} s: {error}")
                continue
            self.taken.append(Sample(time.monotonic() - started, self._churn.pods, resident, held, limits))
            print(_line(self.taken[-1]), file=sys.stderr, flush=True)


def warm_seconds(minutes: float) -> float:
    """When a run of so many minutes is warm."""
    return min(WARM_MINUTES, minutes / 2) * 60


def growth(samples: Sequence[Sample], warm: float) -> tuple[float, float]:
    """What was held, in MiB, in the minute before it was warm, and in the minute of the most after that.

    Each is the median of its minute.
    """
    minutes: dict[int, list[float]] = {}
    for each in samples:
        minutes.setdefault(int((each.seconds - warm) // 60), []).append(each.resident_mib)
    medians = {minute: statistics.median(held) for minute, held in minutes.items()}
    return medians.get(-1, 0.0), max((held for minute, held in medians.items() if minute >= 0), default=0.0)


def judge(samples: Sequence[Sample], warm: float) -> list[str]:
    """What is wrong with what was held."""
    before, after = growth(samples, warm)
    if not before or not after:
        return ["memory was not read before and after it was warm"]
    percent = (after / before - 1) * 100
    faults = []
    if percent >= AIM_PERCENT:
        faults.append(f"memory grew by {percent:.1f} % after {warm / 60:.0f} minutes, from {before:.0f} MiB")
    beyond = {
        name for each in samples for name, held in each.caches.items() if held > each.limits.get(name, 0)
    }
    return [*faults, *(f"the cache {name} was beyond its bound" for name in sorted(beyond))]


def table(samples: Sequence[Sample], warm: float) -> str:
    """What was held when it was warm and later, and the most that each cache held."""
    before, after = growth(samples, warm)
    percent = (after / before - 1) * 100 if before else 0.0
    lines = [
        ["memory", "MiB"],
        [f"in the minute before {warm / 60:.0f} min", f"{before:.1f}"],
        [
            "in the minute of the most after that",
            f"{after:.1f} ({percent:+.1f} %)",
        ],
        ["pods that came", f"{samples[-1].pods:,}" if samples else "0"],
    ]
    caches = [["cache", "most, KiB", "bound then, KiB"]]
    for name, (held, limit) in _most(samples).items():
        caches.append([name, f"{held / 1024:,.0f}", f"{limit / 1024:,.0f}"])
    return f"{markdown(lines)}\n{markdown(caches)}"


def document(samples: Sequence[Sample], warm: float) -> dict[str, Any]:
    """What the JSON file gets: what was held at each moment, and by each cache when it held most."""
    before, after = growth(samples, warm)
    return {
        "warm_seconds": warm,
        "before_mib": before,
        "after_mib": after,
        "samples": [
            {"seconds": each.seconds, "pods": each.pods, "resident_mib": each.resident_mib}
            for each in samples
        ],
        "caches": {
            name: {"most_bytes": held, "limit_bytes": limit} for name, (held, limit) in _most(samples).items()
        },
    }


def _most(samples: Sequence[Sample]) -> dict[str, tuple[int, int]]:
    """By cache the most that it held, and what it might hold then."""
    most: dict[str, tuple[int, int]] = {}
    for each in samples:
        for name, held in each.caches.items():
            most[name] = max(most.get(name, (-1, 0)), (held, each.limits.get(name, 0)))
    return dict(sorted(most.items()))


def cache_bytes(text: str) -> tuple[dict[str, int], dict[str, int]]:
    """The bytes that each cache holds and may hold, from an exposition of metrics."""
    found: dict[str, dict[str, int]] = {HELD: {}, BOUND: {}}
    for family in text_string_to_metric_families(text):
        if family.name in found:
            found[family.name] = {each.labels["cache"]: int(each.value) for each in family.samples}
    return found[HELD], found[BOUND]


def _line(sample: Sample) -> str:
    largest: Iterable[tuple[str, int]] = sorted(sample.caches.items(), key=lambda each: -each[1])[:4]
    words = ", ".join(f"{name} {held / MIB:.1f}" for name, held in largest)
    return f"{sample.seconds:5.0f} s, {sample.pods:,} pods: {sample.resident_mib:.1f} MiB; {words}"


def reader_token(control_plane: ControlPlane) -> str:
    """A token of a user who may read metrics."""
    client = control_plane.client
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": READER}
    subject = {"kind": "ServiceAccount", "namespace": "default", "name": READER}
    rule = {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}
    client.request("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": READER}})
    client.request("POST", stage.CLUSTER_ROLES, {"metadata": {"name": READER}, "rules": [rule]})
    client.request(
        "POST",
        stage.CLUSTER_ROLE_BINDINGS,
        {"metadata": {"name": READER}, "roleRef": role, "subjects": [subject]},
    )
    kubeconfig = yaml.safe_load(control_plane.kubeconfig_for_service_account("default", READER).read_text())
    token: str = kubeconfig["users"][0]["user"]["token"]
    return token


def metrics_of(port: int, token: str) -> str:
    """What a process on a loopback port says of itself. Raises OSError or http.client.HTTPException."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # its certificate is its own
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=SAMPLE_SECONDS, context=context)
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        text = response.read().decode()
        if response.status != http.client.OK:
            raise OSError(f"/metrics answered {response.status}: {text}")
        return text
    finally:
        connection.close()
