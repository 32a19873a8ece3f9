"""What the filter remembers is what it would say afresh, whatever happens in between."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.selectors import LabelSelector
from pallet.api.storage import CSIDriver, CSIDriverSpec, CSIStorageCapacity
from pallet.api.volumes import AWSDisk
from pallet.cache.pod_info import PodInfo
from tests.builders import HOSTNAME, ZONE, make_node, make_pod
from tests.plugins.volume_scene import Scene, bound, late, local
from tests.storage import claimed, make_class, make_csi_node, make_free_volume

NODES = ("a", "b", "c")
CLAIMS = ("l1", "l2", "z1", "m1", "m2", "far", "disk")
ZONE_OF_EBS = "topology.ebs.csi.aws.com/zone"
FIXED = (
    late("l1", "1Gi", "local"),
    late("l2", "2Gi", "local"),
    late("z1", "1Gi", "zonal"),
    late("m1", "1Gi", "made"),
    late("m2", "3Gi", "made"),
    bound("far", "bound"),
    local("bound", "b", phase="Bound"),
    bound("disk", "ebs"),
    make_free_volume("ebs", aws_elastic_block_store=AWSDisk("vol"), labels={ZONE: "x"}),
    make_class("zonal", "kubernetes.io/no-provisioner", late=True),
    make_class("made", "made.example.com", late=True),
    CSIDriver(ObjectMeta(name="made.example.com"), CSIDriverSpec(storage_capacity=True)),
)

ASKED = [
    make_pod("p", volumes=[claimed(name) for name in names.split()])
    for names in ("l1 l2", "z1", "m1", "disk")
]
"""Asked about after each event, so that something is remembered."""

Step = tuple[str, Any]

nodes = st.tuples(
    st.just("see"),
    st.builds(
        lambda name, zone: make_node(name, labels={ZONE: zone, ZONE_OF_EBS: zone}),
        st.sampled_from(NODES),
        st.sampled_from("xy"),
    ),
)
csi_nodes = st.tuples(
    st.just("see"),
    st.builds(
        lambda name, plugin: make_csi_node(name, migrated=[plugin]),
        st.sampled_from(NODES),
        st.sampled_from(["kubernetes.io/aws-ebs", "kubernetes.io/gce-pd"]),
    ),
)
volumes = st.tuples(
    st.just("see"),
    st.one_of(
        st.builds(
            lambda name, node, size: local(name, node, f"{size}Gi"),
            st.sampled_from(["v1", "v2", "v3"]),
            st.sampled_from(NODES),
            st.integers(1, 3),
        ),
        st.builds(
            lambda name, zone: make_free_volume(name, storage_class="zonal", reach={ZONE: zone}),
            st.sampled_from(["w1", "w2"]),
            st.sampled_from("xy"),
        ),
    ),
)
capacities = st.tuples(
    st.just("see"),
    st.builds(
        lambda name, value, key, size: CSIStorageCapacity(
            ObjectMeta(name=name, namespace="default"),
            "made",
            LabelSelector(Labels({key: value})),
            f"{size}Gi",
        ),
        st.sampled_from(["on-a", "on-b"]),
        st.sampled_from(["a", "b", "x", "y"]),
        st.sampled_from([HOSTNAME, ZONE, ZONE]),
        st.integers(0, 4),
    ),
)
losses = st.tuples(st.just("lose"), st.sampled_from(["v1", "v2", "w1", "bound", "a", "default/on-a"]))
pods = st.lists(st.sampled_from(CLAIMS), min_size=1, max_size=2, unique=True).map(
    lambda names: make_pod("p", volumes=[claimed(name) for name in names])
)
reserves = st.tuples(st.just("reserve"), pods)
unreserves = st.tuples(st.just("unreserve"), st.none())
asks = st.tuples(st.just("ask"), pods)


@given(
    st.lists(
        st.one_of(nodes, csi_nodes, volumes, capacities, losses, reserves, unreserves, asks), max_size=25
    )
)
def test_the_filter_says_the_same_afresh(steps: list[Step]) -> None:
    scene = Scene(*FIXED, nodes=[make_node(name, labels={ZONE: "x"}) for name in NODES])
    reserved: list[tuple[Any, Any]] = []
    version = 1
    for kind, value in steps:
        version += 1
        if kind == "see":
            scene.see(newer(value, version))
            for pod in ASKED:
                scene.messages(pod)
        elif kind == "lose" and value in scene.api.objects:
            scene.lose(scene.api.objects[value])
        elif kind == "unreserve" and reserved:
            state, pod = reserved.pop()
            scene.plugin.unreserve(state, PodInfo(pod), "")
        elif kind in ("ask", "reserve"):
            fits = [name for name, message in scene.messages(value).items() if not message]
            if kind == "reserve" and fits:
                state, status = scene.reserve(value, fits[0])
                assert status.ok
                reserved.append((state, value))


def newer(obj: Any, version: int) -> Any:
    """The same object in a later version."""
    return replace(obj, metadata=replace(obj.metadata, resource_version=str(version)))
