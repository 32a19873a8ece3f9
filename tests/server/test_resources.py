"""What is shown of each pod's requests and limits."""

from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.pod import (
    ActuatedResources,
    Container,
    ContainerStatus,
    Pod,
    PodSpec,
    PodStatus,
    ResourceRequirements,
)
from pallet.server.resources import PIECE, resource_metrics


def container(requests: dict[str, str], limits: dict[str, str], *, sidecar: bool = False) -> Container:
    return Container(
        resources=ResourceRequirements(Labels(requests), Labels(limits)),
        restart_policy="Always" if sidecar else "",
    )


def pod(*containers: Container, phase: str = "Running", node: str = "n1", **spec: Any) -> Pod:
    return Pod(
        metadata=ObjectMeta(name="web", namespace="shop"),
        spec=PodSpec(containers=containers, node_name=node, **spec),
        status=PodStatus(phase=phase),
    )


def samples(*pods: Pod) -> dict[tuple[str, str], tuple[float, dict[str, str]]]:
    """The values and labels by metric and resource."""
    text = "".join(resource_metrics(pods))
    return {
        (sample.name.removeprefix("kube_pod_resource_"), sample.labels["resource"]): (
            sample.value,
            sample.labels,
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def values(*pods: Pod) -> dict[tuple[str, str], float]:
    return {key: value for key, (value, _) in samples(*pods).items()}


def test_a_pod_is_shown_with_its_place_and_units() -> None:
    found = samples(pod(container({"cpu": "250m", "memory": "1Ki", "nvidia.com/gpu": "1"}, {}), priority=7))
    value, labels = found["request", "cpu"]
    assert value == 0.25
    assert labels == {
        "namespace": "shop",
        "pod": "web",
        "node": "n1",
        "scheduler": "default-scheduler",
        "priority": "7",
        "resource": "cpu",
        "unit": "cores",
    }
    assert found["request", "memory"][0] == 1024
    assert found["request", "memory"][1]["unit"] == "bytes"
    assert found["request", "nvidia.com/gpu"][1]["unit"] == ""


@pytest.mark.parametrize(
    ("resource", "unit"),
    [
        ("ephemeral-storage", "bytes"),
        ("hugepages-2Mi", "bytes"),
        ("attachable-volumes-csi-x", "integer"),
        ("example.com/thing", ""),
    ],
)
def test_units(resource: str, unit: str) -> None:
    assert samples(pod(container({resource: "2"}, {})))["request", resource][1]["unit"] == unit


def test_requests_and_limits_add_up_over_containers_and_sidecars() -> None:
    shown = values(
        pod(
            container({"cpu": "1"}, {"cpu": "2"}),
            container({"cpu": "1"}, {"cpu": "2", "memory": "5"}),
            init_containers=(
                container({"cpu": "1"}, {"cpu": "3"}, sidecar=True),
                container({}, {"cpu": "9"}),
            ),
        )
    )
    assert shown == {("request", "cpu"): 3, ("limit", "cpu"): 12, ("limit", "memory"): 5}


def test_overhead_counts_for_limits_only_where_there_is_one() -> None:
    shown = values(pod(container({}, {"cpu": "2"}), overhead=Labels({"cpu": "1", "memory": "10"})))
    assert shown == {("request", "cpu"): 1, ("request", "memory"): 10, ("limit", "cpu"): 3}


def test_limits_of_the_pod_replace_those_of_its_containers() -> None:
    limits = ResourceRequirements(limits=Labels({"cpu": "5"}))
    shown = values(pod(container({}, {"cpu": "2"}), resources=limits))
    assert shown == {("limit", "cpu"): 5}


@pytest.mark.parametrize(
    ("phase", "node", "counted"),
    [
        ("Running", "n1", True),
        ("Pending", "", True),
        ("Succeeded", "n1", False),
        ("Failed", "n1", False),
        ("Failed", "", True),
    ],
)
def test_pods_that_ran_to_their_end_do_not_count(phase: str, node: str, *, counted: bool) -> None:
    assert bool(values(pod(container({"cpu": "1"}, {}), phase=phase, node=node))) == counted


def test_a_scheduler_name_cannot_break_out_of_its_label() -> None:
    name = 'a"} 1\nforged{b="\\'
    found = samples(pod(container({"cpu": "1"}, {}), scheduler_name=name))
    assert found["request", "cpu"][1]["scheduler"] == name


def test_many_pods_come_in_pieces() -> None:
    pods = [pod(container({"cpu": "1"}, {"cpu": "1"}))] * (PIECE * 2 + 1)
    pieces = list(resource_metrics(pods))
    assert max(piece.count("\n") for piece in pieces) == PIECE
    assert sum(piece.count("} 1.0\n") for piece in pieces) == 2 * len(pods)


def test_a_resize_is_not_shown_before_the_spec_has_it() -> None:
    asking = pod(container({"cpu": "1"}, {}))
    got = ContainerStatus("", resources=ActuatedResources(Labels({"cpu": "2"})))
    resizing = replace(asking, status=replace(asking.status, container_statuses=(got,)))
    assert values(resizing)["request", "cpu"] == 1
