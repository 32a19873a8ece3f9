from importlib.metadata import EntryPoint
from typing import Any

import pytest

from pallet.config.errors import ConfigError, FieldPath
from pallet.config.schema import ExtensionPoint, PluginRef, Plugins, PluginSet, Profile
from pallet.plugins.names import NODE_AFFINITY
from pallet.plugins.node_affinity import NodeAffinity
from pallet.plugins.registry import BUILT_IN, DEFAULTS
from pallet.runtime import registry as module
from pallet.runtime.registry import PluginFactory, Registry
from tests.profiles import make_handle
from tests.runtime.sample_plugins import Flat, Limit

PATH = FieldPath("file.yaml", "profiles[0].plugins.multiPoint.enabled[0]")


def enabling(name: str) -> Profile:
    return Profile(plugins=Plugins(multi_point=PluginSet(enabled=(PluginRef(name=name, path=PATH),))))


def mistakes(registry: Registry, name: str) -> list[str]:
    return [str(mistake) for mistake in registry.mistakes(enabling(name))]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The entry points of installed packages, by name."""
    points = {"Flat": "tests.runtime.sample_plugins:Flat"}

    def entry_points(group: str) -> list[EntryPoint]:
        return [EntryPoint(name, value, group) for name, value in points.items()]

    monkeypatch.setattr(module, "entry_points", entry_points)
    return points


def test_built_in_plugins_can_be_enabled_where_those_of_kube_scheduler_can() -> None:
    registry = Registry(BUILT_IN)
    points = {name: registry.find(name).points for name, _ in DEFAULTS}
    point = ExtensionPoint
    assert points == {
        "SchedulingGates": {point.PRE_ENQUEUE},
        "PrioritySort": {point.QUEUE_SORT},
        "NodeName": {point.PRE_FILTER, point.FILTER},
        "NodeUnschedulable": {point.PRE_FILTER, point.FILTER},
        "TaintToleration": {point.PRE_FILTER, point.FILTER, point.PRE_SCORE, point.SCORE},
        "NodeAffinity": {point.PRE_FILTER, point.FILTER, point.PRE_SCORE, point.SCORE},
        "NodePorts": {point.PRE_FILTER, point.FILTER},
        "NodeResourcesFit": {point.PRE_FILTER, point.FILTER, point.PRE_SCORE, point.SCORE},
        "VolumeRestrictions": {point.PRE_FILTER, point.FILTER},
        "NodeVolumeLimits": {point.PRE_FILTER, point.FILTER},
        "VolumeBinding": {
            point.PRE_FILTER,
            point.FILTER,
            point.PRE_SCORE,
            point.SCORE,
            point.RESERVE,
            point.PRE_BIND,
        },
        "VolumeZone": {point.PRE_FILTER, point.FILTER},
        "PodTopologySpread": {point.PRE_FILTER, point.FILTER, point.PRE_SCORE, point.SCORE},
        "InterPodAffinity": {point.PRE_FILTER, point.FILTER, point.PRE_SCORE, point.SCORE},
        "DynamicResources": {
            point.PRE_ENQUEUE,
            point.PRE_FILTER,
            point.FILTER,
            point.POST_FILTER,
            point.SCORE,
            point.RESERVE,
            point.PRE_BIND,
            point.POD_GROUP_POST_FILTER,
        },
        "DefaultPreemption": {point.PRE_ENQUEUE, point.POST_FILTER, point.POD_GROUP_POST_FILTER},
        "NodeResourcesBalancedAllocation": {point.PRE_SCORE, point.SCORE},
        "ImageLocality": {point.SCORE},
        "DefaultBinder": {point.BIND},
        "NodeDeclaredFeatures": {point.PRE_FILTER, point.FILTER},
    }


def test_a_plugin_named_by_module_path() -> None:
    registry = Registry(BUILT_IN)
    assert mistakes(registry, Limit.name) == []
    assert registry.find(Limit.name).kind is Limit
    assert registry.find(Limit.name) is registry.find(Limit.name)
    assert registry.find(Limit.name).points == {ExtensionPoint.FILTER}


def test_a_plugin_of_an_installed_package(installed: dict[str, str]) -> None:
    registry = Registry(BUILT_IN)
    assert mistakes(registry, "Flat") == []
    assert registry.find("Flat").kind is Flat


def test_a_built_in_plugin_goes_before_an_installed_one_of_its_name(installed: dict[str, str]) -> None:
    installed[NODE_AFFINITY] = "tests.runtime.sample_plugins:Flat"
    assert Registry(BUILT_IN).find(NODE_AFFINITY).kind is NodeAffinity


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NodeAfinity", 'unknown plugin "NodeAfinity", did you mean "NodeAffinity"?'),
        ("GangScheduling", 'plugin "GangScheduling" of kube-scheduler is not implemented'),
        ("DeferredPodScheduling", 'plugin "DeferredPodScheduling" of kube-scheduler is not implemented'),
        ("nowhere.at.all:Plugin", 'cannot load plugin "nowhere.at.all:Plugin": No module named'),
        (
            "tests.runtime.sample_plugins:Missing",
            "module 'tests.runtime.sample_plugins' has no attribute 'Missing'",
        ),
        ("tests.runtime.broken_plugins:Plugin", "this module is broken"),
        ("tests.runtime.sample_plugins:", "cannot load plugin"),
        (":Plugin", "cannot load plugin"),
        ("tests.runtime.sample_plugins:SUCCESS", "is not a class"),
        (
            "tests.runtime.sample_plugins:Misnamed",
            'Misnamed": Misnamed.normalise is not a hook of plugins, did you mean "normalize"?',
        ),
        ("tests.runtime.sample_plugins:Misspelt", "pod_metadata names anotations; known are annotations"),
    ],
)
def test_a_plugin_that_cannot_be_had_is_a_mistake_with_its_place(name: str, message: str) -> None:
    (mistake,) = mistakes(Registry(BUILT_IN), name)
    assert mistake.startswith(f"{PATH}.name: ")
    assert message in mistake


def test_an_installed_plugin_that_cannot_be_loaded_is_a_mistake_too(installed: dict[str, str]) -> None:
    installed["Flat"] = "tests.runtime.broken_plugins:Flat"
    (mistake,) = mistakes(Registry(BUILT_IN), "Flat")
    assert "this module is broken" in mistake


def test_a_factory_gives_the_plugin_its_arguments_and_the_handle() -> None:
    handle = make_handle()
    plugin = PluginFactory.of(Limit).build({"mostPods": 5}, PATH, handle)
    assert (plugin.args.most_pods, plugin.handle) == (5, handle)
    assert PluginFactory.of(Limit).build({}, PATH, handle).args.most_pods == 3


@pytest.mark.parametrize(
    ("kind", "args", "message"),
    [
        (Limit, {"mostPods": "many"}, 'mostPods: must be an integer, got "many"'),
        (Limit, {"mostPod": 1}, 'mostPod: unknown field, did you mean "mostPods"?'),
        (Flat, {"height": 1}, "height: unknown field"),
    ],
)
def test_wrong_arguments_are_mistakes_with_their_place(
    kind: type[Any], args: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        PluginFactory.of(kind).build(args, PATH, make_handle())
    assert str(raised.value).startswith(f"{PATH}.{message}")
