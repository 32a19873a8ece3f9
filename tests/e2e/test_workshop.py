"""The workshop of examples/workshop, as its README goes through it, on a control plane of its own.

The workers are kind's by name; the control plane's node has the usual taint, and the most room. Nothing
provisions volumes there: a test does it itself, or prepares them with the example's file.
"""

import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import yaml

from pallet.cli.arguments import parse_run
from tests.e2e.storage import CLASSES, VOLUMES, Storage, make_volume, provision
from tests.e2e.workload import Document, Workload, eventually
from tests.e2e.workshop import EXAMPLE, TAINT, apply, await_pods, on_a_laptop, scale
from tests.running import Pallet, running
from tools.controlplane import Cluster, ControlPlane
from tools.controlplane.nodes import kind_names
from tools.controlplane.pytest_plugin import NodePool

pytestmark = pytest.mark.e2e

WORKERS = kind_names(3)
MASTER = "kind-control-plane"
STORED = WORKERS[1]
"""The node where early volumes are made, all of them: left to itself, a scheduler would spread their pods."""
OTHERS = {"theirs": "default-scheduler", "alike": "prgcontsched", "nobodys": "nobody"}
"""Pods that are none of this scheduler's business, and the names that they ask for."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A control plane with what the example installs; nothing runs the pod of its Deployment."""
    with ControlPlane() as created:
        created.add_nodes(WORKERS)
        created.add_nodes([MASTER], taints=[TAINT], capacity={"cpu": "64", "memory": "256Gi"})
        created.kubectl("apply", "-k", str(EXAMPLE))
        yield created


@pytest.fixture
def workload(cluster: ControlPlane) -> Workload:
    """What a test does, in a namespace of its own, with pods of others in it."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.create_namespace(name)
    workload = Workload(cluster, name, NodePool("none", cluster))
    for other, scheduler in OTHERS.items():
        workload.add_pods(other, schedulerName=scheduler, nodeSelector={}, tolerations=[])
    return workload


@pytest.fixture
def storage(workload: Workload) -> Iterator[Storage]:
    found = Storage(workload, workload.namespace)
    yield found
    for path in (CLASSES, VOLUMES):
        workload.request("DELETE", path)


@contextmanager
def in_the_cluster(cluster: Cluster) -> Iterator[Pallet]:
    """The process as the Deployment has it run: with its ConfigMap and the files of its ServiceAccount."""
    pod = installed(cluster, "deployment", "prgcontsched")["spec"]["template"]["spec"]
    account = cluster.kubeconfig_for_service_account("workshop", pod["serviceAccountName"])
    file = Path(parse_run(pod["containers"][0]["args"]).config)
    config_map = installed(cluster, "configmap", pod["volumes"][0]["configMap"]["name"])
    config = yaml.safe_load(config_map["data"][file.name])
    with tempfile.TemporaryDirectory() as name:
        files = Path(name)
        (files / "token").write_text(yaml.safe_load(account.read_text())["users"][0]["user"]["token"])
        shutil.copy(cluster.ca_file, files)
        with running(cluster, config, in_pod=files) as process:
            yield process
            assert "forbidden" not in process.log


def installed(cluster: Cluster, kind: str, name: str) -> Document:
    """An object of the example's namespace."""
    found: Document = json.loads(cluster.kubectl("get", "-n", "workshop", "-o", "json", kind, name))
    return found


Run = Callable[[Cluster], AbstractContextManager[Pallet]]


