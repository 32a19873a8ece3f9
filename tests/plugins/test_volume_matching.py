"""Matching over all nodes at once, against the plain search node by node, volume by volume."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pallet.api.node import Node
from pallet.api.storage import ClaimReference, PersistentVolume, PersistentVolumeClaim
from pallet.cache.node_table import NodeTable
from pallet.framework.interface import ALL_ROWS
from pallet.plugins.volumes.claims import capacity, class_of, is_kept_for
from pallet.plugins.volumes.free import Demand, FreeVolumes
from pallet.plugins.volumes.matching import Matching, UnboundClaim, unbound_claims
from pallet.plugins.volumes.node_affinity import matches_labels, node_affinity_of
from tests.builders import HOSTNAME, ZONE, make_node
from tests.plugins.volume_scene import late
from tests.storage import make_free_volume

NODES, CLAIMS = ("a", "b"), ("c0", "c1", "c2")
VOLUMES = tuple(f"v{number}" for number in range(6))
ONE, BOTH = ("ReadWriteOnce",), ("ReadWriteOnce", "ReadWriteMany")


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """The usual value, and now and then another."""
    return st.sampled_from([usual] * 4 + list(others))


nodes = st.builds(
    lambda name, zone: make_node(name, labels={ZONE: zone}), st.sampled_from(NODES), mostly("x", "y")
)
reach_labels = st.sampled_from(
    [{}, {HOSTNAME: "a"}, {HOSTNAME: "a"}, {HOSTNAME: "b"}, {ZONE: "x"}, {HOSTNAME: "a", ZONE: "x"}]
)
holders = mostly(None, ClaimReference("default", "c0"), ClaimReference("default", "c0", "uid-c0"))
volumes = st.builds(
    lambda name, size, affinity, holder, modes, storage_class, phase: make_free_volume(
        name,
        size=str(size),
        reach=affinity,
        kept_for=holder,
        modes=modes,
        storage_class=storage_class,
        phase=phase,
    ),
    st.sampled_from(VOLUMES),
    st.integers(1, 4),
    reach_labels,
    holders,
    mostly(BOTH, ONE, ONE),
    mostly("late", "other"),
    mostly("Available", "Released"),
)
claims = st.builds(
    lambda name, size, modes, storage_class: late(name, str(size), storage_class, modes=modes),
    st.sampled_from(CLAIMS),
    st.integers(1, 4),
    mostly(ONE, BOTH),
    mostly("late", "other"),
)
events = st.one_of(volumes, volumes, st.sampled_from(VOLUMES), nodes)
steps = st.lists(events, max_size=6)
beginnings = st.lists(volumes, min_size=3, max_size=8).map(
    lambda found: [make_node("a"), make_node("b"), *found]
)
wanted = st.lists(claims, min_size=1, max_size=3)


@settings(max_examples=300)
@given(beginnings, st.lists(st.tuples(steps, wanted), min_size=1, max_size=3))
def test_it_finds_what_the_plain_search_finds_whatever_happened_before(
    beginning: list[Any],
    rounds: list[tuple[list[PersistentVolume | str | Node], list[PersistentVolumeClaim]]],
) -> None:
    free, table = FreeVolumes(), NodeTable()
    matching = Matching(free)
    known: dict[str, PersistentVolume] = {}
    for happened, asked in [(beginning, []), *rounds]:
        for step in happened:
            if isinstance(step, Node):
                table.put(step)
            else:
                name = step if isinstance(step, str) else step.metadata.name
                known.pop(name, None)
                if not isinstance(step, str):
                    known[name] = step
                free.put(name, known.get(name))
        unbound = unbound_claims(asked)
        masks = matching.found(unbound, table, ALL_ROWS)
        for row in table.live.nonzero()[0].tolist():
            node = table.nodes[row]
            assert node is not None
            plain = search(unbound, list(known.values()), node)
            assert [bool(mask[row]) for mask in masks] == [volume is not None for volume in plain]
            chosen = matching.choose(unbound, node.metadata.labels)
            assert [volume and capacity(volume) for volume in chosen] == [
                volume and capacity(volume) for volume in plain
            ]
            names = [volume.metadata.name for volume in chosen if volume is not None]
            assert len(set(names)) == len(names)
            few = matching.found(unbound, table, np.array([row], np.intp))
            assert [mask.tolist() for mask in few] == [[mask[row]] for mask in masks]


def search(
    unbound: Sequence[UnboundClaim], volumes: Sequence[PersistentVolume], node: Node
) -> list[PersistentVolume | None]:
    """Each claim's volume on a node, by looking at all of them."""
    taken: list[PersistentVolume] = []
    found = []
    for each in unbound:
        left = [volume for volume in volumes if all(volume is not other for other in taken)]
        best = smallest(each.claim, each.demand, left, node)
        taken += [] if best is None else [best]
        found.append(best)
    return found


def smallest(
    claim: PersistentVolumeClaim, demand: Demand, volumes: Sequence[PersistentVolume], node: Node
) -> PersistentVolume | None:
    """The volume kept for a claim, or else the smallest free one."""
    fitting = []
    for volume in volumes:
        if class_of(volume) != demand.storage_class or not demand.allows(volume):
            continue
        near = matches_labels(node_affinity_of(volume), node.metadata.labels)
        if is_kept_for(volume, claim):
            return volume if near else None
        free = volume.spec.claim_ref is None and volume.status.phase == "Available"
        if free and near and demand.fits(volume):
            fitting.append(volume)
    return min(fitting, key=lambda volume: (capacity(volume), volume.metadata.name), default=None)
