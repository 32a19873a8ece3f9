from collections.abc import Mapping
from typing import Any

import pytest

from pallet.api.pod import Pod
from pallet.api.storage import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    PersistentVolume,
    PersistentVolumeClaim,
)
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import Action, ClusterEvent, EventResource, Hint
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, SUCCESS, unresolvable
from pallet.plugins.volume_zone import VolumeZone
from tests.builders import HOSTNAME, make_node, make_pod
from tests.plugins.asking import Asked
from tests.plugins.volume_scene import a_pod, bound, late
from tests.storage import ephemeral, make_claim, make_class, make_free_volume

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
OLD_ZONE, OLD_REGION = "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region"
ELSEWHERE = "!node(s) had no available volume zone"


def labelled(labels: Mapping[str, str], name: str = "v") -> PersistentVolume:
    return make_free_volume(name, labels=labels)


def asked(*objects: Any, node: Mapping[str, str] | None = None) -> Asked:
    """The plugin with one node, and with classes `late` and `now`."""
    classes = [make_class("late", late=True), make_class("now")]
    return Asked(
        VolumeZone,
        [make_node("a", labels=node)],
        objects={
            PERSISTENT_VOLUME_CLAIMS: [each for each in objects if isinstance(each, PersistentVolumeClaim)],
            PERSISTENT_VOLUMES: [each for each in objects if isinstance(each, PersistentVolume)],
            STORAGE_CLASSES: classes,
        },
    )


@pytest.mark.parametrize(
    ("volume", "node", "fits"),
    [
        ({}, {ZONE: "z1"}, True),
        ({"disk": "ssd"}, {ZONE: "z1"}, True),
        ({ZONE: "z1"}, {ZONE: "z1"}, True),
        ({ZONE: "z1"}, {ZONE: "z2"}, False),
        ({ZONE: "z1"}, {}, True),
        ({ZONE: "z1"}, {REGION: "r1"}, False),
        ({ZONE: "z1"}, {HOSTNAME: "x"}, True),
        ({ZONE: "z1__z2"}, {ZONE: "z2"}, True),
        ({ZONE: "z1__z2"}, {ZONE: "z3"}, False),
        ({ZONE: "z1__ z2"}, {ZONE: "z2"}, True),
        ({ZONE: "z1__"}, {ZONE: "z3"}, True),
        ({ZONE: ""}, {ZONE: "z3"}, True),
        ({REGION: "r1"}, {REGION: "r1", ZONE: "z1"}, True),
        ({REGION: "r1"}, {REGION: "r2", ZONE: "z1"}, False),
        ({ZONE: "z1", REGION: "r1"}, {ZONE: "z1", REGION: "r1"}, True),
        ({ZONE: "z1", REGION: "r1"}, {ZONE: "z1", REGION: "r2"}, False),
        ({ZONE: "z1", REGION: "r1"}, {ZONE: "z1"}, False),
        ({OLD_ZONE: "z1"}, {OLD_ZONE: "z1"}, True),
        ({OLD_ZONE: "z1"}, {OLD_ZONE: "z2"}, False),
        ({OLD_ZONE: "z1"}, {ZONE: "z1"}, True),
        ({OLD_ZONE: "z1"}, {ZONE: "z2"}, False),
        ({OLD_ZONE: "z1"}, {OLD_ZONE: "z2", ZONE: "z1"}, False),
        ({OLD_REGION: "r1"}, {REGION: "r1"}, True),
        ({OLD_REGION: "r1"}, {REGION: "r2"}, False),
        ({ZONE: "z1"}, {OLD_ZONE: "z1"}, False),
    ],
)
def test_where_a_volume_of_a_zone_can_be_used(
    volume: Mapping[str, str],
    node: Mapping[str, str],
    fits: bool,  # noqa: FBT001 - a table
) -> None:
    messages = asked(bound("c", "v"), labelled(volume), node=node).messages(a_pod("c"))
    assert messages == {"a": "" if fits else ELSEWHERE}


def test_all_volumes_must_be_in_reach() -> None:
    objects = [bound("c", "v"), labelled({ZONE: "z1"}), bound("d", "w"), labelled({ZONE: "z2"}, "w")]
    assert asked(*objects, node={ZONE: "z1"}).messages(a_pod("c", "d")) == {"a": ELSEWHERE}
    assert asked(*objects, node={ZONE: "z1"}).messages(a_pod("c")) == {"a": ""}


