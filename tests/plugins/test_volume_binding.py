from collections.abc import Mapping
from typing import Any

import pytest

from pallet.api.labels import Labels
from pallet.api.pod import Pod
from pallet.api.selectors import (
    LabelSelector,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
)
from pallet.api.storage import (
    ClaimReference,
    PersistentVolume,
    PersistentVolumeClaim,
    VolumeNodeAffinity,
)
from pallet.cache.pod_info import PodInfo
from pallet.config.errors import ConfigError, FieldPath
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, SUCCESS, unresolvable
from pallet.plugins.volume_binding import VolumeBinding
from pallet.runtime.registry import PluginFactory
from tests.builders import HOSTNAME, ZONE, make_node, make_pod
from tests.plugins.volume_scene import Scene, a_pod, bound, full_driver, late, local
from tests.profiles import make_handle
from tests.storage import claimed, ephemeral, make_claim, make_free_volume

BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
NO_REACH = "node(s) didn't match PersistentVolume's node affinity"
NO_MATCH = "node(s) didn't find available persistent volumes to bind"
NO_SPACE = "node(s) did not have enough free storage"
NO_VOLUME = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"


def kept(name: str, uid: str = "") -> ClaimReference:
    return ClaimReference("default", name, uid)


@pytest.mark.parametrize(
    ("pod", "objects", "reason"),
    [
        pytest.param(a_pod("c"), [], 'persistentvolumeclaim "c" not found', id="missing"),
        pytest.param(
            a_pod("c"), [late("c", namespace="other")], 'persistentvolumeclaim "c" not found', id="elsewhere"
        ),
        pytest.param(
            make_pod("p", volumes=[ephemeral("scratch")]),
            [],
            'waiting for ephemeral volume controller to create the persistentvolumeclaim "p-scratch"',
            id="ephemeral, not made yet",
        ),
        pytest.param(
            make_pod("p", volumes=[ephemeral("scratch")]),
            [late("p-scratch", owner="uid-other")],
            "PVC default/p-scratch was not created for pod default/p (pod is not owner)",
            id="ephemeral, of somebody else",
        ),
        pytest.param(
            a_pod("c"),
            [make_claim("c", volume="gone", phase="Lost")],
            'persistentvolumeclaim "c" bound to non-existent persistentvolume "gone"',
            id="lost",
        ),
        pytest.param(
            a_pod("c"), [late("c", deleted=True)], 'persistentvolumeclaim "c" is being deleted', id="going"
        ),
        pytest.param(
            a_pod("c"),
            [make_claim("c", storage_class="immediate")],
            "pod has unbound immediate PersistentVolumeClaims",
            id="immediate",
        ),
        pytest.param(
            a_pod("c"),
            [make_claim("c", storage_class="unknown")],
            "pod has unbound immediate PersistentVolumeClaims",
            id="a class that is not there",
        ),
        pytest.param(
            a_pod("c"),
            [make_claim("c")],
            "pod has unbound immediate PersistentVolumeClaims",
            id="no class",
        ),
        pytest.param(
            a_pod("c"),
            [late("c", volume="v")],
            "pod has unbound immediate PersistentVolumeClaims",
            id="late, but with a volume of the user's choice",
        ),
        pytest.param(
            a_pod("late", "now"),
            [late("late"), make_claim("now", storage_class="immediate")],
            "pod has unbound immediate PersistentVolumeClaims",
            id="one of two",
        ),
        pytest.param(
            a_pod("now", "gone"),
            [make_claim("now", storage_class="immediate")],
            'persistentvolumeclaim "gone" not found',
            id="what is out of order comes first",
        ),
    ],
)
def test_pods_wait_until_their_claims_are_in_order(
    pod: Pod, objects: list[PersistentVolumeClaim], reason: str
) -> None:
    assert Scene(*objects).pre_filter(pod) == unresolvable(reason)


def test_a_pod_without_claims_costs_nothing() -> None:
    scene, pod = Scene(), make_pod("p")
    assert scene.pre_filter(pod) == SKIP
    assert scene.plugin.filter_signature(PodInfo(pod)) is None
    assert scene.reserve(pod, "a")[1] == SUCCESS


