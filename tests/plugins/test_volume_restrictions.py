"""VolumeRestrictions: disks of one writer, claims of one pod."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from pallet.api.pod import Pod
from pallet.api.storage import PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim
from pallet.api.volumes import AWSDisk, GCEDisk, ISCSIVolume, RBDVolume, Volume
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import ASSIGNED_POD_DELETE, NODE_ADD, Action, ClusterEvent, EventResource, Hint
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, unresolvable
from pallet.plugins.volume_restrictions import VolumeRestrictions
from tests.builders import make_node, make_pod
from tests.plugins.asking import Asked
from tests.storage import claimed, ephemeral, make_claim

TAKEN = "node(s) had no available disk"
IN_USE = (
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by "
    "another pod"
)
CLAIM_ADD = ClusterEvent(EventResource.PERSISTENT_VOLUME_CLAIM, Action.ADD, "PersistentVolumeClaimAdd")
EXCLUSIVE = make_claim("alone", modes=["ReadWriteOncePod"])


def gce(name: str = "disk", *, read_only: bool = False) -> Volume:
    return Volume(gce_persistent_disk=GCEDisk(name, read_only))


def aws(name: str = "disk", *, read_only: bool = False) -> Volume:
    return Volume(aws_elastic_block_store=AWSDisk(name, read_only))


def iscsi(iqn: str = "disk", lun: int = 0, *, read_only: bool = False) -> Volume:
    return Volume(iscsi=ISCSIVolume(iqn, lun, "portal", read_only))


def rbd(*monitors: str, image: str = "disk", pool: str = "rbd", read_only: bool = False) -> Volume:
    return Volume(rbd=RBDVolume(monitors, image, pool, read_only))


def asked(pods: Iterable[Pod] = (), claims: Iterable[PersistentVolumeClaim] = ()) -> Asked:
    nodes = [make_node("a"), make_node("b")]
    return Asked(VolumeRestrictions, nodes, pods, objects={PERSISTENT_VOLUME_CLAIMS: claims})


@pytest.mark.parametrize(
    ("held", "wanted", "message"),
    [
        pytest.param(gce(), gce(), TAKEN, id="gce: the same disk"),
        pytest.param(gce(), gce("other"), "", id="gce: another disk"),
        pytest.param(gce(read_only=True), gce(read_only=True), "", id="gce: readers share"),
        pytest.param(gce(), gce(read_only=True), TAKEN, id="gce: no reader beside a writer"),
        pytest.param(gce(read_only=True), gce(), TAKEN, id="gce: no writer beside a reader"),
        pytest.param(aws(), aws(), TAKEN, id="aws: the same disk"),
        pytest.param(aws(read_only=True), aws(read_only=True), TAKEN, id="aws: not even readers share"),
        pytest.param(aws(), gce(), "", id="disks of different kinds"),
        pytest.param(iscsi(), iscsi(lun=1), TAKEN, id="iscsi: only the name counts"),
        pytest.param(iscsi(), iscsi("other"), "", id="iscsi: another name"),
        pytest.param(iscsi(read_only=True), iscsi(read_only=True), "", id="iscsi: readers share"),
        pytest.param(rbd("a", "b"), rbd("b", "c"), TAKEN, id="rbd: one monitor in common"),
        pytest.param(rbd("a"), rbd("c"), "", id="rbd: no monitor in common"),
        pytest.param(rbd("a"), rbd("a", image="other"), "", id="rbd: another image"),
        pytest.param(rbd("a"), rbd("a", pool="other"), "", id="rbd: another pool"),
        pytest.param(rbd("a", read_only=True), rbd("a", read_only=True), "", id="rbd: readers share"),
        pytest.param(rbd("a"), rbd("a", read_only=True), TAKEN, id="rbd: no reader beside a writer"),
        pytest.param(claimed("x"), gce(), "", id="a claim is no disk"),
    ],
)
def test_a_disk_is_mounted_once_on_a_node(held: Volume, wanted: Volume, message: str) -> None:
    holder = make_pod("holder", node="a", volumes=[held])
    assert asked([holder]).messages(make_pod("p", volumes=[wanted])) == {"a": message, "b": ""}


def test_a_disk_is_free_again_when_its_last_pod_goes() -> None:
    readers = [make_pod(name, node="a", volumes=[gce(read_only=True)]) for name in ("x", "y")]
    plugin, pod = asked(readers), make_pod("p", volumes=[gce()])
    for reader in readers:
        assert plugin.messages(pod)["a"] == TAKEN
        plugin.cache.drop_pod(reader)
    assert plugin.messages(pod)["a"] == ""


def test_what_is_done_to_a_fork_of_the_snapshot_does_not_show() -> None:
    holder = make_pod("holder", node="a", volumes=[gce(), claimed("x")])
    plugin, pod = asked([holder]), make_pod("p", volumes=[gce()])
    with plugin.cache.snapshot.fork() as fork:
        fork.remove(PodInfo(holder), fork.table.row_of["a"])
        assert not list(fork.volumes.written)
        assert not list(fork.volumes.claims)
        assert plugin.messages(pod)["a"] == TAKEN


@pytest.mark.parametrize(
    ("pods", "message"),
    [
        pytest.param([], "", id="nobody"),
        pytest.param([make_pod("x", node="a", volumes=[claimed("alone")])], IN_USE, id="a pod somewhere"),
        pytest.param([make_pod("x", node="a", volumes=[claimed("many")])], "", id="another claim"),
        pytest.param(
            [make_pod("x", namespace="other", node="a", volumes=[claimed("alone")])],
            "",
            id="one of its name in another namespace",
        ),
    ],
)
def test_an_exclusive_claim_is_used_once_in_the_cluster(pods: list[Pod], message: str) -> None:
    claims = [EXCLUSIVE, make_claim("many"), make_claim("alone", namespace="other")]
    wanted = make_pod("p", volumes=[claimed("alone"), claimed("many")])
    assert asked(pods, claims).messages(wanted) == {"a": message, "b": message}


def test_a_disk_that_is_taken_is_named_before_a_claim_that_is() -> None:
    holder = make_pod("x", node="a", volumes=[claimed("alone"), gce()])
    wanted = make_pod("p", volumes=[claimed("alone"), gce()])
    assert asked([holder], [EXCLUSIVE]).messages(wanted) == {"a": TAKEN, "b": IN_USE}


def test_a_claim_that_others_may_use_is_shared() -> None:
    holder = make_pod("x", node="a", volumes=[claimed("many")])
    wanted = make_pod("p", volumes=[claimed("many")])
    assert asked([holder], [make_claim("many")]).messages(wanted) == {"a": "", "b": ""}


@pytest.mark.parametrize(
    ("pod", "status"),
    [
        (make_pod("p"), SKIP),
        (make_pod("p", volumes=[ephemeral("x")]), SKIP),
        (make_pod("p", volumes=[claimed("alone")]), SKIP),
        (make_pod("p", volumes=[claimed("y")]), unresolvable('persistentvolumeclaim "y" not found')),
    ],
)
def test_what_is_said_before_any_node_is_looked_at(pod: Pod, status: object) -> None:
    plugin = asked([], [EXCLUSIVE])
    answer = plugin.plugin.pre_filter(CycleState(), PodInfo(pod), plugin.cache.snapshot)
    assert answer == (None, status)


def test_a_pod_without_claims_and_disks_is_not_asked_about() -> None:
    plugin = asked().plugin
    assert plugin.filter_signature(PodInfo(make_pod("p", volumes=[ephemeral("x")]))) is None
    assert plugin.filter_signature(PodInfo(make_pod("p", volumes=[gce()]))) is not None


@pytest.mark.parametrize(
    ("gone", "hint"),
    [
        (make_pod("x", node="a", volumes=[gce()]), Hint.QUEUE),
        (make_pod("x", node="a", volumes=[gce(read_only=True)]), Hint.SKIP),
        (make_pod("x", node="a", volumes=[gce("other")]), Hint.SKIP),
        (make_pod("x", node="a", volumes=[claimed("c")]), Hint.QUEUE),
        (make_pod("x", node="a", volumes=[claimed("other")]), Hint.SKIP),
        (make_pod("x", node="a", namespace="other", volumes=[gce(), claimed("c")]), Hint.SKIP),
        (make_pod("x", node="a"), Hint.SKIP),
    ],
)
def test_a_pod_that_goes_helps_if_it_shared_a_volume(gone: Pod, hint: Hint) -> None:
    refused = make_pod("p", volumes=[gce(read_only=True), claimed("c")])
    assert asked().hint(ASSIGNED_POD_DELETE, refused, gone, None) is hint


@pytest.mark.parametrize(
    ("claim", "hint"),
    [
        (make_claim("c"), Hint.QUEUE),
        (make_claim("p-e"), Hint.SKIP),
        (make_claim("d"), Hint.SKIP),
        (make_claim("c", namespace="other"), Hint.SKIP),
    ],
)
def test_a_new_claim_helps_if_the_pod_names_it(claim: PersistentVolumeClaim, hint: Hint) -> None:
    refused = make_pod("p", volumes=[claimed("c"), ephemeral("e")])
    assert asked().hint(CLAIM_ADD, refused, None, claim) is hint


def test_any_new_node_helps() -> None:
    assert asked().hint(NODE_ADD, make_pod("p"), None, make_node("c")) is Hint.QUEUE


def test_a_pod_of_many_disks_takes_few_operations_on_all_nodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[object] = []

    class Watched(np.ndarray[tuple[int], np.dtype[np.uint32]]):
        def __setitem__(self, rows: Any, value: Any) -> None:
            written.append(rows)
            super().__setitem__(rows, value)

    full = np.full
    monkeypatch.setattr(np, "full", lambda *given: full(*given).view(Watched))
    holder = make_pod("on-a", node="a", volumes=[gce("d7"), rbd(*map(str, range(50)))])
    wanted = make_pod("p", volumes=[rbd(*map(str, range(49, 99))), *(gce(f"d{i}") for i in range(100))])
    assert asked([holder]).messages(wanted) == {"a": TAKEN, "b": ""}
    assert 0 < len(written) < 10  # not one for each disk
