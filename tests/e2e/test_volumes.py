"""Claims and volumes on a real control plane, whose volume controller completes what the scheduler decides.

Nothing provisions volumes there: a test does it itself, as a stub.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.storage import CLASSES, SELECTED, VOLUMES, Storage, provision, using
from tests.e2e.workload import Workload, eventually
from tests.running import configuration, running
from tools.controlplane import ControlPlane

pytestmark = pytest.mark.e2e

NO_VOLUMES = "1 node(s) didn't find available persistent volumes to bind."


@pytest.fixture
def storage(workload: Workload) -> Iterator[Storage]:
    found = Storage(workload, f"storage-{secrets.token_hex(4)}")
    yield found
    for path in (CLASSES, VOLUMES):
        workload.request("DELETE", f"{path}?labelSelector=test%3D{found.name}")


def test_a_late_claim_gets_the_smallest_volume_of_its_pods_node(
    workload: Workload, storage: Storage, pallet: object
) -> None:
    storage.add_class()
    _, near = workload.pool.add(2)
    volumes = [storage.add_volume(f"v{size}", near, f"{size}Gi") for size in (3, 2)]
    for volume in volumes:
        storage.await_phase("Available", volume)
    storage.add_claim("data", "2Gi")
    workload.add_pods("a", **using("data"))
    assert workload.await_bound("a")["a"] == near
    claim = storage.claim("data")
    assert claim["spec"]["volumeName"] == volumes[1]
    assert claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] == "yes"
    volume = workload.request("GET", f"{VOLUMES}/{volumes[1]}")
    assert volume["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"] == "yes"
    reference = volume["spec"]["claimRef"]
    assert (reference["kind"], reference["apiVersion"]) == ("PersistentVolumeClaim", "v1")
    assert reference["uid"] == claim["metadata"]["uid"]
    assert volume["spec"]["local"] == {"path": "/mnt"}


def test_pods_wait_for_a_volume_and_a_volume_is_used_once(
    workload: Workload, storage: Storage, pallet: object
) -> None:
    storage.add_class()
    [node] = workload.pool.add(1)
    for name in "ab":
        storage.add_claim(name)
        workload.add_pods(name, **using(name))
    workload.await_reason("a b", "Unschedulable")
    assert NO_VOLUMES in workload.condition("a")["message"]
    storage.add_volume("v1", node)
    eventually("one pod to be bound", lambda: len(workload.bindings()) == 1)
    storage.add_volume("v2", node)
    workload.await_bound("a b")


def test_a_pod_follows_the_bound_volume_of_its_claim(
    workload: Workload, storage: Storage, pallet: object
) -> None:
    workload.pool.add(1)
    [far] = workload.pool.add(1, prefix="far")
    volume = storage.add_volume("v", far, storageClassName="")
    storage.add_claim("data", storageClassName="", volumeName=volume)
    storage.await_phase("Bound", volume)
    workload.add_pods("a", **using("data"))
    assert workload.await_bound("a") == {"a": far}


def test_a_claim_that_is_not_there_is_waited_for(
    workload: Workload, storage: Storage, pallet: object
) -> None:
    [node] = workload.pool.add(1)
    workload.add_pods("a", **using("data"))
    workload.await_reason("a", "Unschedulable")
    assert 'persistentvolumeclaim "data" not found' in workload.condition("a")["message"]
    volume = storage.add_volume("v", node, storageClassName="")
    storage.add_claim("data", storageClassName="", volumeName=volume)
    workload.await_bound("a")


def test_a_volume_is_made_where_its_pod_goes(workload: Workload, storage: Storage, pallet: object) -> None:
    storage.add_class("stub.example.com")
    workload.pool.add(2)
    storage.add_claim("data")
    workload.add_pods("a", **using("data"))
    node = provision(storage, "data")
    assert workload.await_bound("a") == {"a": node}
    assert storage.claim("data")["spec"]["volumeName"] == f"{storage.name}-for-data"


def test_a_provisioner_that_fails_has_the_pod_scheduled_again(
    workload: Workload, storage: Storage, pallet: object
) -> None:
    storage.add_class("stub.example.com")
    workload.pool.add(1)
    storage.add_claim("data")
    workload.add_pods("a", **using("data"))
    # The volume controller names the provisioner then, and would come between the two writes.
    provisioner = "volume.kubernetes.io/storage-provisioner"
    eventually("the provisioner to be named", lambda: provisioner in storage.annotations("data"))
    patch = {"metadata": {"annotations": {SELECTED: None}}}
    workload.request("PATCH", f"{storage.claims_path}/data", patch)
    message = eventually("the failure to be told", lambda: workload.events("a").get("FailedScheduling"))
    told = 'running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC "data"'
    assert message == told
    node = provision(storage, "data")
    assert workload.await_bound("a") == {"a": node}


def test_a_claim_that_is_never_bound_is_given_up_and_tried_again(
    workload: Workload, storage: Storage, control_plane: ControlPlane, service_account: Path
) -> None:
    config = configuration()
    arguments = {"name": "VolumeBinding", "args": {"bindTimeoutSeconds": 1}}
    config["profiles"][0]["pluginConfig"].append(arguments)
    storage.add_class("stub.example.com")
    workload.pool.add(1)
    storage.add_claim("data")
    with running(control_plane, config, kubeconfig=service_account):
        workload.add_pods("a", **using("data"))
        told = 'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded'
        eventually("the time-out to be told", lambda: workload.condition("a").get("message") == told)
        assert workload.reason("a") == "SchedulerError"
        node = provision(storage, "data")
        assert workload.await_bound("a") == {"a": node}
