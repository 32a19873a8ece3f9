from pathlib import Path
from typing import Any

import pytest
import yaml

from pallet.config.errors import ConfigError
from pallet.config.load import load
from pallet.config.schema import GROUP, KIND
from pallet.plugins.node_resources_fit import NodeResourcesFit
from pallet.plugins.registry import BUILT_IN, DEFAULTS
from pallet.runtime.adapter import FilterAdapter, ScoreAdapter
from pallet.runtime.profile import Profile, build_profile
from pallet.runtime.registry import Registry
from tests.profiles import default_profile, make_handle
from tests.runtime.sample_plugins import Limit

PLAIN = "tests.runtime.sample_plugins:Flat"


def build(directory: Path, profile: dict[str, Any]) -> Profile:
    """The profile of a configuration file."""
    file = directory / "config.yaml"
    file.write_text(yaml.safe_dump({"apiVersion": f"{GROUP}/v1", "kind": KIND, "profiles": [profile]}))
    return build_profile(load(file).profiles[0], DEFAULTS, Registry(BUILT_IN), make_handle())


def names(plugins: Any) -> list[str]:
    return [plugin.name for plugin in plugins]


def weights(profile: Profile) -> dict[str, int]:
    return {plugin.name: weight for plugin, weight in profile.score}


def test_the_defaults_in_kube_schedulers_order_with_its_weights() -> None:
    profile = default_profile()
    assert profile.scheduler_name == "default-scheduler"
    assert names(profile.filter) == [
        "NodeName",
        "NodeUnschedulable",
        "TaintToleration",
        "NodeAffinity",
        "NodePorts",
        "NodeResourcesFit",
        "VolumeRestrictions",
        "NodeVolumeLimits",
        "VolumeBinding",
        "VolumeZone",
        "PodTopologySpread",
        "InterPodAffinity",
        "NodeDeclaredFeatures",
    ]
    assert weights(profile) == {
        "TaintToleration": 3,
        "NodeAffinity": 2,
        "NodeResourcesFit": 1,
        "VolumeBinding": 1,
        "PodTopologySpread": 2,
        "InterPodAffinity": 2,
        "NodeResourcesBalancedAllocation": 1,
        "ImageLocality": 1,
    }
    assert names(profile.pre_enqueue) == ["SchedulingGates", "DefaultPreemption"]
    assert names(profile.post_filter) == ["DynamicResources", "DefaultPreemption"]
    assert names(profile.reserve) == names(profile.pre_bind) == ["VolumeBinding"]
    assert names(profile.bind) == ["DefaultBinder"]
    assert profile.queue_sort.name == "PrioritySort"
    assert profile.permit == ()


def test_a_plugin_is_one_object_at_all_its_extension_points() -> None:
    profile = default_profile()
    affinity = profile.plugins["NodeAffinity"]
    assert any(plugin is affinity for plugin in profile.pre_filter)
    assert any(plugin is affinity for plugin in profile.filter)
    assert any(plugin is affinity for plugin, _ in profile.score)


def test_what_the_file_says_about_one_extension_point_holds_there_only(tmp_path: Path) -> None:
    profile = build(
        tmp_path,
        {
            "plugins": {
                "score": {
                    "disabled": [{"name": "*"}],
                    "enabled": [{"name": "ImageLocality", "weight": 7}, {"name": "NodeAffinity"}],
                },
                "filter": {"disabled": [{"name": "NodePorts"}]},
            }
        },
    )
    assert weights(profile) == {"ImageLocality": 7, "NodeAffinity": 1}
    assert "NodePorts" not in names(profile.filter)
    assert "NodeResourcesFit" in names(profile.filter)


def test_a_plugin_may_be_named_where_only_kube_schedulers_has_something_to_do(tmp_path: Path) -> None:
    enabled = {
        "preFilter": {"enabled": [{"name": "NodePorts"}]},
        "score": {"enabled": [{"name": "DynamicResources"}]},
    }
    profile = build(tmp_path, {"plugins": enabled})
    assert "NodePorts" not in names(profile.pre_filter)
    assert "NodePorts" in names(profile.filter)
    assert "DynamicResources" not in weights(profile)


def test_a_disabled_plugin_is_not_even_made(tmp_path: Path) -> None:
    profile = build(tmp_path, {"plugins": {"multiPoint": {"disabled": [{"name": "InterPodAffinity"}]}}})
    assert "InterPodAffinity" not in profile.plugins


def test_plain_plugins_are_lifted(tmp_path: Path) -> None:
    enabled = [{"name": PLAIN, "weight": 4}, {"name": Limit.name}]
    config = [{"name": Limit.name, "args": {"mostPods": 8}}]
    profile = build(tmp_path, {"plugins": {"multiPoint": {"enabled": enabled}}, "pluginConfig": config})
    assert isinstance(profile.filter[-1], FilterAdapter)
    assert isinstance(profile.score[-1][0], ScoreAdapter)
    assert profile.score[-1][1] == 4
    limit = profile.plugins[Limit.name]
    assert isinstance(limit, Limit)
    assert limit.args.most_pods == 8


def test_arguments_reach_their_plugin(tmp_path: Path) -> None:
    args = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "NodeResourcesFitArgs",
        "ignoredResources": ["example.com/gpu"],
    }
    profile = build(tmp_path, {"pluginConfig": [{"name": "NodeResourcesFit", "args": args}]})
    fit = profile.plugins["NodeResourcesFit"]
    assert isinstance(fit, NodeResourcesFit)
    assert fit._args.ignored_resources == ("example.com/gpu",)


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (
            {"plugins": {"filter": {"enabled": [{"name": "NodePort"}]}}},
            'plugins.filter.enabled[0].name: unknown plugin "NodePort", did you mean "NodePorts"?',
        ),
        (
            {"plugins": {"score": {"enabled": [{"name": "NodePorts"}]}}},
            'plugins.score.enabled[0].name: plugin "NodePorts" does not implement score',
        ),
        (
            {"pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "Best"}}}]},
            "pluginConfig[0].args.scoringStrategy.type: must be one of",
        ),
        (
            {"pluginConfig": [{"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 101}}]},
            "pluginConfig[0].args.hardPodAffinityWeight: must be",
        ),
        (
            {"plugins": {"queueSort": {"disabled": [{"name": "*"}]}}},
            "plugins.queueSort: exactly one plugin must sort the queue, got none",
        ),
        (
            {"plugins": {"multiPoint": {"enabled": [{"name": "tests.runtime.broken_plugins:Plugin"}]}}},
            "plugins.multiPoint.enabled[0].name: cannot load plugin",
        ),
    ],
)
def test_mistakes_name_the_file_and_the_path(tmp_path: Path, profile: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        build(tmp_path, profile)
    assert "config.yaml: profiles[0]." + message in str(raised.value)
