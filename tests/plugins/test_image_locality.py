"""The figures are kube-scheduler's."""

from collections.abc import Mapping

import pytest

from pallet.api.volumes import ImageVolume, Volume
from pallet.plugins.image_locality import ImageLocality, tagged
from tests.builders import make_node, make_pod
from tests.plugins.asking import Asked

MB = 1024 * 1024


def holding(**images: int) -> Mapping[str, int]:
    """Images of so many megabytes, under the names that nodes report."""
    return {f"gcr.io/{name}:latest": size * MB for name, size in images.items()}


@pytest.mark.parametrize(
    ("images", "nodes", "expected"),
    [
        pytest.param(
            ("gcr.io/a", "gcr.io/b"),
            [holding(a=40, x=300), holding(b=250)],
            (0, 5),
            id="the larger image wins",
        ),
        pytest.param(
            ("gcr.io/a", "gcr.io/c"), [holding(a=40, c=300), holding(b=250)], (7, 0), id="both on one node"
        ),
        pytest.param(
            ("gcr.io/a", "gcr.io/b"), [holding(b=4000), holding(a=10)], (100, 0), id="no more than the limit"
        ),
        pytest.param(
            ("gcr.io/a", "gcr.io/b"),
            [holding(b=4000), holding(a=10), {}],
            (66, 0, 0),
            id="the fewer nodes have it, the less it counts",
        ),
        pytest.param(
            ("gcr.io/a", "gcr.io/b", "gcr.io/c"),
            [holding(b=600, c=900), holding(a=300, b=600, c=900), {}],
            (32, 36, 0),
            id="several images",
        ),
        pytest.param(
            ("gcr.io/a", "gcr.io/b"), [holding(a=30, b=40), holding(a=30)], (1, 0), id="small images"
        ),
        pytest.param(("gcr.io/none",), [holding(a=30), {}], (0, 0), id="an image that nobody has"),
        pytest.param(
            ("gcr.io/a", "gcr.io/a"), [holding(a=600), {}], (29, 0), id="an image used twice counts twice"
        ),
    ],
)
def test_nodes_rank_by_the_images_they_have(
    images: tuple[str, ...], nodes: list[Mapping[str, int]], expected: tuple[int, ...]
) -> None:
    asked = Asked(ImageLocality, [make_node(f"n{index}", images=held) for index, held in enumerate(nodes)])
    assert tuple(asked.scores(make_pod("p", images=images)).values()) == expected


@pytest.mark.parametrize(
    ("volumes", "expected"),
    [
        pytest.param([], (7, 0), id="none"),
        pytest.param([Volume(image=ImageVolume("gcr.io/b"))], (8, 0), id="one that a node has"),
        pytest.param([Volume(image=ImageVolume("gcr.io/none"))], (3, 0), id="one that no node has"),
        pytest.param([Volume("config")], (7, 0), id="a volume of another kind"),
    ],
)
def test_change_3_images_mounted_as_volumes_count_and_raise_the_limit(
    volumes: list[Volume], expected: tuple[int, int]
) -> None:
    nodes = [make_node("a", images=holding(a=200, b=200)), make_node("b")]
    pod = make_pod("p", images=["gcr.io/a"], volumes=volumes)
    assert tuple(Asked(ImageLocality, nodes).scores(pod).values()) == expected


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("nginx", "nginx:latest"),
        ("nginx:1.2", "nginx:1.2"),
        ("localhost:5000/nginx", "localhost:5000/nginx:latest"),
        ("localhost:5000/nginx:1.2", "localhost:5000/nginx:1.2"),
        ("nginx@sha256:0123", "nginx@sha256:0123"),
    ],
)
def test_an_image_has_a_tag(image: str, name: str) -> None:
    assert tagged(image) == name


def test_no_size_is_too_large_for_the_sum() -> None:
    images = {f"gcr.io/{name}:latest": 2**63 - 1 for name in "ab"}
    nodes = [make_node("huge", images=images), make_node("a")]
    pod = make_pod("p", images=("gcr.io/a", "gcr.io/b"))
    assert Asked(ImageLocality, nodes).scores(pod) == {"huge": 100, "a": 0}