@pytest.mark.parametrize(
    ("claim", "volumes", "messages"),
    [
        pytest.param(
            bound("c", "v"), [make_free_volume("v")], {"a": "", "b": ""}, id="bound, reached from everywhere"
        ),
        pytest.param(bound("c", "v"), [local("v", "a")], {"a": "", "b": NO_REACH}, id="bound"),
        pytest.param(bound("c", "v"), [], {"a": NO_VOLUME, "b": NO_VOLUME}, id="bound to nothing"),
        pytest.param(late("c"), [], {"a": "", "b": ""}, id="to be made"),
        pytest.param(
            late("c", storage_class="local"), [], {"a": NO_MATCH, "b": NO_MATCH}, id="nothing makes it"
        ),
        pytest.param(
            late("c", storage_class="local"), [local("v", "a")], {"a": "", "b": NO_MATCH}, id="one is there"
        ),
        pytest.param(
            late("c", annotations={"volume.kubernetes.io/selected-node": "b"}),
            [local("v", "a")],
            {"a": NO_MATCH, "b": ""},
            id="being made for a node",
        ),
        pytest.param(
            late("c", annotations={"volume.kubernetes.io/selected-node": "gone"}),
            [],
            {"a": NO_MATCH, "b": NO_MATCH},
            id="being made for a node that is gone",
        ),
    ],
)
def test_where_a_claim_lets_its_pod_go(
    claim: PersistentVolumeClaim, volumes: list[PersistentVolume], messages: Mapping[str, str]
) -> None:
    assert Scene(claim, *volumes).messages(a_pod("c")) == messages


def test_every_reason_that_stands_against_a_node_is_told() -> None:
    scene = Scene(
        bound("far", "v"),
        bound("lost", "gone"),
        late("none", storage_class="local"),
        local("v", "a", kept_for=kept("far"), phase="Bound"),
    )
    assert scene.messages(a_pod("far", "lost", "none")) == {
        "a": f"{NO_MATCH}, {NO_VOLUME}",
        "b": f"{NO_REACH}, {NO_MATCH}",
    }
    assert scene.messages(a_pod("lost", "far")) == {"a": NO_VOLUME, "b": NO_VOLUME}


def test_no_other_reason_counts_where_a_volume_is_made_elsewhere() -> None:
    asking = {"volume.kubernetes.io/selected-node": "b"}
    scene = Scene(late("c", annotations=asking), late("full", storage_class="full"), *full_driver())
    assert scene.messages(a_pod("full", "c")) == {"a": NO_MATCH, "b": NO_SPACE}


def by_terms(*terms: NodeSelectorTerm) -> VolumeNodeAffinity:
    return VolumeNodeAffinity(NodeSelector(terms))


def requirement(key: str, operator: str, *values: str) -> NodeSelectorRequirement:
    return NodeSelectorRequirement(key, operator, values)


@pytest.mark.parametrize(
    ("affinity", "reached"),
    [
        pytest.param(None, "ab", id="none"),
        pytest.param(VolumeNodeAffinity(), "ab", id="nothing required"),
        pytest.param(by_terms(), "", id="no terms"),
        pytest.param(by_terms(NodeSelectorTerm()), "", id="an empty term"),
        pytest.param(by_terms(NodeSelectorTerm((requirement(ZONE, "In", "z1", "z2"),))), "ab", id="In"),
        pytest.param(by_terms(NodeSelectorTerm((requirement(ZONE, "NotIn", "z2"),))), "a", id="NotIn"),
        pytest.param(by_terms(NodeSelectorTerm((requirement("gone", "In", ""),))), "", id="no such label"),
        pytest.param(
            by_terms(
                NodeSelectorTerm((requirement(ZONE, "In", "z1"),)),
                NodeSelectorTerm((requirement(HOSTNAME, "In", "b"),)),
            ),
            "ab",
            id="two terms",
        ),
        pytest.param(
            by_terms(NodeSelectorTerm((requirement(ZONE, "In", "z1"), requirement(HOSTNAME, "In", "b")))),
            "",
            id="two requirements",
        ),
        pytest.param(
            by_terms(NodeSelectorTerm((), (requirement("metadata.name", "In", "a"),))),
            "",
            id="the name is not looked at",
        ),
        pytest.param(
            by_terms(NodeSelectorTerm((), (requirement("metadata.name", "NotIn", "a"),))),
            "ab",
            id="not even that it is another",
        ),
        pytest.param(
            by_terms(
                NodeSelectorTerm(
                    (requirement(ZONE, "In", "z1"),), (requirement("metadata.name", "NotIn", "a"),)
                )
            ),
            "a",
            id="nor beside a label",
        ),
    ],
)
@pytest.mark.parametrize("is_bound", [True, False])
def test_from_where_a_volume_is_reached(
    affinity: VolumeNodeAffinity | None, reached: str, *, is_bound: bool
) -> None:
    volume = make_free_volume("v", storage_class="local", node_affinity=affinity)
    claim = bound("c", "v") if is_bound else late("c", storage_class="local")
    nodes = [make_node("a", labels={ZONE: "z1"}), make_node("b", labels={ZONE: "z2"})]
    messages = Scene(claim, volume, nodes=nodes).messages(a_pod("c"))
    assert "".join(name for name, message in messages.items() if not message) == reached


