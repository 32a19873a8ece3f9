"""What `--feature-gates` accepts; the words of refusals are those of kube-scheduler 1.37.2."""

import pytest

from pallet.config.feature_gates import GATES, FeatureGateError, FeatureGates, help_text, parse_feature_gates

ALL_ALPHA = (
    "cannot set CompositePodGroup=true, "
    "InPlacePodVerticalScalingSchedulerPreemption=true, PodGroupPreemptionPolicy=true, "
    "TaintTolerationComparisonOperators=true, TopologyAwareWorkloadScheduling=true: "
    "this scheduler decides by the default only"
)


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["GangScheduling=true"], "unrecognized feature gate: GangScheduling"),
        (["WorkloadAwarePreemption=true"], "unrecognized feature gate: WorkloadAwarePreemption"),
        (["SchedulerQueueingHints=true"], "unrecognized feature gate: SchedulerQueueingHints"),
        (["SidecarContainers=true"], "unrecognized feature gate: SidecarContainers"),
        (["=true"], "unrecognized feature gate: "),
        (["GenericWorkload"], "missing bool value for GenericWorkload"),
        (["GenericWorkload=maybe"], "invalid value of GenericWorkload=maybe: must be true or false"),
        (["other:GenericWorkload=true"], "component not registered: other"),
        (
            ["NodeDeclaredFeatures=false"],
            "cannot set feature gate NodeDeclaredFeatures to false, feature is locked to true",
        ),
        (
            ["StorageCapacityScoring=false"],
            "cannot set StorageCapacityScoring=false: this scheduler decides by the default only",
        ),
        (["AllAlpha=true"], ALL_ALPHA),
    ],
)
def test_a_refusal_is_one_line(flags: list[str], line: str) -> None:
    with pytest.raises(FeatureGateError) as caught:
        parse_feature_gates(flags)
    assert caught.value.args == (line,)


@pytest.mark.parametrize(
    ("flags", "generic_workload"),
    [
        ([], None),
        ([""], None),
        (["StorageCapacityScoring=true,NodeDeclaredFeatures=true"], None),
        (["GenericWorkload=false"], False),
        (["kube:GenericWorkload=T"], True),
        (["GenericWorkload=true", "GenericWorkload=false"], False),
        (["AllBeta=true"], True),
        (["AllBeta=true,GenericWorkload=false"], False),
        (["AllAlpha=false"], None),
    ],
)
def test_groups_are_on_or_off_where_a_flag_says_so(flags: list[str], generic_workload: bool | None) -> None:  # noqa: FBT001
    gates = parse_feature_gates(flags)
    assert gates.generic_workload is generic_workload
    assert gates.enabled["GenericWorkload"] is bool(generic_workload)


@pytest.mark.parametrize(
    ("flag", "warnings"),
    [
        ("GenericWorkload=true", ()),
        ("SchedulerAsyncPreemption=true", ()),
        (
            "WatchListClient=false",
            ("Feature gate WatchListClient has no effect: a scheduler does not read it",),
        ),
        (
            "OpportunisticBatching=false",
            ("Feature gate OpportunisticBatching=false has no effect: it changes the speed only",),
        ),
        (
            "DRADeviceTaintRules=false",
            ("Feature gate DRADeviceTaintRules=false has no effect: resource claims are not served",),
        ),
    ],
)
def test_what_has_no_effect_is_accepted_with_a_warning(flag: str, warnings: tuple[str, ...]) -> None:
    assert parse_feature_gates([flag]).warnings == warnings


def test_help_lists_gates_that_are_not_generally_available_with_their_defaults() -> None:
    lines = help_text().splitlines()
    assert "GenericWorkload=true|false (BETA - default=false)" in lines
    assert not any(line.startswith(("NodeDeclaredFeatures=", "DRADeviceTaints=")) for line in lines)


def test_without_the_flag_gates_have_their_defaults() -> None:
    assert FeatureGates().enabled == {name: gate.default for name, gate in GATES.items()}
