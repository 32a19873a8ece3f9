"""What nodes have attached, kept up to date while everything changes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pallet.api.meta import key_of
from pallet.api.resource import Resource
from pallet.api.storage import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
)
from pallet.cache.cache import Cache
from pallet.cache.changes import ChangeLog
from pallet.plugins.volumes.attached import AttachedCounts, AttachedVolumes, CSIVolume
from tests.builders import make_node, make_pod
from tests.profiles import informers_of
from tests.storage import DRIVER, claimed, make_attachment, make_claim, make_class, make_volume

CLAIMS = ["x", "y", "z"]
NODES = ["a", "b"]

THINGS: list[tuple[Resource[Any], Any]] = [
    (STORAGE_CLASSES, make_class("slow")),
    *(
        (PERSISTENT_VOLUME_CLAIMS, make_claim(name, storage_class="slow", volume=volume))
        for name in CLAIMS
        for volume in ("", f"of-{name}")
    ),
    *(
        (PERSISTENT_VOLUMES, make_volume(f"of-{name}", driver=driver, holder=name))
        for name in CLAIMS
        for driver in (DRIVER, "other")
    ),
    *((VOLUME_ATTACHMENTS, make_attachment(node, f"of-{name}")) for name in CLAIMS for node in NODES),
]


class Cluster:
    """Pods on nodes, claims and volumes; all of them there at first."""

    def __init__(self) -> None:
        self.informers, self.cache = informers_of({}), Cache()
        self.attached = AttachedVolumes(self.informers)
        self._version = 0
        for node in NODES:
            self.cache.put_node(make_node(node))
        for resource, thing in THINGS:
            self.put(resource, thing)

    def put(self, resource: Resource[Any], thing: Any) -> None:
        self._version += 1
        metadata = replace(thing.metadata, resource_version=str(self._version))
        self.informers.informer(resource).put(replace(thing, metadata=metadata))

    def change(self, resource: Resource[Any], thing: Any, *, gone: bool) -> None:
        informer = self.informers.informer(resource)
        known = informer.store.get(key_of(thing))
        if gone and known is not None:
            informer.remove(known)
        else:
            self.put(resource, thing)

    def toggle(self, name: str, node: str, claims: list[str]) -> None:
        pod = make_pod(name, node=node, volumes=map(claimed, claims))
        held = self.cache.location(pod.metadata.uid)
        self.cache.put_pod(pod) if held is None else self.cache.drop_pod(held.info.pod)


def shown(attached_counts: AttachedCounts) -> tuple[dict[int, set[CSIVolume]], dict[str, dict[int, int]]]:
    counts = {
        driver: {int(row): int(column[row]) for row in column.nonzero()[0]}
        for driver, column in attached_counts.attached.items()
    }
    return (
        {row: volumes for row, volumes in attached_counts.on_row.items() if volumes},
        {driver: rows for driver, rows in counts.items() if rows},
    )


THING_CHANGES = st.tuples(st.sampled_from(THINGS), st.booleans())
POD_CHANGES = st.tuples(
    st.sampled_from(["p", "q"]), st.sampled_from(NODES), st.lists(st.sampled_from(CLAIMS), max_size=2)
)


@pytest.mark.parametrize("kept", [2, 8192])
@given(steps=st.lists(st.one_of(THING_CHANGES, POD_CHANGES), min_size=1, max_size=12))
def test_what_is_counted_follows_the_cluster(kept: int, steps: list[Any]) -> None:
    cluster = Cluster()
    cluster.attached.changes = ChangeLog(kept)
    for step in steps:
        match step:
            case ((resource, thing), gone):
                cluster.change(resource, thing, gone=gone)
            case (name, node, claims):
                cluster.toggle(name, node, claims)
        snapshot = cluster.cache.snapshot
        afresh = AttachedVolumes(cluster.informers).attached_counts(snapshot)
        assert shown(cluster.attached.attached_counts(snapshot)) == shown(afresh)


def test_a_fork_of_the_snapshot_is_counted_apart() -> None:
    cluster = Cluster()
    cluster.toggle("p", "a", ["x"])
    snapshot = cluster.cache.snapshot
    before = shown(cluster.attached.attached_counts(snapshot))
    row = snapshot.table.row_of["a"]
    with snapshot.fork() as fork:
        assert shown(cluster.attached.attached_counts(fork)) == before
        fork.remove(next(iter(snapshot.pods(row))), row)
        assert shown(cluster.attached.attached_counts(fork))[0] == {}
        assert shown(cluster.attached.attached_counts(snapshot)) == before