@pytest.mark.parametrize(
    ("claim", "volume", "fits"),
    [
        ({}, {}, True),
        ({"size": "1Gi"}, {"size": "1024Mi"}, True),
        ({"size": "1Gi"}, {"size": "1023Mi"}, False),
        ({"size": "0.1"}, {"size": "99m"}, False),
        ({"size": None}, {"size": "1"}, True),
        ({}, {"storage_class": "late"}, False),
        ({}, {"storage_class": "", "annotations": {BETA_CLASS: "local"}}, True),
        ({"storage_class": "late", "annotations": {BETA_CLASS: "local"}}, {}, True),
        ({"volume_mode": "Block"}, {}, False),
        ({"volume_mode": "Block"}, {"volume_mode": "Block"}, True),
        ({}, {"volume_mode": "Block"}, False),
        ({"modes": ("ReadWriteMany",)}, {}, False),
        ({"modes": ("ReadWriteOnce",)}, {"modes": ("ReadWriteMany", "ReadWriteOnce")}, True),
        ({"modes": ("ReadWriteOnce", "ReadOnlyMany")}, {"modes": ("ReadWriteOnce",)}, False),
        ({"selector": LabelSelector(Labels({"disk": "ssd"}))}, {"labels": {"disk": "ssd"}}, True),
        ({"selector": LabelSelector(Labels({"disk": "ssd"}))}, {"labels": {"disk": "hdd"}}, False),
        ({"selector": LabelSelector(Labels({"disk": "ssd"}))}, {}, False),
        ({"selector": LabelSelector()}, {}, True),
        ({"volume_attributes_class_name": "gold"}, {}, False),
        ({}, {"volume_attributes_class_name": "gold"}, False),
        ({"volume_attributes_class_name": "gold"}, {"volume_attributes_class_name": "gold"}, True),
        ({"volume_attributes_class_name": ""}, {}, True),
        ({}, {"phase": "Pending"}, False),
        ({}, {"phase": "Released"}, False),
        ({}, {"deleted": True}, False),
        ({}, {"kept_for": kept("other")}, False),
        ({}, {"kept_for": ClaimReference("other", "c")}, False),
        ({}, {"kept_for": kept("c", "uid-c")}, True),
        ({}, {"kept_for": kept("c", "uid-before")}, False),
        ({}, {"kept_for": kept("c"), "phase": "Pending"}, True),
        ({"modes": ("ReadWriteMany",)}, {"kept_for": kept("c")}, True),
        ({"selector": LabelSelector(Labels({"disk": "ssd"}))}, {"kept_for": kept("c")}, True),
        ({"size": "2Gi"}, {"kept_for": kept("c")}, False),
        ({"volume_mode": "Block"}, {"kept_for": kept("c")}, False),
        ({}, {"kept_for": kept("c"), "deleted": True}, False),
        ({}, {"kept_for": kept("c"), "storage_class": "late"}, False),
        ({"volume_attributes_class_name": "gold"}, {"kept_for": kept("c")}, False),
    ],
)
def test_which_volumes_a_claim_can_have(claim: dict[str, Any], volume: dict[str, Any], fits: bool) -> None:  # noqa: FBT001 - a table
    scene = Scene(
        late("c", **{"storage_class": "local", **claim}),
        make_free_volume("v", **{"storage_class": "local", **volume}),
    )
    assert scene.messages(a_pod("c"))["a"] == ("" if fits else NO_MATCH)


def test_a_volume_that_is_kept_elsewhere_leaves_no_choice() -> None:
    scene = Scene(
        late("c", storage_class="local"), local("mine", "b", kept_for=kept("c")), local("free", "a")
    )
    assert scene.messages(a_pod("c")) == {"a": NO_MATCH, "b": ""}


