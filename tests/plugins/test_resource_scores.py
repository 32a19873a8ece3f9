"""Scores of NodeResourcesFit and NodeResourcesBalancedAllocation; the figures are kube-scheduler's."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from pallet.api.labels import Labels
from pallet.api.node import Node
from pallet.api.pod import Pod, ResourceRequirements
from pallet.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from pallet.plugins.node_resources_fit import NodeResourcesFit
from tests.builders import make_node, make_pod
from tests.plugins.asking import Asked

GPU = "example.com/gpu"
CPU_AND_MEMORY = {"resources": [{"name": "cpu"}, {"name": "memory"}]}


def node(name: str, cpu: str, memory: str, gpus: int = 0) -> Node:
    return make_node(name, cpu=cpu, offers={"memory": memory} | ({GPU: str(gpus)} if gpus else {}))


def pod(name: str = "p", on: str = "", **requests: str) -> Pod:
    """A pod that asks for cpu, memory and gpu; nothing it does not name."""
    return make_pod(
        name, node=on, requests={GPU if key == "gpu" else key: each for key, each in requests.items()}
    )


@pytest.mark.parametrize(
    ("wanted", "nodes", "placed", "expected"),
    [
        pytest.param(
            pod(cpu="3", memory="5000"),
            [node("a", "4", "10000"), node("b", "6", "10000")],
            [],
            (68, 75),
            id="nothing placed: what is used evenly stays at 75",
        ),
        pytest.param(
            pod(cpu="3", memory="5000"),
            [node("a", "10", "20000"), node("b", "10", "20000")],
            [pod("q", "a", cpu="3"), pod("r", "b", cpu="3", memory="5000")],
            (73, 74),
            id="pods placed",
        ),
        pytest.param(
            pod(cpu="3", memory="5000"),
            [node("a", "10", "20000"), node("b", "10", "50000")],
            [pod("q", "a", cpu="3"), pod("r", "b", cpu="3", memory="5000")],
            (73, 70),
            id="nodes of different sizes",
        ),
        pytest.param(
            pod(memory="5000"),
            [node("a", "3", "5000"), node("b", "3", "5000")],
            [pod("q", "a", cpu="3")],
            (100, 50),
            id="the extremes: made even, and made as uneven as can be",
        ),
        pytest.param(
            pod(cpu="3"),
            [node("a", "6", "10000"), node("b", "6", "10000")],
            [pod("q", "a", cpu="3"), pod("r", "b", cpu="3", memory="5000")],
            (62, 62),
            id="a node used up",
        ),
        pytest.param(
            pod(cpu="9", memory="5000"),
            [node("a", "4", "10000"), node("b", "6", "10000")],
            [],
            (62, 62),
            id="more than all is all",
        ),
        pytest.param(
            pod(cpu="1"),
            [make_node("a", offers={"memory": "0"}), make_node("b", cpu="0", offers={"memory": "0"})],
            [],
            (75, 75),
            id="a single resource is always in balance",
        ),
    ],
)
def test_balance_of_cpu_and_memory(
    wanted: Pod, nodes: list[Node], placed: list[Pod], expected: tuple[int, int]
) -> None:
    scores = Asked(NodeResourcesBalancedAllocation, nodes, placed).scores(wanted)
    assert tuple(scores.values()) == expected


@pytest.mark.parametrize(
    ("wanted", "nodes", "placed", "expected"),
    [
        pytest.param(
            pod(cpu="0", memory="0", gpu="1"),
            [node("a", "3500m", "40000", 8), node("b", "3500m", "40000", 8)],
            [pod("q", "a", cpu="3", memory="5000", gpu="3"), pod("r", "b", cpu="3", memory="5000")],
            {"a": 75, "b": 76},
            id="three resources when the pod asks for the third",
        ),
        pytest.param(
            pod(cpu="3", memory="5000"),
            [node("a", "3500m", "40000", 8), node("b", "3500m", "40000")],
            [],
            {"a": 56, "b": 56},
            id="two when it does not",
        ),
        pytest.param(
            pod(gpu="1"), [node("a", "1", "100")], [], {"a": 75}, id="a resource that nobody offers"
        ),
    ],
)
def test_balance_of_an_extended_resource(
    wanted: Pod, nodes: list[Node], placed: list[Pod], expected: Mapping[str, int]
) -> None:
    args = {"resources": [{"name": "cpu"}, {"name": "memory"}, {"name": GPU}]}
    assert Asked(NodeResourcesBalancedAllocation, nodes, placed, args=args).scores(wanted) == expected


def test_a_resource_unknown_to_the_cluster_alone_leaves_nothing_to_balance() -> None:
    args = {"resources": [{"name": GPU}]}
    asked = Asked(NodeResourcesBalancedAllocation, [make_node("a")], args=args)
    assert asked.scores(pod(gpu="1")) == {"a": 75}
    assert asked.scores(pod(cpu="1")) == {}


def test_pods_without_requests_have_no_say_in_the_balance() -> None:
    asked = Asked(NodeResourcesBalancedAllocation, [make_node("a")], [make_pod("q", node="a", requests={})])
    assert asked.scores(pod()) == {}
    assert asked.scores(pod(cpu="0")) == {}


@pytest.mark.parametrize(
    ("strategy", "wanted", "nodes", "placed", "expected"),
    [
        pytest.param(
            "LeastAllocated",
            pod(cpu="3", memory="5000"),
            [node("a", "4", "10000"), node("b", "6", "10000")],
            [],
            (37, 50),
            id="least: the mean of what is left, each rounded down",
        ),
        pytest.param(
            "MostAllocated",
            pod(cpu="3", memory="5000"),
            [node("a", "4", "10000"), node("b", "6", "10000")],
            [],
            (62, 50),
            id="most: the mean of what is used",
        ),
        pytest.param(
            "LeastAllocated",
            pod(cpu="3", memory="5000"),
            [node("a", "10", "20000"), node("b", "10", "20000")],
            [pod("q", "a", cpu="3", memory="0"), pod("r", "b", cpu="3", memory="5000")],
            (57, 45),
            id="least: placed pods count",
        ),
        pytest.param(
            "MostAllocated",
            pod(cpu="3", memory="5000"),
            [node("a", "10", "20000"), node("b", "10", "20000")],
            [pod("q", "a", cpu="3", memory="0"), pod("r", "b", cpu="3", memory="5000")],
            (42, 55),
            id="most: placed pods count",
        ),
        pytest.param(
            "LeastAllocated",
            pod(cpu="5", memory="5000"),
            [node("a", "4", "10000"), node("b", "6", "10000")],
            [],
            (25, 33),
            id="least: nothing for more than there is",
        ),
        pytest.param(
            "MostAllocated",
            pod(cpu="5", memory="5000"),
            [node("a", "4", "10000"), node("b", "6", "10000")],
            [],
            (75, 66),
            id="most: more than there is counts as all of it",
        ),
        pytest.param(
            "LeastAllocated",
            pod(),
            [make_node("a", cpu="1", offers={"memory": "1000Mi"}), make_node("b", cpu="2")],
            [],
            (85, 96),
            id="least: a pod without requests counts at a minimum",
        ),
        pytest.param(
            "LeastAllocated",
            pod(cpu="1"),
            [make_node("a", offers={"memory": "0"}), make_node("b", cpu="0")],
            [],
            (75, 98),
            id="least: only what the node offers",
        ),
        pytest.param(
            "MostAllocated",
            pod(cpu="1"),
            [make_node("a", cpu="0", offers={"memory": "0"}), make_node("b")],
            [],
            (0, 13),
            id="most: a node that offers nothing",
        ),
    ],
)
def test_allocation_of_cpu_and_memory(
    strategy: str, wanted: Pod, nodes: list[Node], placed: list[Pod], expected: tuple[int, int]
) -> None:
    asked = Asked(NodeResourcesFit, nodes, placed, args={"scoringStrategy": {"type": strategy}})
    assert tuple(asked.scores(wanted).values()) == expected


def test_requests_of_the_whole_pod_count_where_it_is_placed_and_not_while_nodes_are_ranked_for_it() -> None:
    whole = pod_level(pod(cpu="1", memory="1000"), cpu="3", memory="5000")
    placed = pod_level(pod("q", "b", cpu="1", memory="1000"), cpu="3", memory="5000")
    asked = Asked(NodeResourcesFit, [node("a", "4", "10000"), node("b", "4", "10000")], [placed])
    assert asked.scores(whole) == {"a": 82, "b": 20}


def pod_level(pod: Pod, **requests: str) -> Pod:
    return replace(pod, spec=replace(pod.spec, resources=ResourceRequirements(Labels(requests))))


@pytest.mark.parametrize(
    ("resources", "wanted", "expected"),
    [
        pytest.param(
            [{"name": "cpu", "weight": 3}, {"name": "memory"}], pod(cpu="1", memory="0"), 81, id="weighted"
        ),
        pytest.param([{"name": GPU, "weight": 2}, {"name": "cpu"}], pod(cpu="1", gpu="1"), 58, id="extended"),
        pytest.param(
            [{"name": GPU, "weight": 2}, {"name": "cpu"}], pod(cpu="1"), 75, id="extended, not asked for"
        ),
        pytest.param(
            [{"name": "none.com/x"}, {"name": "cpu"}], pod(cpu="1"), 75, id="unknown to the cluster"
        ),
        pytest.param([{"name": "ephemeral-storage"}], pod(cpu="1"), 0, id="not offered"),
    ],
)
def test_resources_are_scored_as_the_arguments_say(
    resources: list[dict[str, Any]], wanted: Pod, expected: int
) -> None:
    args = {"scoringStrategy": {"resources": resources}}
    assert Asked(NodeResourcesFit, [node("a", "4", "10000", 2)], args=args).scores(wanted) == {"a": expected}


FALLING, RISING = [(0, 10), (100, 0)], [(0, 0), (100, 10)]


@pytest.mark.parametrize(
    ("shape", "wanted", "expected"),
    [
        pytest.param(FALLING, pod(cpu="3", memory="5000"), (38, 50), id="the mean, rounded half up"),
        pytest.param(RISING, pod(cpu="3", memory="5000"), (63, 50), id="the other way round"),
        pytest.param(RISING, pod(cpu="0", memory="5000"), (50, 50), id="a score of 0 takes no part"),
        pytest.param(RISING, pod(cpu="0", memory="0"), (0, 0), id="nothing but such"),
        pytest.param(RISING, pod(cpu="5", memory="20000"), (100, 92), id="more than all is all"),
        pytest.param([(40, 2), (60, 8)], pod(cpu="1", memory="9000"), (50, 50), id="flat outside"),
        pytest.param([(0, 10), (9, 9), (100, 0)], pod(cpu="500m", memory="100"), (94, 96), id="whole scores"),
        pytest.param([(7, 3)], pod(cpu="1", memory="100"), (30, 30), id="a single point"),
    ],
)
def test_scores_by_the_shape_of_a_function(
    shape: list[tuple[int, int]], wanted: Pod, expected: tuple[int, int]
) -> None:
    points = [{"utilization": utilization, "score": score} for utilization, score in shape]
    ratio = {"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": points}}
    nodes = [node("a", "4", "10000"), node("b", "6", "10000")]
    scores = Asked(NodeResourcesFit, nodes, args={"scoringStrategy": ratio}).scores(wanted)
    assert tuple(scores.values()) == expected


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([{"name": "cpu", "weight": 3}, {"name": "memory", "weight": 1}], 69),
        ([{"name": "cpu", "weight": 3}, {"name": "memory", "weight": 0}], 69),
        ([{"name": "memory"}], 50),
        ([{"name": "memory"}, {"name": GPU, "weight": 9}], 50),
    ],
)
def test_weights_of_resources_scored_by_shape(resources: list[dict[str, Any]], expected: int) -> None:
    shape = [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]
    strategy = {"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": shape}}
    args = {"scoringStrategy": strategy | {"resources": resources}}
    asked = Asked(NodeResourcesFit, [node("a", "4", "10000", 4)], args=args)
    assert asked.scores(pod(cpu="3", memory="5000")) == {"a": expected}
