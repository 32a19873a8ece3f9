from typing import Any

import pytest

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.selectors import LabelRequirement, LabelSelector
from pallet.api.storage import CSIDriver, CSIDriverSpec
from tests.builders import HOSTNAME, ZONE, make_node
from tests.plugins.volume_scene import Scene, a_pod, full_driver, late
from tests.storage import DRIVER, make_claim, make_class

NO_MATCH = "node(s) didn't find available persistent volumes to bind"
NO_SPACE = "node(s) did not have enough free storage"
EVERYWHERE = LabelSelector()


@pytest.mark.parametrize(
    ("topologies", "reached"),
    [
        ((), "abc"),
        (({ZONE: "z1"},), "a"),
        (({ZONE: "z1"}, {ZONE: "z2"}), "ab"),
        (({ZONE: "z1", "rack": "r1"},), ""),
        (({},), ""),
    ],
)
def test_where_a_class_allows_volumes(topologies: tuple[dict[str, str], ...], reached: str) -> None:
    nodes = [make_node("a", labels={ZONE: "z1"}), make_node("b", labels={ZONE: "z2"}), make_node("c")]
    made_by = make_class("zonal", late=True, topologies=topologies)
    messages = Scene(made_by, late("c", storage_class="zonal"), nodes=nodes).messages(a_pod("c"))
    assert messages == {name: "" if name in reached else NO_MATCH for name in "abc"}


@pytest.mark.parametrize(
    ("size", "capacity", "reached"),
    [
        pytest.param("1Gi", {}, "", id="nothing known"),
        pytest.param("1Gi", {"node_topology": EVERYWHERE, "capacity": "1Gi"}, "ab", id="enough"),
        pytest.param("1Gi", {"node_topology": EVERYWHERE, "capacity": "1023Mi"}, "", id="too little"),
        pytest.param("1Gi", {"node_topology": EVERYWHERE}, "", id="no capacity known"),
        pytest.param("1Gi", {"capacity": "1Gi"}, "", id="no nodes"),
        pytest.param(None, {}, "ab", id="no size to look at"),
        pytest.param(
            "1Gi",
            {"node_topology": EVERYWHERE, "capacity": "9Gi", "maximum_volume_size": "1Mi"},
            "",
            id="enough, but not in one piece",
        ),
        pytest.param(
            "1Gi",
            {"node_topology": LabelSelector(Labels({HOSTNAME: "b"})), "capacity": "1Gi"},
            "b",
            id="on one node",
        ),
        pytest.param(
            "1Gi",
            {
                "node_topology": LabelSelector(Labels(), (LabelRequirement(HOSTNAME, "NotIn", ("b",)),)),
                "capacity": "1Gi",
            },
            "a",
            id="on other nodes",
        ),
    ],
)
def test_where_there_is_capacity(size: str | None, capacity: dict[str, Any], reached: str) -> None:
    scene = Scene(*full_driver(**capacity), make_claim("c", storage_class="full", size=size))
    messages = scene.messages(a_pod("c"))
    assert messages == {name: "" if name in reached else NO_SPACE for name in "ab"}


def test_capacity_counts_for_its_class_only_and_as_it_is_now() -> None:
    objects = full_driver(node_topology=EVERYWHERE, capacity="1Gi")
    other = make_class("other", "full.example.com", late=True)
    scene = Scene(*objects, other, late("c", storage_class="full"), late("d", storage_class="other"))
    assert scene.messages(a_pod("c"))["a"] == ""
    assert scene.messages(a_pod("d"))["a"] == NO_SPACE
    scene.lose(scene.api.objects["kube-system/cap"])
    assert scene.messages(a_pod("c"))["a"] == NO_SPACE


def test_capacity_counts_on_nodes_as_they_are_now() -> None:
    there = full_driver(node_topology=LabelSelector(Labels({HOSTNAME: "c"})), capacity="1Gi")
    scene = Scene(*there, late("c", storage_class="full"))
    assert scene.messages(a_pod("c")) == {"a": NO_SPACE, "b": NO_SPACE}
    scene.see(make_node("c"))
    assert scene.messages(a_pod("c")) == {"a": NO_SPACE, "b": NO_SPACE, "c": ""}


def test_a_driver_that_keeps_no_account_has_room() -> None:
    driver = CSIDriver(ObjectMeta(name=DRIVER), CSIDriverSpec(storage_capacity=False))
    assert Scene(driver, late("c")).messages(a_pod("c")) == {"a": "", "b": ""}
