import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from pallet.config.decode import Seconds
from pallet.config.errors import ConfigError, FieldPath
from pallet.config.load import default_configuration, load, parse
from pallet.config.schema import (
    ClientConnection,
    Extender,
    ExtenderTLS,
    ExtensionPoint,
    KubeSchedulerConfiguration,
    LeaderElection,
    ManagedResource,
    PluginRef,
    Section,
)
from tests.config.documents import ORIGINAL, V1, configuration


def test_no_file_is_one_profile_with_defaults() -> None:
    made = default_configuration()
    assert [profile.scheduler_name for profile in made.profiles] == ["default-scheduler"]
    assert made.leader_election == LeaderElection(
        leader_elect=True,
        lease_duration=Seconds(15),
        renew_deadline=Seconds(10),
        retry_period=Seconds(2),
        resource_lock="leases",
        resource_namespace="kube-system",
        resource_name="kube-scheduler",
    )
    assert made.client_connection == ClientConnection(kubeconfig="", qps=50, burst=100)
    assert (made.parallelism, made.pod_initial_backoff_seconds, made.pod_max_backoff_seconds) == (16, 1, 10)
    assert made.percentage_of_nodes_to_score is None


def test_a_file_without_settings_is_the_default() -> None:
    read = configuration()
    assert [profile.scheduler_name for profile in read.profiles] == ["default-scheduler"]
    assert read.leader_election == default_configuration().leader_election
    assert read.path == FieldPath("c.yaml")


def test_the_configuration_of_the_original_loads() -> None:
    read = parse(ORIGINAL, "scheduler-config.yaml")
    (profile,) = read.profiles
    assert not read.leader_election.leader_elect
    assert profile.scheduler_name == "podset-planner-scheduler"
    points = {point for point in ExtensionPoint if profile.plugins.at(point).enabled}
    assert points == {"preFilter", "preScore", "score", "reserve", "postFilter"}
    args, path = profile.args_of("PodSetPlanner")
    assert args == {"debug": True, "callTimeout": "15s", "updatePeriod": "30s"}
    assert str(path) == "scheduler-config.yaml: profiles[0].pluginConfig[0].args"


@pytest.mark.parametrize("version", ["v1", "v1beta2", "v1beta3"])
def test_every_version_is_accepted(version: str) -> None:
    read = parse(V1.replace("/v1", f"/{version}"), "c.yaml")
    assert read.api_version == f"kubescheduler.config.k8s.io/{version}"


def test_only_v1beta2_has_the_two_addresses() -> None:
    body = "healthzBindAddress: 0.0.0.0:10251\nmetricsBindAddress: ''\n"
    parse(V1.replace("/v1", "/v1beta2") + body, "c.yaml")
    with pytest.raises(ConfigError, match=r"^c\.yaml: healthzBindAddress: unknown field\n"):
        parse(V1.replace("/v1", "/v1beta3") + body, "c.yaml")


def test_json_is_read_too() -> None:
    document = yaml.safe_load(V1) | {"profiles": [{"schedulerName": "a"}]}
    assert parse(json.dumps(document, indent="\t"), "c.json").profiles[0].scheduler_name == "a"


def test_every_field_is_read() -> None:
    read = configuration("""
parallelism: 4
percentageOfNodesToScore: 40
podInitialBackoffSeconds: 2
podMaxBackoffSeconds: 20
enableProfiling: false
enableContentionProfiling: false
delayCacheUntilActive: true
leaderElection:
  leaderElect: true
  leaseDuration: 1m
  renewDeadline: 30s
  retryPeriod: 500ms
  resourceLock: leases
  resourceName: name
  resourceNamespace: namespace
clientConnection:
  kubeconfig: /k
  acceptContentTypes: a
  contentType: b
  qps: 12.5
  burst: 25
profiles:
- schedulerName: one
  percentageOfNodesToScore: 0
- schedulerName: two
extenders:
- urlPrefix: https://e
  filterVerb: f
  preemptVerb: p
  prioritizeVerb: s
  weight: 3
  bindVerb: b
  enableHTTPS: true
  tlsConfig: {insecure: true, serverName: s, certFile: c, keyFile: k, caFile: a, caData: eA==}
  httpTimeout: 1s
  nodeCacheCapable: true
  managedResources: [{name: example.com/gpu, ignoredByScheduler: true}]
  ignorable: true
""")
    assert (read.parallelism, read.percentage_of_nodes_to_score) == (4, 40)
    assert (read.pod_initial_backoff_seconds, read.pod_max_backoff_seconds) == (2, 20)
    assert (read.enable_profiling, read.enable_contention_profiling) == (False, False)
    assert read.delay_cache_until_active
    assert read.leader_election == LeaderElection(
        leader_elect=True,
        lease_duration=Seconds(60),
        renew_deadline=Seconds(30),
        retry_period=Seconds(0.5),
        resource_lock="leases",
        resource_name="name",
        resource_namespace="namespace",
    )
    assert read.client_connection == ClientConnection(
        kubeconfig="/k", accept_content_types="a", content_type="b", qps=12.5, burst=25
    )
    assert [profile.percentage_of_nodes_to_score for profile in read.profiles] == [0, 40]
    assert read.extenders == (
        Extender(
            url_prefix="https://e",
            filter_verb="f",
            preempt_verb="p",
            prioritize_verb="s",
            weight=3,
            bind_verb="b",
            enable_https=True,
            tls_config=ExtenderTLS(
                insecure=True, server_name="s", cert_file="c", key_file="k", ca_file="a", ca_data=b"x"
            ),
            http_timeout=Seconds(1),
            node_cache_capable=True,
            managed_resources=(ManagedResource(name="example.com/gpu", ignored_by_scheduler=True),),
            ignorable=True,
            path=FieldPath("c.yaml", "extenders[0]"),
        ),
    )