@pytest.mark.parametrize(
    ("pod", "objects", "status"),
    [
        (make_pod("p"), [], SKIP),
        (make_pod("p", volumes=[ephemeral("scratch")]), [], SKIP),
        (a_pod("c"), [bound("c", "v"), labelled({})], SKIP),
        (a_pod("c"), [late("c")], SKIP),
        (a_pod("c"), [bound("c", "v"), labelled({ZONE: "z1"})], SUCCESS),
        (a_pod("c", "d"), [late("d"), bound("c", "v"), labelled({ZONE: "z1"})], SUCCESS),
        (a_pod("c"), [], unresolvable('persistentvolumeclaim "c" not found')),
        (a_pod("c"), [bound("c", "v")], unresolvable('persistentvolume "v" not found')),
        (
            a_pod("c"),
            [make_claim("c")],
            unresolvable("PersistentVolumeClaim had no pv name and storageClass name"),
        ),
        (a_pod("c"), [late("c", storage_class="now")], unresolvable("PersistentVolume had no name")),
        (
            a_pod("c"),
            [late("c", storage_class="gone")],
            unresolvable('storageclass.storage.k8s.io "gone" not found'),
        ),
        (a_pod("c", "d"), [bound("c", "v"), late("d", storage_class="now"), labelled({})], None),
    ],
)
def test_pods_wait_until_their_claims_are_in_order(pod: Pod, objects: list[Any], status: object) -> None:
    scene = asked(*objects)
    expected = unresolvable("PersistentVolume had no name") if status is None else status
    assert scene.plugin.pre_filter(CycleState(), PodInfo(pod), scene.cache.snapshot) == (None, expected)


def test_pods_with_volumes_of_the_same_zones_share_a_verdict() -> None:
    objects: list[object] = [bound(name, f"v-{name}") for name in "cd"]
    objects += [
        labelled({ZONE: "z1__z2", REGION: "r"}, "v-c"),
        labelled({REGION: "r", ZONE: "z2__z1"}, "v-d"),
    ]
    plugin = asked(*objects).plugin
    signature = plugin.filter_signature(PodInfo(a_pod("c")))
    assert signature == plugin.filter_signature(PodInfo(a_pod("d")))
    assert signature == ((ZONE, ("z1", "z2")), (REGION, ("r",)))


@pytest.mark.parametrize(
    ("resource", "old", "new", "helps"),
    [
        ("STORAGE_CLASS", None, make_class("late", late=True), True),
        ("STORAGE_CLASS", None, make_class("now"), False),
        ("STORAGE_CLASS", make_class("late", late=True), make_class("late", late=True), False),
        ("PERSISTENT_VOLUME_CLAIM", None, late("c"), True),
        ("PERSISTENT_VOLUME_CLAIM", late("c"), late("c"), True),
        ("PERSISTENT_VOLUME_CLAIM", None, late("d"), False),
        ("PERSISTENT_VOLUME_CLAIM", None, late("p-scratch"), False),
        ("PERSISTENT_VOLUME_CLAIM", None, late("c", namespace="other"), False),
        ("PERSISTENT_VOLUME", None, labelled({}), True),
        ("PERSISTENT_VOLUME", labelled({ZONE: "a"}), labelled({ZONE: "b"}), True),
        ("PERSISTENT_VOLUME", labelled({}), labelled({OLD_ZONE: "b"}), True),
        ("PERSISTENT_VOLUME", labelled({ZONE: "a__b"}), labelled({ZONE: "b__a"}), False),
        ("PERSISTENT_VOLUME", labelled({}), labelled({"disk": "ssd"}), False),
        ("NODE", None, make_node("a"), True),
    ],
)
def test_which_events_help(resource: str, old: Any, new: Any, helps: bool) -> None:  # noqa: FBT001 - a table
    event = ClusterEvent(EventResource[resource], Action.ADD if old is None else Action.UPDATE)
    pod = make_pod("p", volumes=[*a_pod("c").spec.volumes, ephemeral("scratch")])
    assert asked().hint(event, pod, old, new) is (Hint.QUEUE if helps else Hint.SKIP)
