"""examples/load-experiment, as its README has it: pods that an HPA adds, and two schedulers compared.

On a control plane of its own: the experiment takes every node, and the HPA's controller looks more often.
There are no kubelets, hence no traffic inside: the load goes to the workload as a process beside the cluster,
and what the pods are said to use comes from a stub.
"""

from collections.abc import Iterator, Sequence

import pytest

from tests.e2e import metrics_stub
from tests.e2e.experiment import OF_PALLET, compare, desired, placed_by, pods, rows
from tests.e2e.workload import Document, eventually
from tests.examples.load_experiment.serving import serving
from tests.running import SCHEDULER, configuration, running
from tools.controlplane import ControlPlane, kind_names
from tools.controlplane.processes import free_port
from tools.installation import install

pytestmark = pytest.mark.e2e

NODES = kind_names(3)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A control plane with three nodes, kube-scheduler, and pallet with the rights of its ServiceAccount."""
    with ControlPlane(controller_manager_args=["--horizontal-pod-autoscaler-sync-period=1s"]) as cluster:
        cluster.add_nodes(NODES)
        install(cluster)
        cluster.start_kube_scheduler()
        account = cluster.kubeconfig_for_service_account("planner-system", SCHEDULER)
        with running(cluster, configuration(), kubeconfig=account):
            yield cluster


def milliseconds(text: str) -> float:
    value, unit = text.split()
    assert unit == "ms"
    return float(value)


@pytest.mark.time_limit(120)
def test_the_same_load_under_two_schedulers_is_compared(cluster: ControlPlane) -> None:
    cluster.create_namespace("compared")
    with serving() as port:
        load = f"--address=127.0.0.1:{port} --duration=1 --concurrency=4 --sleep=20 --prime=1000".split()
        done = compare(cluster, "--namespace=compared", "--replicas=6", *load)
    assert done.returncode == 0, done
    table = rows(done.stdout)
    assert table[""] == ["kube-scheduler", "pallet"]
    assert table["scheduler"] == ["default-scheduler", SCHEDULER]
    assert table["pods placed"] == ["12 of 12", "12 of 12"]
    assert table["nodes"] == ["3", "3"]
    assert table["success rate"] == ["100.0 %", "100.0 %"]
    for column in (0, 1):
        median, p99, largest = (
            milliseconds(table[f"pending, {of}"][column]) for of in ("median", "p99", "max")
        )
        assert 0 < median <= p99 <= largest
        p50, p90, p99, largest = (
            milliseconds(table[f"latency, {of}"][column]) for of in ("p50", "p90", "p99", "max")
        )
        assert 20 <= p50 <= p90 <= p99 <= largest
        least, _, most = table["pods a node"][column].split()
        assert int(most) - int(least) == int(table["max - min"][column])
        assert 4 <= int(most) <= 12
        assert int(table["requests"][column]) > 4
    assert cluster.kubectl("-n", "compared", "get", "all,hpa", "-o", "name") == ""


def test_when_a_part_fails_it_is_told_and_nothing_is_left(cluster: ControlPlane) -> None:
    cluster.create_namespace("failing")
    address = f"127.0.0.1:{free_port()}"
    done = compare(cluster, "--namespace=failing", "--replicas=1", f"--address={address}", "pallet")
    assert done.returncode == 1
    assert done.stderr == f"error: cannot reach the workload at http://{address}/: Connection refused\n"
    assert cluster.kubectl("-n", "failing", "get", "all,hpa", "-o", "name") == ""


def test_pods_that_an_hpa_adds_are_placed_as_they_come(cluster: ControlPlane) -> None:
    namespace = "scaled"
    cluster.create_namespace(namespace)
    cluster.kubectl("apply", "-n", namespace, "-k", OF_PALLET)

    def all_placed(count: int) -> Sequence[Document] | None:
        found = pods(cluster, namespace)
        return found if len(found) >= count and all("nodeName" in pod["spec"] for pod in found) else None

    [first] = eventually("the first pod to be placed", lambda: all_placed(1))
    # Four times of what the HPA aims at. It adds four pods, and no more within 15 s.
    with metrics_stub.serving(cluster, cpu="400m"):
        eventually("the HPA to want more pods", lambda: desired(cluster, namespace) >= 5)
        found = eventually("its pods to be placed", lambda: all_placed(5))
    names = {pod["metadata"]["name"] for pod in found}
    assert first["metadata"]["name"] in names
    assert {pod["spec"]["schedulerName"] for pod in found} == {SCHEDULER}
    assert {pod["spec"]["nodeName"] for pod in found} == set(NODES)
    eventually("the events of all", lambda: names <= placed_by(cluster, namespace).keys())
    assert {placed_by(cluster, namespace)[name] for name in names} == {SCHEDULER}

    refused = compare(cluster, f"--namespace={namespace}", "--replicas=1")
    assert refused.returncode == 1
    assert (
        f"error: namespace {namespace} has pods of the experiment already: kubectl delete" in refused.stderr
    )
    assert names <= {pod["metadata"]["name"] for pod in pods(cluster, namespace)}
    cluster.kubectl("delete", "-n", namespace, "-k", OF_PALLET)  # its node ports are of the whole cluster
