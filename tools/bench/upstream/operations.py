"""The operations of scheduler_perf, as its files write them."""

from collections.abc import Mapping
from typing import Any

import msgspec


class _Operation(msgspec.Struct, tag_field="opcode", rename="camel", forbid_unknown_fields=True):
    """An unknown field is an error: a workload that is only understood in part is not that workload."""


class Allocatable(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What nodes and their CSINodes offer."""

    node_allocatable: dict[str, str] = {}
    csi_node_allocatable: dict[str, dict[str, int]] = {}
    migrated_plugins: list[str] = []


class Labels(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A label of nodes with values in turn; without values each node has one of its own."""

    label_key: str
    label_values: list[str] = []


class CreateNodes(_Operation, tag="createNodes"):
    """Create nodes, the plain ones where there is no template."""

    count: int
    node_template_path: str | None = None
    node_allocatable_strategy: Allocatable | None = None
    label_node_prepare_strategy: Labels | None = None
    unique_node_label_strategy: Labels | None = None
    template_params: dict[str, Any] = {}


class CreateNamespaces(_Operation, tag="createNamespaces"):
    """Create namespaces with numbers after a prefix."""

    prefix: str
    count: int
    namespace_template_path: str | None = None


class CreatePods(_Operation, tag="createPods"):
    """Create pods, and wait until they are scheduled."""

    count: int
    collect_metrics: bool = False
    namespace: str | None = None
    pod_template_path: str | None = None
    skip_wait_to_completion: bool = False
    persistent_volume_template_path: str | None = None
    persistent_volume_claim_template_path: str | None = None
    template_params: dict[str, Any] = {}
    signature_batch_size: int = 1


class CreatePodSets(_Operation, tag="createPodSets"):
    """Do the same createPods in several namespaces."""

    count: int
    namespace_prefix: str
    create_pods_op: CreatePods


class DeletePods(_Operation, tag="deletePods"):
    """Delete pods, all at once where there is no rate."""

    namespace: str
    label_selector: dict[str, str] = {}
    skip_wait_to_completion: bool = False
    delete_pods_per_second: int = 0


class Churn(_Operation, tag="churn"):
    """Create objects, or create and delete them in turn, until the workload ends."""

    mode: str
    template_paths: list[str]
    number: int = 0
    interval_milliseconds: int = 500
    namespace: str | None = None


class Barrier(_Operation, tag="barrier"):
    """Wait until pods are scheduled, or were tried once."""

    namespaces: list[str] = []
    label_selector: dict[str, str] = {}
    stage_requirement: str = "Scheduled"


class Sleep(_Operation, tag="sleep"):
    """Wait for a time."""

    duration: str


class CreateAny(_Operation, tag="createAny"):
    """Create objects of any kind."""

    template_path: str
    namespace: str = ""
    count: int = 1
    template_params: dict[str, Any] = {}


class UpdateAny(_Operation, tag="updateAny"):
    """Update objects of any kind, and their status."""

    template_path: str
    namespace: str = ""
    count: int = 1
    update_per_second: int = 0
    subresources: list[str] = []


class StartCollectingMetrics(_Operation, tag="startCollectingMetrics"):
    """Begin to measure pods of some namespaces."""

    namespaces: list[str]
    name: str = ""
    label_selector: dict[str, str] = {}


class StopCollectingMetrics(_Operation, tag="stopCollectingMetrics"):
    """End what startCollectingMetrics began."""


Operation = (
    CreateNodes
    | CreateNamespaces
    | CreatePods
    | CreatePodSets
    | DeletePods
    | Churn
    | Barrier
    | Sleep
    | CreateAny
    | UpdateAny
    | StartCollectingMetrics
    | StopCollectingMetrics
)


def operation(document: Mapping[str, Any], params: Mapping[str, Any]) -> Operation:
    """An operation with a workload's parameters filled in.

    Raises msgspec.ValidationError where it, or a field of it, is not supported, KeyError for an unknown
    parameter.
    """
    made: Operation = msgspec.convert(resolved(document, params), Operation)
    return made


def resolved(document: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Replace each `countParam: $name` by `count:` with the parameter's value, and so in inner documents."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        if name == "templateParams":
            found[name] = {key: _value(each, params) for key, each in value.items()}
        elif name.endswith("Param"):
            found[name.removesuffix("Param")] = _value(value, params)
        else:
            found[name] = resolved(value, params) if name == "createPodsOp" else value
    if multiplier := found.pop("countMultiplier", None):
        found["count"] *= multiplier
    return found


def _value(stated: Any, params: Mapping[str, Any]) -> Any:
    return params[stated[1:]] if isinstance(stated, str) and stated.startswith("$") else stated