@pytest.mark.parametrize(
    ("run", "volumes"), [(on_a_laptop, "late"), (in_the_cluster, "early"), (in_the_cluster, "prepared")]
)
def test_every_pod_is_bound_where_its_volume_and_the_taints_allow_and_no_other_is_touched(
    storage: Storage, run: Run, volumes: str
) -> None:
    workload = storage.workload
    before = others(workload)
    with run(workload.control_plane):
        apply(workload, "hello.yaml")
        workload.await_bound("hello")
        apply(workload, "daemonset.yaml")
        keep_volumes(storage, volumes)
        daemons = await_pods(workload, "gordon-", len([MASTER, *WORKERS]))
    assert sorted(daemons.values()) == sorted([MASTER, *WORKERS])
    rest = {name: node for name, node in workload.bindings().items() if name not in daemons}
    assert rest.keys() == {"hello", *volume_nodes(storage)}
    assert MASTER not in rest.values()
    assert others(workload) == before
    assert all(not workload.events(other) for other in OTHERS)
    own = workload.request("GET", "/api/v1/namespaces/workshop/pods")["items"]
    assert ["nodeName" in pod["spec"] for pod in own] == [False, False]


def keep_volumes(storage: Storage, volumes: str) -> None:
    """Scale the StatefulSet from two to four, to two, and to four again."""
    workload = storage.workload
    if volumes == "prepared":
        workload.control_plane.kubectl("apply", "-f", str(EXAMPLE / "volumes.yaml"))
    else:
        mode = {"late": "WaitForFirstConsumer", "early": "Immediate"}[volumes]
        storage.add_class("stub.example.com", mode=mode, default=True)
    apply(workload, "webgordon.yaml")
    provide(storage, volumes, claims(2))
    await_pods(workload, "webgordon-", 2)
    scale(workload, 4)
    provide(storage, volumes, claims(4)[2:])
    first = await_pods(workload, "webgordon-", 4)
    assert first == volume_nodes(storage)
    if volumes == "early":
        assert set(first.values()) == {STORED}
    scale(workload, 2)
    assert await_pods(workload, "webgordon-", 2).items() <= first.items()
    assert volume_nodes(storage) == first
    # They would go anywhere but there, if they could.
    left = sorted({first["webgordon-2"], first["webgordon-3"]})
    workload.control_plane.kubectl("taint", "node", *left, "workshop=busy:PreferNoSchedule")
    scale(workload, 4)
    assert await_pods(workload, "webgordon-", 4) == first
    workload.control_plane.kubectl("taint", "node", *left, "workshop-")


def provide(storage: Storage, volumes: str, names: Iterable[str]) -> None:
    """Do what the provisioner does for claims as they come, if there is one."""
    for claim in names:
        eventually(f"claim {claim}", lambda claim=claim: claim in claims_of(storage))  # type: ignore[misc]
        if volumes == "late":
            provision(storage, claim)
        elif volumes == "early":
            make_volume(storage, claim, STORED)


def claims(replicas: int) -> list[str]:
    """The names of the StatefulSet's claims."""
    return [f"www-webgordon-{number}" for number in range(replicas)]


def claims_of(storage: Storage) -> dict[str, Document]:
    """The claims that are there, by name."""
    return {
        each["metadata"]["name"]: each
        for each in storage.workload.request("GET", storage.claims_path)["items"]
    }


def volume_nodes(storage: Storage) -> dict[str, str]:
    """The node that reaches each pod's volume, by the pod."""
    found = {}
    for name, claim in claims_of(storage).items():
        assert claim["status"]["phase"] == "Bound"
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
        volume = storage.workload.request("GET", f"{VOLUMES}/{claim['spec']['volumeName']}")
        [term] = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        [found[name.removeprefix("www-")]] = term["matchExpressions"][0]["values"]
    return found


def others(workload: Workload) -> dict[str, Document]:
    """The pods of others, whole: whatever is written to one changes its resource version."""
    return {name: pod for name, pod in workload.pods().items() if name in OTHERS}


def test_the_scheduler_in_the_cluster_takes_over_from_the_one_on_the_laptop(workload: Workload) -> None:
    with on_a_laptop(workload.control_plane) as first:
        eventually("the laptop's to lead", lambda: "Scheduling" in first.log)
        with in_the_cluster(workload.control_plane) as second:
            assert "Scheduling" not in second.log
            first.stop()
            apply(workload, "hello.yaml")
            assert workload.await_bound("hello")["hello"] in WORKERS
