"""A real Prometheus watches the real process, as `examples/load-experiment/monitoring` configures it."""

import json
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.interception import Interception
from tests.e2e.prometheus import Prometheus
from tests.e2e.workload import Document, Workload, eventually
from tests.manifests.documents import ROOT
from tests.manifests.monitoring import MONITORING, OTHERS, load, metric_names, queries, read_metrics
from tests.running import SCHEDULER, Pallet, configuration, running
from tools import prometheus
from tools.controlplane import ControlPlane
from tools.controlplane.processes import Process, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("prometheus_programs")]


@pytest.fixture(scope="module")
def pallet(control_plane: ControlPlane, interception: Interception) -> Iterator[Pallet]:
    """One that leads, as its Lease says, behind a proxy."""
    config = configuration(leaderElection={"leaderElect": True})
    with running(control_plane, config, kubeconfig=None, master=interception.url) as process:
        yield process


@pytest.fixture(scope="module")
def token(control_plane: ControlPlane, service_account: Path) -> Path:
    """A file with the token of Prometheus's ServiceAccount, which has what rbac.yaml gives it."""
    assert service_account.exists()  # what is installed has the ClusterRole
    request = control_plane.client.request
    control_plane.create_namespace("monitoring")
    accounts = "/api/v1/namespaces/monitoring/serviceaccounts"
    request("POST", accounts, {"metadata": {"name": "prometheus"}})
    control_plane.kubectl("apply", "-f", str(MONITORING / "rbac.yaml"))
    file = control_plane.directory / "prometheus-token"
    file.write_text(request("POST", f"{accounts}/prometheus/token", {"spec": {}})["status"]["token"])
    return file


@contextmanager
def watching(control_plane: ControlPlane, config: Mapping[str, Any], directory: Path) -> Iterator[Prometheus]:
    """A Prometheus with a configuration, which looks every second, until the block is left."""
    file = directory / "prometheus.yaml"
    every_second = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    rules = [str(MONITORING / name) for name in config["rule_files"]]
    file.write_text(yaml.safe_dump({**config, "global": every_second, "rule_files": rules}))
    port = free_port()
    command: list[str | Path] = [
        prometheus.find("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = Process(command, directory / "log", group=control_plane.group)

    def get(path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5.0) as answer:
            return json.load(answer)

    server = Prometheus(get)
    try:
        process.wait_until(server.serves, "starting", 30.0)
        yield server
    finally:
        process.terminate()


def local(pallet: Pallet, token: Path) -> Document:
    """The configuration for trying it out, with this process's port and token."""
    config: Document = load("prometheus-local.yaml")
    [job] = config["scrape_configs"]
    job["authorization"]["credentials_file"] = str(token)
    [static] = job["static_configs"]
    assert static["targets"] == ["127.0.0.1:10259"]
    static["targets"] = [f"127.0.0.1:{pallet.port}"]
    return config


def in_cluster(pallet: Pallet, token: Path) -> Document:
    """The configuration for the cluster, without its discovery, which Debian's Prometheus lacks.

    In its place stands what discovery would make of a pod of the Deployment: a target for each port.
    """
    config: Document = load("prometheus.yaml")
    config["scrape_configs"] = [job for job in config["scrape_configs"] if "kubernetes_sd_configs" in job]
    [job] = config["scrape_configs"]
    job["authorization"]["credentials_file"] = str(token)
    assert job.pop("kubernetes_sd_configs")
    deployment = yaml.safe_load((ROOT / "config" / "scheduler" / "deployment.yaml").read_text())
    template = deployment["spec"]["template"]
    [container] = template["spec"]["containers"]
    job["static_configs"] = [
        {
            "targets": [f"127.0.0.1:{pallet.port if port['containerPort'] == 10259 else free_port()}"],
            "labels": {
                "__meta_kubernetes_namespace": deployment["metadata"]["namespace"],
                "__meta_kubernetes_pod_name": f"{SCHEDULER}-0",
                "__meta_kubernetes_pod_label_app": template["metadata"]["labels"]["app"],
                "__meta_kubernetes_pod_container_port_name": port["name"],
            },
        }
        for port in container["ports"]
    ]
    return config


def replan(workload: Workload, interception: Interception, node: str) -> None:
    """Have a set switched by its quiet time, planned, bound, and a pod of it re-planned."""
    workload.add_trigger("web", "Planning", quiet_time="100ms")
    workload.add_pods("a b", "web")
    workload.await_plan_as_bound("web", "a b")
    with interception.refusing_to_bind("late"):
        workload.add_pods("late", "web")
        eventually("the plan", lambda: workload.plan("web").get("late") == node)
        workload.pool.add(1, prefix="second")
        workload.cordon(node)
    workload.await_plan_as_bound("web", "a b late")


def exposed(text: str) -> set[str]:
    """The names of all metrics in an exposition, those included that have no series yet."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    return {
        family.name + suffix
        for family in text_string_to_metric_families(text)
        for suffix in suffixes.get(family.type, ("",))
    }


def test_every_metric_that_is_read_is_there(pallet: Pallet, token: Path) -> None:
    text = pallet.get("/metrics", token.read_text())
    assert set(read_metrics()) - OTHERS <= exposed(text)
    assert f'leader_election_master_status{{name="{SCHEDULER}"}} 1.0' in text


def test_beside_the_cluster_the_target_is_up(
    control_plane: ControlPlane, pallet: Pallet, token: Path, tmp_path: Path
) -> None:
    with watching(control_plane, local(pallet, token), tmp_path) as server:
        [labels] = server.await_targets(1)
        assert labels["job"] == SCHEDULER


def test_the_dashboard_has_data_and_the_end_of_the_process_raises_an_alert(
    control_plane: ControlPlane,
    pallet: Pallet,
    interception: Interception,
    workload: Workload,
    token: Path,
    tmp_path: Path,
) -> None:
    [node] = workload.pool.add(1, prefix="first")
    workload.let_a_plain_pod_pass("plain")  # a rate needs a series that was there before
    with watching(control_plane, in_cluster(pallet, token), tmp_path) as server:
        [labels] = server.await_targets(1)
        assert labels["job"] == SCHEDULER
        assert (labels["namespace"], labels["pod"]) == ("planner-system", f"{SCHEDULER}-0")
        replan(workload, interception, node)
        for query in queries():
            if not metric_names(query) & OTHERS:
                eventually(f"data for {query}", partial(server.has_data, query))
        assert server.alerts() == {}

        pallet.kill()
        eventually("an alert", lambda: server.alerts() == {"PalletDown": "pending"})
