"""Cases as the Kubernetes documentation has them under "Sidecar Containers", "Pod Overhead" and
"Assign Pod-level CPU and memory resources"."""

from collections.abc import Mapping, Sequence

import pytest

from pallet.api import requests as requests_module
from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.pod import Container, Pod, PodSpec, ResourceRequirements
from pallet.api.requests import LARGEST_AMOUNT, SCORED_CPU, SCORED_MEMORY, amount, requests_of

Quantities = Mapping[str, str]
GI = 1024**3


def container(requests: Quantities, *, sidecar: bool = False) -> Container:
    restart = "Always" if sidecar else ""
    return Container("c", "image", ResourceRequirements(Labels(requests)), restart_policy=restart)


def pod_of(
    *containers: Quantities,
    init: Sequence[Container] = (),
    overhead: Quantities | None = None,
    pod_level: Quantities | None = None,
) -> Pod:
    return Pod(
        ObjectMeta(name="p", uid="u"),
        PodSpec(
            containers=tuple(map(container, containers)),
            init_containers=tuple(init),
            overhead=Labels(overhead or {}),
            resources=None if pod_level is None else ResourceRequirements(Labels(pod_level)),
        ),
    )


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        pytest.param(pod_of({}), {}, id="nothing asked for"),
        pytest.param(pod_of({"cpu": "0"}), {}, id="zero is nothing"),
        pytest.param(pod_of({"cpu": "1"}, {"cpu": "500m"}), {"cpu": 1500}, id="containers add up"),
        pytest.param(
            pod_of({"cpu": "1", "example.com/gpu": "2"}, {"example.com/gpu": "1"}),
            {"cpu": 1000, "example.com/gpu": 3},
            id="extended resources too",
        ),
        pytest.param(
            pod_of(
                {"cpu": "1", "memory": "1Gi"}, init=[container({"cpu": "2"}), container({"memory": "3Gi"})]
            ),
            {"cpu": 2000, "memory": 3 * GI},
            id="the largest init container counts, resource by resource",
        ),
        pytest.param(
            pod_of({"cpu": "3"}, init=[container({"cpu": "2"})]),
            {"cpu": 3000},
            id="small init containers do not count",
        ),
        pytest.param(
            pod_of({"cpu": "1"}, init=[container({"cpu": "2"}, sidecar=True)]),
            {"cpu": 3000},
            id="a sidecar runs beside the containers",
        ),
        pytest.param(
            pod_of({"cpu": "1"}, init=[container({"cpu": "2"}, sidecar=True), container({"cpu": "5"})]),
            {"cpu": 7000},
            id="an init container runs beside the sidecars before it",
        ),
        pytest.param(
            pod_of({"cpu": "1"}, init=[container({"cpu": "5"}), container({"cpu": "2"}, sidecar=True)]),
            {"cpu": 5000},
            id="but not beside those after it",
        ),
        pytest.param(
            pod_of(
                {"cpu": "1"},
                init=[
                    container({"cpu": "1"}, sidecar=True),
                    container({"cpu": "3"}),
                    container({"cpu": "2"}, sidecar=True),
                    container({"cpu": "2"}),
                ],
            ),
            {"cpu": 5000},
            id="sidecars add up as they start",
        ),
        pytest.param(
            pod_of({"cpu": "1"}, init=[container({"cpu": "2"})], overhead={"cpu": "250m", "memory": "1Gi"}),
            {"cpu": 2250, "memory": GI},
            id="overhead comes on top of the larger phase",
        ),
        pytest.param(
            pod_of({"cpu": "1", "memory": "1Gi"}, pod_level={"cpu": "4"}),
            {"cpu": 4000, "memory": GI},
            id="the pod's own requests replace those of its containers",
        ),
        pytest.param(
            pod_of({"hugepages-2Mi": "2Mi"}, pod_level={"hugepages-2Mi": "4Mi"}),
            {"hugepages-2Mi": 4 * 1024**2},
            id="for hugepages too",
        ),
        pytest.param(
            pod_of({"example.com/gpu": "1"}, pod_level={"example.com/gpu": "4", "ephemeral-storage": "1Gi"}),
            {"example.com/gpu": 1},
            id="but not for other resources",
        ),
        pytest.param(
            pod_of({"cpu": "1"}, pod_level={"cpu": "2"}, overhead={"cpu": "100m"}),
            {"cpu": 2100},
            id="and overhead on top of them",
        ),
    ],
)
def test_requests(pod: Pod, expected: Mapping[str, int]) -> None:
    assert dict(requests_of(pod).amounts) == expected


