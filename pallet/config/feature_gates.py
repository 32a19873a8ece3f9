"""Feature gates, as in `kube-scheduler --feature-gates` of 1.37: those that a scheduler reads.

Most of them cannot be changed here. A gate is refused where ignoring it would make decisions wrong; where it
would not, it is accepted with a warning.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pallet.config.other_feature_gates import OTHER_GATES

BOOLEANS: Final = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
"""The words that Go's strconv.ParseBool takes."""

GENERIC_WORKLOAD: Final = "GenericWorkload"
ALPHA, BETA, GA = "ALPHA", "BETA", ""
"""Stages, as the metric kubernetes_feature_enabled names them."""

_ALL: Final = {"AllAlpha": ALPHA, "AllBeta": BETA}
_SPEED: Final = "it changes the speed only"
_CLAIMS: Final = "resource claims are not served"


class Gate(NamedTuple):
    """A gate that a scheduler reads.

    `ignorable` says why a value other than the default changes no decision; a gate without it is obeyed
    (GenericWorkload, AllAlpha, AllBeta), or refused.
    """

    stage: str
    default: bool
    ignorable: str = ""

    @property
    def locked(self) -> bool:
        """Whether kube-scheduler refuses another value than the default.

        So it is with those of them that are generally available, but for the two of device taints.
        """
        return self.stage == GA and not self.ignorable


GATES: Final[Mapping[str, Gate]] = {
    "AllAlpha": Gate(ALPHA, default=False),
    "AllBeta": Gate(BETA, default=False),
    "CompositePodGroup": Gate(ALPHA, default=False),
    "DRAAdminAccess": Gate(GA, default=True),
    "DRAConsumableCapacity": Gate(BETA, default=True, ignorable=_CLAIMS),
    "DRADerivedAttributes": Gate(ALPHA, default=False, ignorable=_CLAIMS),
    "DRADeviceBindingConditions": Gate(BETA, default=True, ignorable=_CLAIMS),
    "DRADeviceCompatibilityGroups": Gate(ALPHA, default=False, ignorable=_CLAIMS),
    "DRADeviceTaintRules": Gate(GA, default=True, ignorable=_CLAIMS),
    "DRADeviceTaints": Gate(GA, default=True, ignorable=_CLAIMS),
    "DRAExtendedResource": Gate(GA, default=True),
    "DRAFractionalCapacityRange": Gate(BETA, default=False, ignorable=_CLAIMS),
    "DRAListTypeAttributes": Gate(ALPHA, default=False, ignorable=_CLAIMS),
    "DRANodeAllocatableResources": Gate(ALPHA, default=False, ignorable=_CLAIMS),
    "DRAOptionalNodeOperations": Gate(ALPHA, default=False, ignorable=_CLAIMS),
    "DRAPartitionableDevices": Gate(BETA, default=True, ignorable=_CLAIMS),
    "DRAPrioritizedList": Gate(GA, default=True),
    "DRAResourceClaimDeviceStatus": Gate(GA, default=True),
    "DRASchedulerFilterTimeout": Gate(BETA, default=True, ignorable=_CLAIMS),
    "DRAWorkloadResourceClaims": Gate(BETA, default=False, ignorable=_CLAIMS),
    "DynamicResourceAllocation": Gate(GA, default=True),
    GENERIC_WORKLOAD: Gate(BETA, default=False),
    "InPlacePodLevelResourcesVerticalScaling": Gate(BETA, default=True),
    "InPlacePodVerticalScaling": Gate(GA, default=True),
    "InPlacePodVerticalScalingSchedulerPreemption": Gate(ALPHA, default=False),
    "InterPodAffinityHostnameFastPath": Gate(ALPHA, default=False, ignorable=_SPEED),
    "MatchLabelKeysInPodTopologySpread": Gate(BETA, default=True),
    "NodeDeclaredFeatures": Gate(GA, default=True),
    "NodeInclusionPolicyInPodTopologySpread": Gate(GA, default=True),
    "NominatedNodeNameForExpectation": Gate(
        BETA, default=True, ignorable="a pod shows the node that it will be bound to"
    ),
    "OpportunisticBatching": Gate(BETA, default=True, ignorable=_SPEED),
    "PodGroupPreemptionPolicy": Gate(ALPHA, default=False),
    "PodLevelResources": Gate(BETA, default=True),
    "SchedulerAsyncAPICalls": Gate(BETA, default=False, ignorable="no decision waits for the API"),
    "SchedulerAsyncPreemption": Gate(BETA, default=True, ignorable="no decision waits for the API"),
    "SchedulerPopFromBackoffQ": Gate(
        BETA, default=True, ignorable="back-off ends early when no other pod waits"
    ),
    "SchedulerPreQueueingHints": Gate(ALPHA, default=False, ignorable=_SPEED),
    "StorageCapacityScoring": Gate(BETA, default=True),
    "TaintTolerationComparisonOperators": Gate(ALPHA, default=False),
    "TopologyAwareWorkloadScheduling": Gate(ALPHA, default=False),
    "VolumeAttributesClass": Gate(GA, default=True),
    "VolumeLimitScaling": Gate(BETA, default=True),
}
"""The gates that kube-scheduler 1.37 reads, with its stages and defaults."""


