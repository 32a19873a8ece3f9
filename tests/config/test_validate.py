import pytest

from pallet.config.errors import ConfigError
from tests.config.documents import configuration

PROFILE = "profiles:\n- "


def mistakes(body: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        configuration(body)
    return [line.removeprefix("c.yaml: ") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("parallelism: 0", "parallelism: must be greater than 0"),
        ("parallelism: 3000000000", "parallelism: must be <= 2147483647, got 3000000000"),
        ("percentageOfNodesToScore: 101", "percentageOfNodesToScore: must be <= 100, got 101"),
        ("percentageOfNodesToScore: -1", "percentageOfNodesToScore: must be >= 0, got -1"),
        (
            PROFILE + "percentageOfNodesToScore: -1",
            "profiles[0].percentageOfNodesToScore: must be >= 0, got -1",
        ),
        ("podInitialBackoffSeconds: 0", "podInitialBackoffSeconds: must be greater than 0"),
        (
            "podInitialBackoffSeconds: 11",
            "podMaxBackoffSeconds: must not be less than podInitialBackoffSeconds",
        ),
        ("clientConnection: {burst: -1}", "clientConnection.burst: must be >= 0, got -1"),
        ("leaderElection: {retryPeriod: -1s}", "leaderElection.retryPeriod: must be greater than 0s"),
        (
            "leaderElection: {renewDeadline: 15s}",
            "leaderElection.renewDeadline: must be less than leaseDuration",
        ),
        (
            "leaderElection: {retryPeriod: 9s}",
            "leaderElection.retryPeriod: times 1.2 must be less than renewDeadline",
        ),
        (
            "leaderElection: {resourceLock: endpoints}",
            'leaderElection.resourceLock: must be "leases", got "endpoints"',
        ),
        (
            "profiles: [{schedulerName: a}, {}]",
            "profiles[1].schedulerName: is required",
        ),
        (
            "profiles: [{schedulerName: a}, {schedulerName: b}, {schedulerName: a}]",
            'profiles[2].schedulerName: "a" is also the name of profiles[0]',
        ),
        (
            PROFILE + "plugins: {filter: {enabled: [{name: A, weight: -1}]}}",
            "profiles[0].plugins.filter.enabled[0].weight: must be >= 0, got -1",
        ),
        (
            PROFILE + 'plugins: {filter: {enabled: [{name: "*"}]}}',
            'profiles[0].plugins.filter.enabled[0].name: "*" can only be disabled',
        ),
        (
            PROFILE + "plugins: {bind: {enabled: [{name: A}, {name: B}, {name: A}]}}",
            'profiles[0].plugins.bind.enabled[2].name: "A" is enabled twice in profiles[0].plugins.bind',
        ),
        (
            PROFILE + "pluginConfig: [{name: A}, {name: B}, {name: A}]",
            'profiles[0].pluginConfig[2].name: "A" has arguments already',
        ),
        (
            PROFILE + "pluginConfig: [{name: A, args: {kind: BArgs}}]",
            'profiles[0].pluginConfig[0].args.kind: must be "AArgs", got "BArgs"',
        ),
        (
            PROFILE + "pluginConfig: [{name: A, args: {apiVersion: 1}}]",
            "profiles[0].pluginConfig[0].args.apiVersion: must be a string",
        ),
        (
            "profiles: [{schedulerName: a}, {schedulerName: b, plugins: {queueSort: {disabled: [name: Q]}}}]",
            "profiles[1].plugins.queueSort: must be the same in all profiles",
        ),
        (
            "extenders: [{prioritizeVerb: p}]",
            "extenders[0].weight: must be greater than 0 with a prioritizeVerb",
        ),
        ("extenders: [{httpTimeout: -1s}]", "extenders[0].httpTimeout: must not be negative"),
        ("extenders: [{bindVerb: a}, {}, {bindVerb: b}]", "extenders: only one of them can have a bindVerb"),
        (
            "extenders: [{managedResources: [{name: a.com/b}]}, {managedResources: [{name: a.com/b}]}]",
            'extenders[1].managedResources[0].name: "a.com/b" is managed already',
        ),
    ],
)
def test_a_rule_is_kept(body: str, line: str) -> None:
    assert mistakes(body) == [line]


@pytest.mark.parametrize(
    "name", ["cpu", "kubernetes.io/x", "a.kubernetes.io/x", "requests.a.com/b", "a.com/", "A/b"]
)
def test_only_an_extended_resource_is_managed(name: str) -> None:
    assert mistakes(f"extenders: [{{managedResources: [{{name: {name}}}]}}]") == [
        f'extenders[0].managedResources[0].name: "{name}" is not the name of an extended resource'
    ]


@pytest.mark.parametrize(
    "name", ["PodSetPlanner", "my-plugin", "a.b", "module:Class", "my.package.module:MyPlugin"]
)
def test_a_plugin_is_a_name_or_a_place(name: str) -> None:
    configuration(PROFILE + f"plugins: {{filter: {{enabled: [{{name: '{name}'}}]}}}}")


@pytest.mark.parametrize("list_", ["enabled", "disabled"])
@pytest.mark.parametrize("name", ["", "a:", ":B", "a:b:C", "a/b", "a-b:C", "é", "a..b:C", "a:B\\n"])
def test_another_text_is_no_plugin(name: str, list_: str) -> None:
    (line,) = mistakes(PROFILE + f'plugins: {{filter: {{{list_}: [{{name: "{name}"}}]}}}}')
    assert line.startswith(f"profiles[0].plugins.filter.{list_}[0].name: ")
    assert line.endswith(" is not the name of a plugin, nor a place of the form module:Class")


@pytest.mark.parametrize(
    "body",
    [
        "clientConnection: {qps: -1}",
        "leaderElection: {leaderElect: false, resourceLock: endpoints, renewDeadline: 1h}",
        PROFILE + "pluginConfig: [{name: A, args: {kind: AArgs}}]",
        PROFILE + "pluginConfig: [{name: A, args: {apiVersion: mine/v1, kind: Other}}]",
        PROFILE + "plugins: {score: {disabled: [{name: A}, {name: '*'}], enabled: [{name: A}]}}",
        """
profiles:
- {schedulerName: a, plugins: {queueSort: {enabled: [{name: Q}]}}, pluginConfig: [{name: Q, args: {x: 1}}]}
- {schedulerName: b, plugins: {queueSort: {enabled: [{name: Q}]}}, pluginConfig: [{name: Q, args: {x: 1}}]}
""",
    ],
)
def test_what_kube_scheduler_accepts_is_accepted(body: str) -> None:
    configuration(body)


def test_the_arguments_of_the_common_queue_sort_are_the_same_too() -> None:
    profile = "plugins: {queueSort: {enabled: [{name: Q}]}}, pluginConfig: [{name: Q, args: {x: "
    body = f"profiles: [{{schedulerName: a, {profile}1}}}}]}}, {{schedulerName: b, {profile}2}}}}]}}]"
    assert mistakes(body) == [
        "profiles[1].pluginConfig[0].args: must be the same in all profiles, since they share one queue"
    ]


def test_all_mistakes_are_found_at_once() -> None:
    assert mistakes(
        "parallelism: 0\nleaderElection: {renewDeadline: 1h}\nextenders: [{prioritizeVerb: p}]"
    ) == [
        "parallelism: must be greater than 0",
        "leaderElection.renewDeadline: must be less than leaseDuration",
        "extenders[0].weight: must be greater than 0 with a prioritizeVerb",
    ]
