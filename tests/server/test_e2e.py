"""The metrics have the names, types and labels of the real kube-scheduler's, on the same API server."""

import ssl
import time
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.running import Pallet, running
from tools.controlplane import ControlPlane
from tools.controlplane.processes import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.time_limit(120)]

OURS, THEIRS = "ours", "theirs"
WAIT_SECONDS = 60.0

BATCHING = (
    "scheduler_batch_",
    "scheduler_get_node_hint_",
    "scheduler_store_schedule_results_",
)
SIGNING = {"Sign"}
"""What kube-scheduler says of a cache of its own: metrics, and the extension point that fills it."""

BY_CHANCE = {"scheduler_inflight_events"}
"""What has a value only after something has happened in the middle of a pod's cycle."""


def configuration(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": name}],
    }


def fetch(port: int, token: str = "") -> dict[str, Metric]:
    """The metrics of a scheduler, by name."""
    context = ssl._create_unverified_context()  # noqa: S323 - a certificate of its own, on loopback
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"https://127.0.0.1:{port}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=5.0, context=context) as answer:  # noqa: S310 - https
        return {each.name: each for each in text_string_to_metric_families(answer.read().decode())}


def scheduler_metrics(metrics: Mapping[str, Metric]) -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels of each metric with kube-scheduler's prefix that has a value."""
    return {
        name: (metric.type, frozenset(label for sample in metric.samples for label in sample.labels) - {"le"})
        for name, metric in metrics.items()
        if name.startswith("scheduler_") and metric.samples
    }


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A control plane of its own, whose two nodes nobody else uses."""
    with ControlPlane(kwok=False) as created:
        yield created


@pytest.fixture(scope="module")
def ports(cluster: ControlPlane) -> Iterator[tuple[Pallet, int]]:
    """Both schedulers, each with its name; of the real one the port."""
    port = free_port()
    args = (
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        "--authorization-always-allow-paths=/metrics",
    )
    theirs = cluster.start_kube_scheduler(configuration(THEIRS), args=args)
    kubeconfig = cluster.kubeconfig_for("pallet", ["system:masters"])
    with running(cluster, configuration(OURS), kubeconfig=kubeconfig) as pallet:
        yield pallet, port
    theirs.kill()


@pytest.fixture(scope="module")
def token(cluster: ControlPlane) -> str:
    """Of an account that may read all."""
    account = "/api/v1/namespaces/default/serviceaccounts"
    cluster.client.request("POST", account, {"metadata": {"name": "scraper"}})
    cluster.client.request(
        "POST",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        {
            "metadata": {"name": "scraper"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "cluster-admin",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "scraper", "namespace": "default"}],
        },
    )
    found: str = cluster.client.request("POST", f"{account}/scraper/token", {})["status"]["token"]
    return found


def schedule(cluster: ControlPlane, scheduler: str) -> None:
    """Have a pod bound, one refused and one held at its gate."""
    kinds: dict[str, dict[str, Any]] = {
        "bound": {"tolerations": [{"operator": "Exists"}]},
        "refused": {"nodeSelector": {"no": "such"}},
        "gated": {"schedulingGates": [{"name": "example.com/gate"}]},
    }
    for kind, spec in kinds.items():
        containers = [{"name": "main", "image": "pause"}]
        cluster.client.request(
            "POST",
            "/api/v1/namespaces/default/pods",
            {
                "metadata": {"name": f"{kind}-{scheduler}"},
                "spec": {"schedulerName": scheduler, "containers": containers, **spec},
            },
        )


def extension_points(metrics: Mapping[str, Metric]) -> set[tuple[str, str]]:
    """The extension points that some pod came to, each with the status it ended with."""
    samples = metrics["scheduler_framework_extension_point_duration_seconds"].samples
    return {
        (sample.labels["extension_point"], sample.labels["status"])
        for sample in samples
        if sample.name.endswith("_count") and sample.value and sample.labels["extension_point"] not in SIGNING
    }


def attempted(metrics: Mapping[str, Metric]) -> set[str]:
    """The results that there were of attempts to schedule."""
    found = metrics.get("scheduler_schedule_attempts")
    return {sample.labels["result"] for sample in found.samples if sample.value} if found else set()


def test_metrics_are_those_of_kube_scheduler(
    cluster: ControlPlane, ports: tuple[Pallet, int], token: str
) -> None:
    room = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    for name in ("a", "b"):
        node = {"metadata": {"name": name}, "status": {"allocatable": room, "capacity": room}}
        cluster.client.request("POST", "/api/v1/nodes", node)
    for scheduler in (OURS, THEIRS):
        schedule(cluster, scheduler)
    pallet, port = ports
    deadline = time.monotonic() + WAIT_SECONDS
    done = {"scheduled", "unschedulable"}
    while True:
        ours, theirs = fetch(pallet.port, token), fetch(port)
        # What comes after an attempt is measured a little later than the attempt is.
        caught_up = extension_points(ours) >= extension_points(theirs)
        if caught_up and attempted(ours) >= done and attempted(theirs) >= done:
            break
        assert time.monotonic() < deadline, (
            extension_points(theirs) - extension_points(ours),
            attempted(ours),
        )
        time.sleep(0.1)
    expected = {
        name: shape for name, shape in scheduler_metrics(theirs).items() if not name.startswith(BATCHING)
    }
    found = scheduler_metrics(ours)
    missing = expected.keys() - found.keys()
    assert missing <= BY_CHANCE
    assert {name: found[name] for name in expected if name in found} == {
        name: shape for name, shape in expected.items() if name not in missing
    }
