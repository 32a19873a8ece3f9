"""Arguments of plugins in the configuration file: kube-scheduler's rules, and what is said of mistakes."""

from typing import Any

import pytest

from pallet.config.errors import ConfigError, FieldPath
from pallet.plugins.inter_pod_affinity import InterPodAffinity
from pallet.plugins.node_affinity import NodeAffinity
from pallet.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from pallet.plugins.node_resources_fit import NodeResourcesFit
from pallet.runtime.registry import PluginFactory
from tests.profiles import make_handle

PATH = FieldPath("config.yaml", "profiles[0].pluginConfig[0].args")
STRATEGY = "scoringStrategy"
RATIO = f"{STRATEGY}.requestedToCapacityRatio"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def build(kind: type[Any], args: dict[str, Any]) -> Any:
    return PluginFactory.of(kind).build(args, PATH, make_handle())


def by_shape(*points: tuple[int, int]) -> dict[str, Any]:
    shape = [{"utilization": utilization, "score": score} for utilization, score in points]
    return {
        "scoringStrategy": {"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": shape}}
    }


def requiring(**requirement: Any) -> dict[str, Any]:
    terms = [{"matchExpressions": [{"key": "ok", "operator": "Exists"}, requirement]}]
    return {"addedAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}


def preferring(weight: int, **requirement: Any) -> dict[str, Any]:
    term = {"weight": weight, "preference": {"matchFields": [requirement]}}
    return {"addedAffinity": {PREFERRED: [term]}}


@pytest.mark.parametrize(
    ("kind", "args", "path", "words"),
    [
        (NodeResourcesFit, {"ignoredResources": ["a b"]}, "", 'ignoredResources[0]: "a b" is not the name'),
        (NodeResourcesFit, {"ignoredResourceGroups": ["a", "b/c"]}, "", 'ignoredResourceGroups[1]: "b/c"'),
        (NodeResourcesFit, {STRATEGY: {"type": "Most"}}, f".{STRATEGY}.type", "must be one of"),
        (
            NodeResourcesFit,
            {STRATEGY: {"resources": [{"name": "cpu", "weight": 101}]}},
            f".{STRATEGY}.resources[0].weight",
            "must be <= 100",
        ),
        (
            NodeResourcesFit,
            {STRATEGY: {"resources": [{"name": "cpu", "weight": -1}]}},
            f".{STRATEGY}.resources[0].weight",
            "must be >= 0",
        ),
        (
            NodeResourcesFit,
            {STRATEGY: {"type": "RequestedToCapacityRatio"}},
            f".{STRATEGY}",
            "requestedToCapacityRatio is required with type RequestedToCapacityRatio",
        ),
        (
            NodeResourcesFit,
            {STRATEGY: by_shape((0, 1))[STRATEGY] | {"type": "MostAllocated"}},
            f".{STRATEGY}",
            "requestedToCapacityRatio must be left out with type MostAllocated",
        ),
        (NodeResourcesFit, by_shape(), f".{RATIO}", "shape must have at least one point"),
        (NodeResourcesFit, by_shape((5, 1), (5, 2)), f".{RATIO}", "shape[1].utilization must be greater"),
        (NodeResourcesFit, by_shape((101, 1)), f".{RATIO}.shape[0].utilization", "must be <= 100"),
        (NodeResourcesFit, by_shape((0, 11)), f".{RATIO}.shape[0].score", "must be <= 10"),
        (NodeResourcesFit, by_shape((0, -1)), f".{RATIO}.shape[0].score", "must be >= 0"),
        (
            NodeResourcesBalancedAllocation,
            {"resources": [{"name": "cpu", "weight": 2}]},
            "",
            "resources[0].weight must be 1",
        ),
        (
            NodeResourcesBalancedAllocation,
            {"resources": [{"name": "cpu"}, {"name": "cpu"}]},
            "",
            'resources[1].name: "cpu" stands there already',
        ),
        (InterPodAffinity, {"hardPodAffinityWeight": 101}, ".hardPodAffinityWeight", "must be <= 100"),
        (InterPodAffinity, {"hardPodAffinityWeight": -1}, ".hardPodAffinityWeight", "must be >= 0"),
        (
            NodeAffinity,
            requiring(key="a", operator="In"),
            "",
            f"addedAffinity.{REQUIRED}.nodeSelectorTerms[0] is not a node selector term",
        ),
        (NodeAffinity, requiring(key="a", operator="Exists", values=["x"]), "", "nodeSelectorTerms[0]"),
        (NodeAffinity, requiring(key="a", operator="Gt", values=["x"]), "", "nodeSelectorTerms[0]"),
        (NodeAffinity, requiring(key="a b", operator="Exists"), "", "nodeSelectorTerms[0]"),
        (NodeAffinity, requiring(key="a", operator="Near", values=["x"]), "", "nodeSelectorTerms[0]"),
        (
            NodeAffinity,
            preferring(1, key="metadata.name", operator="In", values=["a", "b"]),
            "",
            f"addedAffinity.{PREFERRED}[0].preference is not",
        ),
        (NodeAffinity, preferring(1, key="metadata.name", operator="Exists"), "", "[0].preference is not"),
    ],
)
def test_a_wrong_argument_is_named_with_its_place(
    kind: type[Any], args: dict[str, Any], path: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(kind, args)
    assert len(caught.value.mistakes) == 1
    assert str(caught.value).startswith(f"config.yaml: {PATH.steps}{path}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        (
            NodeResourcesFit,
            {"ignoredResources": ["gpu", "example.com/gpu"], "ignoredResourceGroups": ["a.b"]},
        ),
        (NodeResourcesFit, {STRATEGY: {"resources": [{"name": "cpu", "weight": 0}]}}),
        (NodeResourcesFit, {STRATEGY: {"type": "MostAllocated", "resources": []}}),
        (NodeResourcesFit, by_shape((0, 0), (100, 10))),
        (NodeResourcesBalancedAllocation, {"resources": [{"name": "cpu", "weight": 0}]}),
        (NodeResourcesBalancedAllocation, {"resources": []}),
        (NodeAffinity, requiring(key="a", operator="Lt", values=["3"])),
        (NodeAffinity, {"addedAffinity": {REQUIRED: {"nodeSelectorTerms": [{}]}}}),
        (NodeAffinity, preferring(0, key="metadata.name", operator="Exists")),
        (InterPodAffinity, {"hardPodAffinityWeight": 0, "ignorePreferredTermsOfExistingPods": True}),
    ],
)
def test_what_kube_scheduler_takes_is_taken(kind: type[Any], args: dict[str, Any]) -> None:
    assert build(kind, args).name
