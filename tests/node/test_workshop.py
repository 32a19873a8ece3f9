"""The workshop of examples/workshop on a real node: its pods run, with volumes in folders of this machine."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.e2e.workload import Workload, eventually
from tests.e2e.workshop import EXAMPLE, TAINT, apply, await_pods, on_a_laptop, scale
from tests.node.programs import IMAGE
from tools.controlplane import Cluster
from tools.node import machine
from tools.node.cluster import KWOK
from tools.node.node import NAME

pytestmark = pytest.mark.time_limit(300)

DEPLOYMENT = ("-n", "workshop", "deployment/prgcontsched")


@pytest.fixture
def volumes(workload: Workload, made_by: str, tmp_path: Path) -> Iterator[None]:
    """The example's volumes, on the real node, in folders of this machine; kind makes its own."""
    if made_by == "kind":
        yield
        return
    for number in range(4):
        (tmp_path / f"workshop-{number}").mkdir()
    text = (EXAMPLE / "volumes.yaml").read_text().replace("/mnt/", f"{tmp_path}/")
    for worker in ("kind-worker2", "kind-worker"):
        text = text.replace(worker, NAME)
    workload.control_plane.kubectl("apply", "-f", "-", input=text)
    yield
    workload.control_plane.kubectl("delete", "-f", "-", input=text)


@pytest.fixture
def workshop(workload: Workload, volumes: None) -> Iterator[Workload]:
    """The workload, with volumes to claim; all of it goes away as the README says."""
    apply(workload, "namespace.yaml")
    yield workload
    here = f"-n {workload.namespace}"
    files = (f"-f {EXAMPLE}/{name}.yaml" for name in ("daemonset", "webgordon", "hello"))
    for what in (f"{here} {' '.join(files)}", f"{here} pvc -l app=gordon", f"-k {EXAMPLE}"):
        workload.control_plane.kubectl("delete", "--ignore-not-found", *what.split())


@contextmanager
def in_the_cluster(cluster: Cluster) -> Iterator[None]:
    """The Deployment, Ready, with the image of the tests."""
    manifests = cluster.kubectl("kustomize", str(EXAMPLE))
    named = manifests.replace("image: podset-planner-scheduler:0.1.0", f"image: {IMAGE}")
    cluster.kubectl("apply", "-f", "-", input=named)
    cluster.kubectl("rollout", "status", *DEPLOYMENT, "--timeout=90s")
    yield
    assert "forbidden" not in log(cluster)


def log(cluster: Cluster) -> str:
    """What the pods of the Deployment say."""
    return cluster.kubectl("logs", *DEPLOYMENT, "--all-pods")


@contextmanager
def as_a_master(cluster: Cluster) -> Iterator[None]:
    """Have the real node tainted while the block runs."""
    cluster.kubectl("taint", "node", NAME, f"{TAINT.key}:{TAINT.effect}")
    try:
        yield
    finally:
        cluster.kubectl("taint", "node", NAME, f"{TAINT.key}-")


def real_nodes(workload: Workload) -> set[str]:
    """The nodes that do not only pretend."""
    nodes = workload.request("GET", "/api/v1/nodes")["items"]
    return {
        node["metadata"]["name"]
        for node in nodes
        if KWOK.key not in (taint["key"] for taint in node["spec"].get("taints", ()))
    }


def volume(workload: Workload, pod: str) -> Path:
    """The volume of a pod, as its container sees it."""
    pids = machine.processes_of(workload.pods()[pod]["metadata"]["uid"])
    [found] = [path for pid in pids if (path := Path(f"/proc/{pid}/root/mnt/vol")).exists()]
    return found


@pytest.mark.parametrize("run", [on_a_laptop, in_the_cluster])
def test_pods_run_where_the_taints_allow_and_find_their_volumes_again(
    workshop: Workload, run: Callable[[Cluster], AbstractContextManager[object]]
) -> None:
    with run(workshop.control_plane):
        apply(workshop, "hello.yaml")
        workshop.await_running(["hello"])

        apply(workshop, "webgordon.yaml")
        await_pods(workshop, "webgordon-", 2)
        scale(workshop, 4)
        names = await_pods(workshop, "webgordon-", 4)
        workshop.await_running(names)
        for name in names:
            (volume(workshop, name) / "owner").write_text(name)
        scale(workshop, 2)
        await_pods(workshop, "webgordon-", 2)
        scale(workshop, 4)
        workshop.await_running(await_pods(workshop, "webgordon-", 4))
        for name in names:
            assert (volume(workshop, name) / "owner").read_text() == name

        with as_a_master(workshop.control_plane):
            workshop.delete_pod("hello")
            apply(workshop, "hello.yaml")
            apply(workshop, "daemonset.yaml")
            nodes = real_nodes(workshop)
            daemons = await_pods(workshop, "gordon-", len(nodes))
            assert set(daemons.values()) == nodes
            workshop.await_running(daemons)
            workshop.await_reason("hello", "Unschedulable")
            assert "untolerated taint" in workshop.condition("hello")["message"]
        workshop.await_running(["hello"])


def test_the_scheduler_in_the_cluster_takes_over_from_the_one_on_the_laptop(workshop: Workload) -> None:
    cluster = workshop.control_plane
    with on_a_laptop(cluster) as laptop:
        eventually("the laptop's to lead", lambda: "Scheduling" in laptop.log)
        with in_the_cluster(cluster):
            eventually("it to stand by", lambda: "Waiting to become the leader" in log(cluster))
            assert "Scheduling" not in log(cluster)
            began = time.monotonic()
            laptop.stop()
            apply(workshop, "hello.yaml")
            workshop.await_running(["hello"])
            print(f"running {time.monotonic() - began:.1f} s after the other was told to end")  # noqa: T201
            assert "Scheduling" in log(cluster)