class FeatureGateError(ValueError):
    """Feature gates cannot be set so; each argument is a line that says why."""


@dataclass(frozen=True, slots=True)
class FeatureGates:
    """What `--feature-gates` says."""

    generic_workload: bool | None = None
    """Whether it is on; None where it counts as on if the API server serves pod groups."""
    enabled: Mapping[str, bool] = field(
        default_factory=lambda: {name: gate.default for name, gate in GATES.items()}
    )
    """The value of each of `GATES`."""
    warnings: tuple[str, ...] = ()
    """What is to be logged of gates that have no effect."""


def parse_feature_gates(flags: Iterable[str]) -> FeatureGates:
    """Read the values of the flag, in their order: `Name=bool,kube:Name=bool`. Raises FeatureGateError."""
    given = dict(pair for flag in flags for pair in _pairs(flag))
    _require_known(given)
    over_stages = {
        name: given[switch]
        for switch, stage in _ALL.items()
        if switch in given
        for name, gate in GATES.items()
        if gate.stage == stage and name not in _ALL
    }
    enabled = {name: given.get(name, over_stages.get(name, gate.default)) for name, gate in GATES.items()}
    changed = {name: value for name, value in enabled.items() if value is not GATES[name].default}
    wrong = [f"{name}={_word(changed[name])}" for name in changed if _decides(name)]
    if wrong:
        raise FeatureGateError(f"cannot set {', '.join(wrong)}: this scheduler decides by the default only")
    return FeatureGates(
        enabled[GENERIC_WORKLOAD] if GENERIC_WORKLOAD in given | over_stages else None,
        enabled,
        tuple(_warnings(given, changed)),
    )


def help_text() -> str:
    """A line for each gate that is not generally available, as in kube-scheduler's help."""
    return "\n".join(
        f"{name}=true|false ({gate.stage} - default={_word(gate.default)})"
        for name, gate in GATES.items()
        if gate.stage != GA
    )


def _pairs(flag: str) -> Iterator[tuple[str, bool]]:
    for part in filter(None, flag.split(",")):
        component, colon, named = part.partition(":")
        if colon and component.strip() != "kube":
            raise FeatureGateError(f"component not registered: {component.strip()}")
        name, equals, word = ((named if colon else part).strip()).partition("=")
        name, word = name.strip(), word.strip()
        if not equals:
            raise FeatureGateError(f"missing bool value for {name}")
        if word not in BOOLEANS:
            raise FeatureGateError(f"invalid value of {name}={word}: must be true or false")
        yield name, BOOLEANS[word]


def _require_known(given: Mapping[str, bool]) -> None:
    unknown = [name for name in given if name not in GATES and name not in OTHER_GATES]
    if unknown:
        raise FeatureGateError(*(f"unrecognized feature gate: {name}" for name in unknown))
    locked = [
        f"cannot set feature gate {name} to {_word(value)}, feature is locked to {_word(not value)}"
        for name, value in given.items()
        if name in GATES and GATES[name].locked and GATES[name].default is not value
    ]
    if locked:
        raise FeatureGateError(*locked)


def _decides(name: str) -> bool:
    return name not in {*_ALL, GENERIC_WORKLOAD} and not GATES[name].ignorable


def _warnings(given: Mapping[str, bool], changed: Mapping[str, bool]) -> Iterator[str]:
    for name in given:
        if name in OTHER_GATES:
            yield f"Feature gate {name} has no effect: a scheduler does not read it"
    for name, value in changed.items():
        if reason := GATES[name].ignorable:
            yield f"Feature gate {name}={_word(value)} has no effect: {reason}"


def _word(value: bool) -> str:  # noqa: FBT001 - it is the text of one
    return "true" if value else "false"
