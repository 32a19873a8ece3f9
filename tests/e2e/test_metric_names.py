"""The metrics of a real kube-scheduler and ours, after the same pods: names and labels."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.workload import Workload, eventually
from tests.running import running, served
from tools.controlplane import ControlPlane
from tools.controlplane.processes import free_port

pytestmark = pytest.mark.e2e

MISSING_ON_PURPOSE: Final[Mapping[str, str]] = {
    "go_*": "the runtime of Go; python_* are those of this one",
    "aggregator_*": "of an API server's library that is linked in",
    "apiserver_*": "of an API server's library: the port of kube-scheduler is one",
    "cardinality_enforcement_unexpected_categorizations": "of the library that makes metrics",
    "disabled_metrics": "of the library that makes metrics",
    "hidden_metrics": "of the library that makes metrics",
    "registered_metrics": "of the library that makes metrics",
    "version_info": "of the compatibility versions, which are not chosen here",
    "informer_*": "queues between a watch and its handlers, which are called at once here",
    "process_network_*_bytes": "the libraries for Python do not read them",
    "process_virtual_memory_max_bytes": "the libraries for Python do not read it",
    "rest_client_exec_plugin_*": "of client-go's plugins for credentials",
    "rest_client_request_size_bytes": "bodies are not measured",
    "rest_client_response_size_bytes": "bodies are not measured",
    "rest_client_transport_*": "of client-go's cache of transports",
    "scheduler_*batch*": "pods are decided one by one",
    "scheduler_get_node_hint_duration_seconds": "of batches",
    "scheduler_store_schedule_results_duration_seconds": "of batches",
    "scheduler_preemption_goroutines_*": "deprecated; a preemption is no goroutine",
    "workqueue_*": "of the watches of client-go's certificates, which are read when they change",
}
"""By pattern of their names, why metrics of kube-scheduler are not here. Counters are without _total."""

Names = dict[str, set[frozenset[str]]]
"""The sets of labels by the name of a metric."""


def names_in(text: str) -> Names:
    return {
        family.name: {frozenset(sample.labels) - {"le"} for sample in family.samples}
        for family in text_string_to_metric_families(text)
        if family.samples
    }


def config(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": name}],
    }


@pytest.fixture
def token(control_plane: ControlPlane, service_account: Path, namespace: str) -> str:
    """Of an account that may read the metrics of what is installed."""
    assert service_account.exists()
    request = control_plane.client.request
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    request("POST", accounts, {"metadata": {"name": "reader"}})
    binding = {
        "metadata": {"name": f"{namespace}-reads-metrics"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "podset-planner-metrics-reader",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
    }
    request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    answer = request("POST", f"{accounts}/reader/token", {"spec": {}})
    found: str = answer["status"]["token"]
    return found


@contextmanager
def kube_scheduler(control_plane: ControlPlane, name: str) -> Iterator[Callable[[], str]]:
    port = free_port()
    process = control_plane.start_kube_scheduler(
        config(name),
        args=(
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={control_plane.directory / name}",
            "--authorization-always-allow-paths=/metrics",
        ),
    )
    try:
        yield lambda: served(port, "/metrics")
    finally:
        process.terminate()


@contextmanager
def ours(control_plane: ControlPlane, name: str, kubeconfig: Path, token: str) -> Iterator[Callable[[], str]]:
    with running(control_plane, config(name), kubeconfig=kubeconfig) as process:
        yield lambda: process.get("/metrics", token)


def schedule_some(workload: Workload, scheduler: str, node: str, priority_class: str) -> None:
    """Have one pod bound, one preempt it, and one find no room."""

    def add(name: str, cpu: str, **spec: str) -> None:
        container = {"name": "main", "image": "main:1", "resources": {"requests": {"cpu": cpu}}}
        pod = {
            "metadata": {"name": f"{scheduler}-{name}"},
            "spec": {
                "schedulerName": scheduler,
                "containers": [container],
                **spec,
                **workload.pool.placement,
                "nodeSelector": {"kubernetes.io/hostname": node},
            },
        }
        workload.request("POST", workload.pods_path, pod)

    def bound(name: str) -> None:
        def look() -> bool:
            pod = workload.pods().get(f"{scheduler}-{name}", {})
            return bool(pod.get("spec", {}).get("nodeName"))

        eventually(f"{name} to be bound", look)

    add("bound", "1")
    bound("bound")
    add("refused", "3")
    workload.await_reason(f"{scheduler}-refused", "Unschedulable")
    add("preemptor", "2", priorityClassName=priority_class)
    bound("preemptor")


def test_names_and_labels_are_those_of_kube_scheduler(
    control_plane: ControlPlane, service_account: Path, token: str, workload: Workload, namespace: str
) -> None:
    priority_class = f"{namespace}-high"
    control_plane.client.request(
        "POST",
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        {"metadata": {"name": priority_class}, "value": 100},
    )
    found: list[Names] = []
    for name, node, scheduler in zip(
        ("kube-measured", "pallet-measured"),
        workload.pool.add(2, capacity={"cpu": "2"}),
        (
            kube_scheduler(control_plane, "kube-measured"),
            ours(control_plane, "pallet-measured", service_account, token),
        ),
        strict=True,
    ):
        with scheduler as metrics:
            schedule_some(workload, name, node, priority_class)
            found.append(names_in(metrics()))
    theirs, here = found
    missing = {
        name
        for name in theirs
        if name not in here and not any(fnmatch(name, pattern) for pattern in MISSING_ON_PURPOSE)
    }
    assert not missing
    differing = {
        name: (labels, here[name]) for name, labels in theirs.items() if name in here and labels != here[name]
    }
    assert not differing