def test_zero_and_empty_stand_for_the_default() -> None:
    read = configuration("""
leaderElection: {leaseDuration: 0s, resourceName: "", leaderElect: false}
clientConnection: {qps: 0, burst: 0}
extenders: [{httpTimeout: 0s}]
""")
    assert read.leader_election == default_configuration(leader_elect=False).leader_election
    assert read.client_connection == ClientConnection()
    assert read.extenders[0].http_timeout == Seconds(5)


@pytest.mark.parametrize(
    ("names", "election", "lease"),
    [
        (["default-scheduler"], "{}", ("kube-system", "kube-scheduler")),
        (["mine", "default-scheduler"], "{}", ("kube-system", "kube-scheduler")),
        (["mine"], "{}", ("planner-system", "podset-planner-scheduler")),
        (["default-scheduler"], "{resourceName: x}", ("kube-system", "x")),
        (["default-scheduler"], "{resourceNamespace: x}", ("x", "kube-scheduler")),
        (["mine"], "{resourceNamespace: x, resourceName: z}", ("x", "z")),
    ],
)
def test_who_schedules_the_pods_of_kube_scheduler_takes_its_lease(
    names: list[str], election: str, lease: tuple[str, str]
) -> None:
    profiles = ", ".join(f"{{schedulerName: {name}}}" for name in names)
    read = configuration(f"profiles: [{profiles}]\nleaderElection: {election}").leader_election
    assert (read.resource_namespace, read.resource_name) == lease


def test_null_stands_for_not_given() -> None:
    assert configuration("profiles:\nparallelism: ~\nclientConnection: null").parallelism == 16


@pytest.mark.parametrize("given_", [True, False])
def test_the_command_line_goes_before_the_file(given_: bool) -> None:  # noqa: FBT001 - a parameter of the test
    text = V1 + f"leaderElection: {{leaderElect: {str(not given_).lower()}}}"
    assert parse(text, "c.yaml", leader_elect=given_).leader_election.leader_elect is given_
    assert default_configuration(leader_elect=given_).leader_election.leader_elect is given_


def test_plugins_know_their_place() -> None:
    (profile,) = configuration("""
profiles:
- plugins:
    multiPoint: {enabled: [{name: A, weight: 3}, {name: my.package:Plugin}]}
    score: {disabled: [{name: "*"}], enabled: [{name: B}]}
  pluginConfig: [{name: C}]
""").profiles
    assert profile.plugins.score.enabled == (
        PluginRef(name="B", path=FieldPath("c.yaml", "profiles[0].plugins.score.enabled[0]")),
    )
    assert profile.plugins.score.disabled_names == {"*"}
    assert {name: path.steps for name, path in profile.named_plugins()} == {
        "A": "profiles[0].plugins.multiPoint.enabled[0].name",
        "my.package:Plugin": "profiles[0].plugins.multiPoint.enabled[1].name",
        "B": "profiles[0].plugins.score.enabled[0].name",
        "C": "profiles[0].pluginConfig[0].name",
    }
    assert profile.args_of("A") == ({}, FieldPath("c.yaml", "profiles[0].pluginConfig"))


