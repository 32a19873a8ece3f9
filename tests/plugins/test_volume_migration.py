"""In-tree volumes are reached by their driver's labels on nodes where their plugin is migrated."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from pallet.api.selectors import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from pallet.api.storage import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, VolumeNodeAffinity
from pallet.api.volumes import AWSDisk, AzureDisk, CinderDisk, GCEDisk, PortworxVolume
from pallet.cache.cursor import Cursor
from pallet.framework.status import PluginError
from pallet.plugins.volumes.assumed import AssumeCache
from pallet.plugins.volumes.choice import VolumeChoice
from pallet.plugins.volumes.migration import Migration
from pallet.plugins.volumes.progress import Progress, UndoneError
from pallet.plugins.volumes.topology import BETA_REGION, BETA_ZONE, REGION, ZONE
from tests.builders import make_node
from tests.plugins.volume_scene import Scene, a_pod, bound, late
from tests.storage import make_claim, make_csi_node, make_free_volume

NO_REACH = "node(s) didn't match PersistentVolume's node affinity"

ODD_ID = "failed to translate Kubernetes ID to EBS Volume ID Invalid format for AWS volume"

EBS_ZONE, PD_ZONE = "topology.ebs.csi.aws.com/zone", "topology.gke.io/zone"
CINDER_ZONE = "topology.cinder.csi.openstack.org/zone"

EBS: dict[str, Any] = {"aws_elastic_block_store": AWSDisk("vol-1")}
PD: dict[str, Any] = {"gce_persistent_disk": GCEDisk("disk")}
AZURE: dict[str, Any] = {"azure_disk": AzureDisk("disk", kind="managed")}
CINDER: dict[str, Any] = {"cinder": CinderDisk("id")}
PORTWORX: dict[str, Any] = {"portworx_volume": PortworxVolume("id")}

PLUGINS = [
    "kubernetes.io/aws-ebs",
    "kubernetes.io/gce-pd",
    "kubernetes.io/azure-disk",
    "kubernetes.io/cinder",
    "kubernetes.io/portworx-volume",
]


def need(key: str, *values: str, operator: str = "In") -> NodeSelectorRequirement:
    return NodeSelectorRequirement(key, operator, values)


def terms(*each: list[NodeSelectorRequirement]) -> dict[str, Any]:
    return {
        "node_affinity": VolumeNodeAffinity(NodeSelector(tuple(NodeSelectorTerm(tuple(it)) for it in each)))
    }


def is_reached(
    node_labels: Mapping[str, str], volume: dict[str, Any], migrated: Iterable[str] = PLUGINS
) -> bool:
    """Whether a bound volume is reached from a node with these labels and migrated plugins."""
    scene = Scene(
        bound("c", "v"),
        make_free_volume("v", **volume),
        make_csi_node("n", migrated=migrated),
        nodes=[make_node("n", labels=node_labels)],
    )
    [message] = scene.messages(a_pod("c")).values()
    assert message in ("", NO_REACH)
    return not message


@pytest.mark.parametrize(
    ("volume", "labels"),
    [
        pytest.param({**EBS, "labels": {ZONE: "z"}}, {EBS_ZONE: "z"}, id="EBS"),
        pytest.param({**PD, "labels": {ZONE: "z"}}, {PD_ZONE: "z"}, id="GCE"),
        pytest.param({**CINDER, "labels": {ZONE: "z"}}, {CINDER_ZONE: "z"}, id="Cinder"),
        pytest.param({**EBS, "labels": {BETA_ZONE: "z"}}, {EBS_ZONE: "z"}, id="the old label"),
        pytest.param(
            {**EBS, "labels": {BETA_ZONE: "y", ZONE: "z"}}, {EBS_ZONE: "z"}, id="the newer label first"
        ),
        pytest.param({**EBS, "labels": {ZONE: "y__z"}}, {EBS_ZONE: "z"}, id="several zones"),
        pytest.param({**EBS, **terms([need(ZONE, "z")])}, {EBS_ZONE: "z"}, id="node affinity"),
        pytest.param({**EBS, **terms([need(BETA_ZONE, "z")])}, {EBS_ZONE: "z"}, id="of the old name"),
        pytest.param(
            {**EBS, "labels": {ZONE: "y"}, **terms([need(ZONE, "z")])},
            {EBS_ZONE: "z"},
            id="node affinity before labels",
        ),
        pytest.param(
            {**EBS, "labels": {ZONE: "y"}, **terms([need(BETA_ZONE, "z")])},
            {EBS_ZONE: "z"},
            id="even of the old name",
        ),
        pytest.param(
            {**EBS, "labels": {ZONE: "y"}, **terms([need("other", "x")], [need(ZONE, "z")])},
            {EBS_ZONE: "z"},
            id="in any term",
        ),
        pytest.param(
            {**EBS, **terms([need(BETA_ZONE, "z"), need(BETA_REGION, "r")])},
            {EBS_ZONE: "z", REGION: "r"},
            id="the region is renamed with the zone",
        ),
        pytest.param(
            {**EBS, "labels": {ZONE: "z"}, **terms([need("rack", "r")])},
            {EBS_ZONE: "z", "rack": "r"},
            id="a label beside other node affinity",
        ),
        pytest.param(
            {**EBS, "labels": {ZONE: "z"}, **terms([need(ZONE, operator="Exists")])},
            {EBS_ZONE: "z", ZONE: "x"},
            id="a label beside a zone of no name",
        ),
        pytest.param({**EBS, "labels": {ZONE: "z"}, **terms([])}, {EBS_ZONE: "z"}, id="an empty term"),
        pytest.param({**EBS, "labels": {ZONE: "z"}, **terms()}, {EBS_ZONE: "z"}, id="no terms"),
        pytest.param({**EBS, **terms([need(EBS_ZONE, "z")])}, {EBS_ZONE: "z"}, id="translated already"),
        pytest.param({**AZURE, **terms([need(ZONE, "z")])}, {ZONE: "z"}, id="Azure keeps its own"),
        pytest.param({**PORTWORX, **terms([need(ZONE, "z")])}, {ZONE: "z"}, id="so does Portworx"),
    ],
)
def test_which_labels_a_migrated_volume_needs(volume: dict[str, Any], labels: dict[str, str]) -> None:
    assert is_reached(labels, volume)
    for needed in labels:
        assert not is_reached({key: value for key, value in labels.items() if key != needed}, volume)


@pytest.mark.parametrize(
    "volume",
    [
        pytest.param({**EBS}, id="no zone"),
        pytest.param({**EBS, "labels": {ZONE: ""}}, id="an empty zone"),
        pytest.param({**AZURE, "labels": {ZONE: "z"}}, id="Azure"),
        pytest.param({**PORTWORX, "labels": {ZONE: "z"}}, id="Portworx"),
        pytest.param({"labels": {ZONE: "z"}}, id="not in-tree"),
    ],
)
def test_which_migrated_volumes_are_reached_from_everywhere(volume: dict[str, Any]) -> None:
    assert is_reached({}, volume)


def test_another_zone_is_not_enough() -> None:
    volume = EBS | {"labels": {ZONE: "y__z"}}
    assert [is_reached({EBS_ZONE: zone}, volume) for zone in "xyz"] == [False, True, True]


def test_a_region_of_the_old_name_stays_beside_a_zone_of_the_newer_one() -> None:
    affinity = terms([need(ZONE, "z"), need(BETA_REGION, "r")])
    assert is_reached({EBS_ZONE: "z", BETA_REGION: "r"}, EBS | affinity)
    assert not is_reached({EBS_ZONE: "z", REGION: "r"}, EBS | affinity)


def test_volumes_are_reached_as_they_are_written_where_their_plugin_is_not_migrated() -> None:
    others = ["kubernetes.io/gce-pd"]
    labelled, written = EBS | {"labels": {ZONE: "z"}}, EBS | terms([need(ZONE, "z")])
    assert is_reached({}, labelled, others)
    assert is_reached({ZONE: "z"}, written, others)
    assert not is_reached({EBS_ZONE: "z"}, written, others)


def test_a_free_volume_is_found_as_it_is_written() -> None:
    """kube-scheduler translates volumes only once they are bound."""
    free = make_free_volume("v", storage_class="local", **EBS, **terms([need(ZONE, "z")]))
    node = make_node("n", labels={ZONE: "z"})
    scene = Scene(late("c", storage_class="local"), free, make_csi_node("n", migrated=PLUGINS), nodes=[node])
    assert scene.messages(a_pod("c")) == {"n": ""}


def test_csi_nodes_that_come_change_and_go_are_seen() -> None:
    scene = Scene(bound("c", "v"), make_free_volume("v", **EBS, labels={ZONE: "z"}))
    pod, everywhere = a_pod("c"), {"a": "", "b": ""}
    assert scene.messages(pod) == everywhere
    migrated = make_csi_node("b", migrated=PLUGINS)
    scene.see(migrated)
    assert scene.messages(pod) == {"a": "", "b": NO_REACH}
    scene.see(make_node("b", labels={EBS_ZONE: "z"}))
    assert scene.messages(pod) == everywhere
    scene.see(make_csi_node("a", migrated=["kubernetes.io/aws-ebs"]))
    assert scene.messages(pod) == {"a": NO_REACH, "b": ""}
    scene.see(make_csi_node("a", version=2))
    assert scene.messages(pod) == everywhere
    scene.see(make_node("b"))
    assert scene.messages(pod) == {"a": "", "b": NO_REACH}
    scene.lose(migrated)
    assert scene.messages(pod) == everywhere


def test_news_of_a_csi_node_that_migrates_as_before_has_nobody_judged_again() -> None:
    scene = Scene(make_csi_node("a", migrated=PLUGINS))
    migration = Migration(scene.informers)
    cursor = Cursor(migration.changes)
    scene.see(make_csi_node("a", {"csi.example.com": 3}, migrated=PLUGINS, version=2))
    assert not cursor.is_behind(migration.changes)


@pytest.mark.parametrize(
    ("volume", "mistake"),
    [
        pytest.param(
            {"azure_disk": AzureDisk("disk", kind="Shared")},
            "kind(Shared) is not supported in csi migration",
            id="an Azure disk that is not managed",
        ),
        pytest.param(
            {"aws_elastic_block_store": AWSDisk("aws://zone/disk")},
            f"{ODD_ID} (aws://zone/disk)",
            id="an odd ID at AWS",
        ),
        pytest.param(
            {**PD, "labels": {ZONE: "us-east1-a__b"}},
            "failed to get region from zones: "
            "zone in unexpected format, expected: {locale}-{region}-{zone}, got: b",
            id="an odd zone at GCE",
        ),
        pytest.param(
            {**PD, "labels": {BETA_ZONE: "us-east1-a__us-west1-a", ZONE: "z"}},
            "failed to get region from zones: "
            "multiple or no regions gotten from zones, got: map[us-east1:{} us-west1:{}]",
            id="zones of two regions at GCE",
        ),
    ],
)
def test_volumes_without_a_csi_form_are_mistakes_where_they_need_one(
    volume: dict[str, Any], mistake: str
) -> None:
    assert is_reached({}, volume, migrated=[])
    with pytest.raises(PluginError) as refused:
        is_reached({}, volume)
    assert str(refused.value) == f"VolumeBinding: could not translate pv: {mistake}"


@pytest.mark.parametrize(
    "volume",
    [
        {"azure_disk": AzureDisk("disk")},
        {"aws_elastic_block_store": AWSDisk("aws://zone/vol-1")},
        {"aws_elastic_block_store": AWSDisk("aws:///vol-1/")},
        {**PD, "labels": {ZONE: "us-east1-a__us-east1-b"}},
    ],
)
def test_what_is_no_mistake(volume: dict[str, Any]) -> None:
    assert is_reached({PD_ZONE: "us-east1-b"}, volume)


@pytest.mark.parametrize(
    ("disk", "zone", "message"),
    [
        ("vol-1", "z", ""),
        ("vol-1", "far", 'pv "v" node affinity doesn\'t match node "n": no matching NodeSelectorTerms'),
        (
            "aws://disk",
            "z",
            f"could not translate pv: {ODD_ID} (aws://disk)",
        ),
    ],
)
def test_a_volume_that_was_made_must_be_reached_in_its_csi_form(disk: str, zone: str, message: str) -> None:
    selected = {"volume.kubernetes.io/selected-node": "n"}
    claim, pod = make_claim("c", volume="v", annotations=selected), a_pod("c")
    volume = make_free_volume("v", aws_elastic_block_store=AWSDisk(disk), labels={ZONE: "z"})
    node = make_node("n", labels={EBS_ZONE: zone})
    scene = Scene(claim, pod, volume, make_csi_node("n", migrated=PLUGINS), nodes=[node])
    informers = scene.informers
    claims = AssumeCache(informers.informer(PERSISTENT_VOLUME_CLAIMS))
    volumes = AssumeCache(informers.informer(PERSISTENT_VOLUMES))
    progress = Progress(scene.handle, volumes, claims, Migration(informers))
    choice = VolumeChoice(provisions=[claim])
    if not message:
        assert not progress.is_done(pod, "n", choice)
        return
    with pytest.raises(UndoneError) as undone:
        progress.is_done(pod, "n", choice)
    assert str(undone.value) == message
