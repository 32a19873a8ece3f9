"""examples/load-experiment, as its README has it: real load, an HPA with real metrics, a real Prometheus."""

import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.experiment import OF_PALLET, compare, desired, placed_by, pods, rows
from tests.e2e.prometheus import Prometheus
from tests.e2e.workload import Document, Workload, eventually, is_ready
from tests.examples.load_experiment.serving import EXPERIMENT
from tests.manifests.monitoring import alerts, queries
from tests.node import deployment, monitoring
from tests.node.programs import is_open
from tests.node.refusal import begin_with_one_bound, bindings_refused
from tests.running import SCHEDULER
from tools.node import images
from tools.node.kind import AnyCluster
from tools.node.node import NAME

pytestmark = [pytest.mark.time_limit(1200), pytest.mark.usefixtures("deployed", "application")]

IMAGE = "load-experiment-workload:0.1.0"
NODE_PORT = 30080
NODE = f"/api/v1/nodes/{NAME}"
LOAD = ("--qps=30", "--concurrency=8", "--prime=3000000")
"""About half of a CPU: five times of what the HPA lets a pod use."""

HPA_SECONDS = 180.0
"""metrics-server and HPA look every 15 s, and a pod counts from its second measurement."""

SCRAPE_SECONDS = 60.0
"""Prometheus looks every 15 s, and a rate needs two looks."""

RUNNING, WANTED = queries()[:2]


@pytest.fixture(scope="module")
def application(real_cluster: AnyCluster) -> None:
    """The application's image, from its Dockerfile."""
    images.build_from(EXPERIMENT / "app", IMAGE)
    with images.exported(IMAGE) as archive:
        real_cluster.load(archive)


@pytest.fixture(scope="module")
def address(real_cluster: AnyCluster) -> str:
    """The node's."""
    addresses = real_cluster.client.request("GET", NODE)["status"]["addresses"]
    [address] = [each["address"] for each in addresses if each["type"] == "InternalIP"]
    return str(address)


@pytest.fixture(scope="module")
def metrics_server(real_cluster: AnyCluster) -> Iterator[None]:
    """What pods use, for the HPAs."""
    with monitoring.metrics_server(real_cluster):
        yield


@pytest.fixture(scope="module")
def prometheus(real_cluster: AnyCluster, deployed: None) -> Iterator[Prometheus]:
    """One that watches, and looks at everything."""
    with monitoring.prometheus(real_cluster) as prometheus:
        prometheus.await_targets(4)
        yield prometheus


@pytest.fixture
def experiment(real_cluster: AnyCluster, address: str) -> Iterator[str]:
    """The namespace in which it runs under pallet, and can be reached."""
    namespace = f"load-{secrets.token_hex(4)}"
    real_cluster.create_namespace(namespace)
    real_cluster.kubectl("apply", "-n", namespace, "-k", OF_PALLET)
    eventually("the application to be there", lambda: is_open((address, NODE_PORT)), patience=60)
    yield namespace
    real_cluster.kubectl("delete", "namespace", namespace)


@contextmanager
def sending(address: str, log: Path) -> Iterator[None]:
    """Send the load, until the block is left."""
    target = (f"--ip={address}", f"--port={NODE_PORT}", "--duration=0")
    command = [sys.executable, str(EXPERIMENT / "send_requests.py"), *target, *LOAD]
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as generator:
        try:
            yield
        finally:
            generator.send_signal(signal.SIGINT)
    assert generator.returncode == 0, log.read_text()


def ready(cluster: AnyCluster, namespace: str) -> Sequence[Document]:
    """The pods of wl-deployment that take requests."""
    return [pod for pod in pods(cluster, namespace) if is_ready(pod)]