@pytest.mark.parametrize(
    ("sizes", "volumes", "fits"),
    [
        ("1 1", "1", False),
        ("1 1", "1 1", True),
        ("1 2", "1 2", True),
        ("2 1", "1 2", True),
        ("1 2", "2 2", True),
        ("1 2", "1 1", False),
        ("1 2", "2", False),
        ("1 1 3", "1 3 3", True),
        ("2 2 3", "1 3 3", False),
    ],
)
def test_claims_of_a_pod_do_not_share_a_volume(sizes: str, volumes: str, fits: bool) -> None:  # noqa: FBT001 - a table
    claims = [late(f"c{at}", f"{size}Gi", "local") for at, size in enumerate(sizes.split())]
    scene = Scene(*claims, *(local(f"v{at}", "a", f"{size}Gi") for at, size in enumerate(volumes.split())))
    pod = a_pod(*(claim.metadata.name for claim in claims))
    assert scene.messages(pod) == {"a": "" if fits else NO_MATCH, "b": NO_MATCH}


def test_claims_of_different_kinds_are_told_apart_node_by_node() -> None:
    """The smaller claim takes the smallest volume, which is the only one that the other could have."""
    wide, narrow = ("ReadWriteOnce", "ReadWriteMany"), ("ReadWriteOnce",)
    scene = Scene(
        late("small", "1Gi", "local", modes=narrow),
        late("large", "2Gi", "local", modes=wide),
        local("a1", "a", "2Gi", modes=wide),
        local("a2", "a", "3Gi", modes=narrow),
        local("b1", "b", "2Gi", modes=wide),
        local("b2", "b", "1Gi", modes=narrow),
    )
    assert scene.messages(a_pod("small", "large")) == {"a": NO_MATCH, "b": ""}


def test_a_claim_that_a_pod_names_twice_wants_two_volumes() -> None:
    """As kube-scheduler, which does not look whether it is the same."""
    scene = Scene(late("c", storage_class="local"), local("v", "a"), local("v1", "b"), local("v2", "b"))
    assert scene.messages(make_pod("p", volumes=[claimed("c"), claimed("c")])) == {"a": NO_MATCH, "b": ""}


def test_nodes_that_come_and_change_are_seen() -> None:
    scene = Scene(late("c", storage_class="local"), local("v", "c"))
    assert scene.messages(a_pod("c")) == {"a": NO_MATCH, "b": NO_MATCH}
    scene.see(make_node("c"))
    assert scene.messages(a_pod("c")) == {"a": NO_MATCH, "b": NO_MATCH, "c": ""}
    scene.cache.put_node(make_node("c", labels={HOSTNAME: "renamed"}))
    assert scene.messages(a_pod("c"))["c"] == NO_MATCH
    scene.cache.put_node(make_node("a", labels={HOSTNAME: "c"}))
    assert scene.messages(a_pod("c"))["a"] == ""


def test_a_fork_keeps_to_the_nodes_that_it_was_taken_of() -> None:
    scene = Scene(late("c", storage_class="local"), local("v", "a"))
    assert scene.messages(a_pod("c")) == {"a": "", "b": NO_MATCH}
    state, info = CycleState(), PodInfo(a_pod("c"))
    with scene.cache.snapshot.fork() as fork:
        scene.cache.put_node(make_node("b", labels={HOSTNAME: "a"}))
        assert scene.plugin.pre_filter(state, info, fork) == (None, SUCCESS)
        codes = scene.plugin.filter_rows(state, info, fork, fork.table.live.nonzero()[0])
        assert [bool(code) for code in codes] == [False, True]
    assert scene.messages(a_pod("c")) == {"a": "", "b": ""}


@pytest.mark.parametrize(
    ("args", "mistake"),
    [
        ({"bindTimeoutSeconds": -1}, "args.bindTimeoutSeconds: must be >= 0, got -1"),
        (
            {"shape": [{"utilization": 50, "score": 0}, {"utilization": 50, "score": 1}]},
            "args: shape[1].utilization must be greater than that of the point before",
        ),
        ({"bindTimeout": 1}, 'args.bindTimeout: unknown field, did you mean "bindTimeoutSeconds"?'),
    ],
)
def test_mistakes_in_the_arguments(args: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ConfigError) as raised:
        PluginFactory.of(VolumeBinding).build(args, FieldPath("", "args"), make_handle())
    assert str(raised.value) == mistake


def test_arguments_as_upstream_writes_them_are_taken() -> None:
    args = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "VolumeBindingArgs",
        "bindTimeoutSeconds": 30,
        "shape": [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}],
    }
    assert PluginFactory.of(VolumeBinding).build(args, FieldPath(), make_handle()).name == "VolumeBinding"