@pytest.mark.parametrize(
    ("pod", "cpu", "memory"),
    [
        pytest.param(pod_of({}), SCORED_CPU, SCORED_MEMORY, id="a minimum for a container"),
        pytest.param(pod_of({}, {}), 2 * SCORED_CPU, 2 * SCORED_MEMORY, id="for each"),
        pytest.param(pod_of({"cpu": "1"}, {}), 1000 + SCORED_CPU, 2 * SCORED_MEMORY, id="that asks for none"),
        pytest.param(pod_of({"cpu": "0", "memory": "0"}), 0, 0, id="asking for zero is asking"),
        pytest.param(
            pod_of({}, init=[container({}, sidecar=True)]),
            2 * SCORED_CPU,
            2 * SCORED_MEMORY,
            id="sidecars too",
        ),
        pytest.param(
            pod_of({"cpu": "1", "memory": "1Gi"}, init=[container({})]),
            1000,
            GI,
            id="init containers one by one",
        ),
        pytest.param(
            pod_of({}, pod_level={"cpu": "10m"}), 10, SCORED_MEMORY, id="the pod's own requests win"
        ),
        pytest.param(pod_of({}, overhead={"cpu": "50m"}), SCORED_CPU + 50, SCORED_MEMORY, id="with overhead"),
    ],
)
def test_scored_requests(pod: Pod, cpu: int, memory: int) -> None:
    requests = requests_of(pod)
    assert (requests.scored_cpu, requests.scored_memory) == (cpu, memory)


@pytest.mark.parametrize(
    ("pod", "cpu", "memory"),
    [
        pytest.param(pod_of({"cpu": "1"}), 1000, SCORED_MEMORY, id="a minimum for a container"),
        pytest.param(
            pod_of({"cpu": "1"}, pod_level={"cpu": "4", "memory": "4Gi"}),
            1000,
            SCORED_MEMORY,
            id="the pod's own requests do not count",
        ),
        pytest.param(
            pod_of({}, pod_level={"cpu": "4"}, overhead={"cpu": "50m"}),
            SCORED_CPU + 50,
            SCORED_MEMORY,
            id="overhead does",
        ),
    ],
)
def test_ranked_requests(pod: Pod, cpu: int, memory: int) -> None:
    requests = requests_of(pod)
    assert (requests.ranked_cpu, requests.ranked_memory) == (cpu, memory)


@pytest.mark.parametrize(
    ("resource", "quantity", "expected"),
    [
        ("cpu", "1500m", 1500),
        ("cpu", "1u", 1),
        ("memory", "1k", 1000),
        ("memory", "1500m", 2),
        ("x/gpu", "3", 3),
    ],
)
def test_amounts_are_whole_and_rounded_up(resource: str, quantity: str, expected: int) -> None:
    assert amount(resource, quantity) == expected


def test_pods_of_one_template_share_the_answer() -> None:
    one, other = (
        pod_of({"cpu": "1"}, init=[container({"cpu": "2"})]),
        pod_of({"cpu": "1"}, init=[container({"cpu": "2"})]),
    )
    assert requests_of(one) is requests_of(other)


HUGE = {"cpu": "8E", "memory": "8E", "example.com/gpu": "8E"}


@pytest.mark.parametrize(
    "pod",
    [
        pod_of(HUGE),
        pod_of(HUGE, HUGE, HUGE),
        pod_of({}, init=[container(HUGE)]),
        pod_of({}, init=[container(HUGE, sidecar=True), container(HUGE)]),
        pod_of({}, overhead=HUGE),
        pod_of({"example.com/gpu": "8E"}, pod_level={"cpu": "8E", "memory": "8E"}, overhead=HUGE),
    ],
)
def test_no_more_than_the_largest_amount_is_counted_and_what_is_beyond_is_known(pod: Pod) -> None:
    requests = requests_of(pod)
    assert requests.beyond == ("cpu", "example.com/gpu", "memory")
    assert dict(requests.amounts) == dict.fromkeys(requests.beyond, LARGEST_AMOUNT)
    assert requests.scored_cpu == requests.scored_memory == LARGEST_AMOUNT
    assert max(requests.ranked_cpu, requests.ranked_memory) <= LARGEST_AMOUNT


def test_the_amount_of_one_resource() -> None:
    requests = requests_of(pod_of({"cpu": "1", "memory": "3", "a.example/x": "2"}))
    names = ("a.example/x", "a.example/y", "cpu", "memory", "pods", "")
    assert [requests.of(name) for name in names] == [2, 0, 1000, 3, 0, 0]
    assert requests.beyond == ()


def test_an_init_container_costs_no_more_for_the_resources_of_those_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[int] = []
    monkeypatch.setattr(requests_module, "_raise_to", lambda _, floor: compared.append(len(floor)))
    requests_of(
        pod_of({}, init=[container({f"example.com/{number}": "1"}, sidecar=True) for number in range(100)])
    )
    assert sum(compared) < 10 * 100  # with those before them, half of 100 * 100