@pytest.mark.usefixtures("metrics_server", "interruptible")
def test_pods_that_an_hpa_adds_under_load_are_placed_and_take_their_share(
    real_cluster: AnyCluster, experiment: str, address: str, prometheus: Prometheus, tmp_path: Path
) -> None:
    def ready_names() -> set[str]:
        return {pod["metadata"]["name"] for pod in ready(real_cluster, experiment)}

    [first] = eventually("the first pod to be ready", ready_names)
    log = tmp_path / "log"
    with sending(address, log):
        eventually("pods to be added", lambda: len(ready_names()) >= 3, HPA_SECONDS)
        eventually("Prometheus to see them", lambda: prometheus.value(RUNNING) >= 4, SCRAPE_SECONDS)
    assert prometheus.value(WANTED) >= 3
    assert desired(real_cluster, experiment) >= 3
    # In the second in which pods are added, some connections may fail.
    [rate] = re.findall(r"^success rate  ([\d.]+) %$", log.read_text(), re.MULTILINE)
    assert float(rate) >= 95
    names = ready_names()
    assert first in names
    eventually("the events of all", lambda: names <= placed_by(real_cluster, experiment).keys())
    assert {placed_by(real_cluster, experiment)[name] for name in names} == {SCHEDULER}


def test_the_same_load_under_two_schedulers_is_compared_and_prometheus_saw_both(
    real_cluster: AnyCluster, address: str, prometheus: Prometheus
) -> None:
    def placed() -> Mapping[str, float]:
        return prometheus.by_label(
            "job", 'sum by (job) (scheduler_schedule_attempts_total{result="scheduled"})'
        )

    before = placed()
    real_cluster.create_namespace("compared")
    load = f"--address={address}:{NODE_PORT} --duration=5 --concurrency=4 --sleep=10 --prime=1000000".split()
    done = compare(real_cluster, "--namespace=compared", "--replicas=3", *load)
    assert done.returncode == 0, done
    print(done.stdout)  # noqa: T201 - pytest shows it
    table = rows(done.stdout)
    assert table["scheduler"] == ["default-scheduler", SCHEDULER]
    assert table["pods placed"] == ["6 of 6", "6 of 6"]
    assert table["success rate"] == ["100.0 %", "100.0 %"]
    assert real_cluster.kubectl("-n", "compared", "get", "all,hpa", "-o", "name") == ""

    def both_counted() -> bool:
        after = placed()
        return all(after.get(job, 0) >= before.get(job, 0) + 6 for job in ("kube-scheduler", SCHEDULER))

    eventually("Prometheus to have counted them", both_counted, SCRAPE_SECONDS)


@pytest.mark.usefixtures("experiment")
def test_prometheus_finds_every_replica_and_has_data_for_every_panel(
    workload: Workload, prometheus: Prometheus
) -> None:
    started = time.time()
    found = [labels for labels in prometheus.await_targets(4) if labels["job"] == SCHEDULER]
    assert [labels["namespace"] for labels in found] == [deployment.NAMESPACE] * deployment.REPLICAS
    names = {pod["metadata"]["name"] for pod in deployment.pods(workload)}
    assert {labels["pod"] for labels in found} == names

    workload.let_a_plain_pod_pass("plain")
    # A rate needs a series that was there before.
    attempts = f'scheduler_schedule_attempts_total{{job="{SCHEDULER}"}}'
    eventually("a look at it", lambda: prometheus.has_data(attempts), SCRAPE_SECONDS)
    replan(workload)
    for query in queries():
        eventually(
            f"data for {query}",
            lambda query=query: prometheus.has_had_data(query, started),  # type: ignore[misc]
            SCRAPE_SECONDS,
        )
    rules = {rule["name"]: rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]}
    assert rules.keys() == {alert["alert"] for alert in alerts()}
    assert {rule["health"] for rule in rules.values()} == {"ok"}
    assert not {"PalletDown", "PalletNobodyLeads"} & prometheus.alerts().keys()


def replan(workload: Workload) -> None:
    """Have a set triggered, a pod of it re-planned, and all of it bound."""
    try:
        with bindings_refused(workload, "b"):
            begin_with_one_bound(workload)
            workload.cordon(NAME)
            eventually("b to be planned elsewhere", lambda: workload.plan("web")["b"] != NAME)
        workload.await_plan_as_bound("web", "a b")
    finally:
        workload.uncordon(NAME)
