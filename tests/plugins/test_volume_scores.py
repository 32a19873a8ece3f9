"""VolumeBinding ranks nodes by the storage that would be used there (change 1 of Kubernetes 1.37)."""

from collections.abc import Iterable
from typing import Any

import pytest

from pallet.api.labels import Labels
from pallet.api.selectors import LabelSelector
from tests.builders import HOSTNAME, ZONE, make_node, make_pod
from tests.plugins.volume_scene import Scene, a_pod, bound, full_driver, late, local
from tests.storage import claimed, make_claim, make_free_volume

MORE_IS_BETTER = [(0, 0), (100, 10)]
TWO = make_pod("p", volumes=[claimed("c"), claimed("d")])


def kept(name: str, node: str, size: str) -> Any:
    return make_free_volume(name, size=size, storage_class="local", reach={HOSTNAME: node})


def wanting(name: str, size: str = "1Gi", storage_class: str = "local") -> Any:
    return make_claim(name, storage_class=storage_class, size=size)


@pytest.mark.parametrize(
    ("objects", "shape", "scores"),
    [
        pytest.param(
            [kept("v", "a", "4Gi"), kept("w", "b", "2Gi")], (), {"a": 75, "b": 50}, id="less is better"
        ),
        pytest.param(
            [kept("v", "a", "4Gi"), kept("w", "b", "2Gi")],
            MORE_IS_BETTER,
            {"a": 25, "b": 50},
            id="as the shape says",
        ),
        pytest.param(
            [kept("v", "a", "4Gi"), kept("w", "a", "2Gi")],
            (),
            {"a": 50, "b": 0},
            id="the smallest that will do",
        ),
        pytest.param(
            [make_free_volume("v", size="4Gi", storage_class="local")],
            (),
            {"a": 75, "b": 75},
            id="from everywhere",
        ),
        pytest.param([], (), None, id="nothing to score"),
    ],
)
def test_change_1_by_the_free_volume_that_a_claim_would_get(
    objects: Iterable[Any], shape: Iterable[tuple[int, int]], scores: dict[str, int] | None
) -> None:
    assert Scene(wanting("c"), *objects, shape=shape).scores(a_pod("c")) == scores


@pytest.mark.parametrize(
    ("claims", "score"),
    [
        pytest.param([wanting("c"), wanting("d")], 75, id="claims of one class add up"),
        pytest.param(
            [wanting("c"), wanting("d", storage_class="late")], 38, id="classes count once each, rounded"
        ),
    ],
)
def test_change_1_several_claims(claims: Iterable[Any], score: int) -> None:
    volumes = [
        kept("v", "a", "4Gi"),
        kept("w", "a", "4Gi"),
        make_free_volume("x", size="1Gi", reach={HOSTNAME: "a"}),
    ]
    scores = Scene(*claims, *volumes).scores(TWO)
    assert scores is not None
    assert scores["a"] == score


@pytest.mark.parametrize(
    ("capacity", "topology", "scores"),
    [
        pytest.param("4Gi", LabelSelector(), {"a": 75, "b": 75}, id="everywhere"),
        pytest.param("4Gi", LabelSelector(Labels({ZONE: "z1"})), {"a": 75, "b": 0}, id="in one zone"),
        pytest.param("1Gi", LabelSelector(), {"a": 0, "b": 0}, id="all of it"),
        pytest.param("512Mi", LabelSelector(), {"a": 0, "b": 0}, id="too little"),
    ],
)
def test_change_1_by_the_capacity_from_which_a_volume_would_be_made(
    capacity: str, topology: LabelSelector, scores: dict[str, int]
) -> None:
    nodes = [make_node("a", labels={ZONE: "z1"}), make_node("b", labels={ZONE: "z2"})]
    objects = full_driver(capacity=capacity, node_topology=topology)
    assert Scene(wanting("c", storage_class="full"), *objects, nodes=nodes).scores(a_pod("c")) == scores


def test_change_1_free_volumes_count_before_capacity() -> None:
    objects = full_driver(capacity="4Gi", node_topology=LabelSelector())
    free = make_free_volume("v", size="2Gi", storage_class="full", reach={HOSTNAME: "a"})
    assert Scene(wanting("c", storage_class="full"), *objects, free).scores(a_pod("c")) == {"a": 50, "b": 75}


def test_change_1_bound_claims_and_volumes_without_account_are_not_scored() -> None:
    assert Scene(bound("c", "v")).scores(a_pod("c")) is None
    assert Scene(late("c")).scores(a_pod("c")) is None
    assert Scene(local("v", "a")).scores(make_pod("p")) is None