VERSIONS = ", ".join(f'"kubescheduler.config.k8s.io/{version}"' for version in ("v1", "v1beta3", "v1beta2"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'c.yaml: must be a mapping with "kind: KubeSchedulerConfiguration"'),
        ("[]", 'c.yaml: must be a mapping with "kind: KubeSchedulerConfiguration"'),
        (
            "kind: KubeSchedulerConfiguration",
            f"c.yaml: apiVersion: must be one of {VERSIONS}, which is missing",
        ),
        (V1.partition("\n")[0], 'c.yaml: kind: must be "KubeSchedulerConfiguration", which is missing'),
        (V1 + "---", "c.yaml: holds more than one document: remove all but one"),
        (
            V1.replace("KubeSchedulerC", "c"),
            'c.yaml: kind: must be "KubeSchedulerConfiguration", got "configuration"',
        ),
        (V1.replace("v1", "[v1]"), f"c.yaml: apiVersion: must be one of {VERSIONS}, got \"['x']\""),
    ],
)
def test_another_document_is_refused(text: str, message: str) -> None:
    text = text.replace("kubescheduler.config.k8s.io/[v1]", "[x]")
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml")
    assert str(caught.value) == message


def test_mistakes_of_form_and_of_type_are_found_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        configuration("parallelism: x\nparallelism: z\nprofils: []\n")
    assert str(caught.value).splitlines() == [
        "c.yaml: parallelism: is given twice",
        'c.yaml: parallelism: must be an integer, got "z"',
        'c.yaml: profils: unknown field, did you mean "profiles"?',
    ]


def test_a_file_is_named_as_the_user_named_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(V1 + "parallelism: 0", "utf-8")
    with pytest.raises(ConfigError, match=r"^c\.yaml: parallelism: must be greater than 0$"):
        load(Path("c.yaml"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: no such file or directory$"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=f"^{tmp_path}: cannot be read: is a directory$"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(ConfigError, match=r"latin\.yaml: is not UTF-8 text: .* at byte 3$"):
        load(tmp_path / "latin.yaml")


SCALARS = st.sampled_from(
    [None, True, 0, 1, -1, 101, 2**70, 1.5, "", "*", "A", "a:b", "1s", "-1s", "eA==", "é "]
)
FIELDS = st.sampled_from(
    sorted({"nonsense"} | {f.encode_name for kind in Section.__subclasses__() for f in fields(kind)})
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=25,
)
SETS = st.fixed_dictionaries({}, optional={"enabled": VALUES, "disabled": VALUES})
PROFILES = st.fixed_dictionaries(
    {},
    optional={
        "schedulerName": SCALARS,
        "plugins": st.dictionaries(FIELDS, SETS, max_size=3) | VALUES,
        "pluginConfig": st.lists(
            st.fixed_dictionaries({"name": SCALARS}, optional={"args": VALUES}), max_size=2
        ),
    },
)


def is_valid_or_refused(text: str) -> None:
    refusal = ""
    try:
        read = parse(text, "c.yaml")
    except ConfigError as error:
        refusal = str(error)
    else:
        assert isinstance(read, KubeSchedulerConfiguration)
        assert all(profile.scheduler_name for profile in read.profiles)
    assert all(line.startswith("c.yaml: ") for line in refusal.splitlines())


@given(st.dictionaries(FIELDS, VALUES), st.lists(PROFILES, max_size=3))
def test_any_configuration_is_valid_or_refused(body: dict[str, object], profiles: list[object]) -> None:
    head = yaml.safe_load(V1)
    is_valid_or_refused(yaml.safe_dump(body | head))
    is_valid_or_refused(yaml.safe_dump(head | {"profiles": profiles}))


@given(st.text())
def test_any_text_is_valid_or_refused(text: str) -> None:
    is_valid_or_refused(text)
    is_valid_or_refused(V1 + text)


EXTENDERS = """\
extenders:
- urlPrefix: http://x
  managedResources:
  - {name: example.com/seen}
  - {name: example.com/gpu, ignoredByScheduler: true}
"""


@pytest.mark.parametrize(
    ("profiles", "args"),
    [
        ("", {"ignoredResources": ["example.com/gpu"]}),
        (
            "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {ignoredResources: [a.com/b]}}]}]",
            {"ignoredResources": ["example.com/gpu"]},
        ),
        (
            "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {ignoredResources: 1}}]}]",
            {"ignoredResources": 1},
        ),
    ],
    ids=["no arguments", "replaces what is ignored otherwise", "wrong arguments are left to the plugin"],
)
def test_what_an_extender_manages_and_wants_ignored_is_ignored_by_the_fit(
    profiles: str, args: dict[str, object]
) -> None:
    [profile] = configuration(EXTENDERS + profiles).profiles
    assert profile.args_of("NodeResourcesFit")[0] == args


def test_plugins_for_pod_groups_are_accepted() -> None:
    (profile,) = configuration("""
profiles:
- plugins: {podGroupPostFilter: {enabled: [{name: DefaultPreemption}], disabled: [{name: '*'}]}}
""").profiles
    named = profile.plugins.at(ExtensionPoint.POD_GROUP_POST_FILTER)
    assert ([each.name for each in named.enabled], set(named.disabled_names)) == (
        ["DefaultPreemption"],
        {"*"},
    )
