"""Pod, as far as a scheduler reads it.

There may be 150,000 pods: what nobody reads is dropped when they are decoded, and what the pods of a template
have in common is kept once. Structs are changed in place for that, as nobody has seen them yet.
"""

from datetime import datetime
from sys import intern
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from pallet.api.core import ObjectReference
from pallet.api.labels import NO_LABELS, Labels
from pallet.api.meta import ObjectMeta
from pallet.api.resource import Resource
from pallet.api.selectors import LabelSelector, NodeSelector, NodeSelectorTerm
from pallet.api.volumes import Volume
from pallet.shared_values import SharedValues, same

_SCHEDULED = "PodScheduled"
_CONDITIONS_READ = frozenset((_SCHEDULED, "DisruptionTarget", "PodResizePending"))


_NAMES = (
    "scheduler_name",
    "node_name",
    "priority_class_name",
    "service_account_name",
    "runtime_class_name",
    "restart_policy",
    "preemption_policy",
)
"""The fields of a spec that many pods have in common."""


class ContainerPort(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A port of a container; only host ports matter to placement."""

    host_port: int = 0
    protocol: str = "TCP"
    host_ip: str = msgspec.field(default="", name="hostIP")


class ResourceRequirements(msgspec.Struct, frozen=True, gc=False):
    """Quantities by resource name."""

    requests: Labels = NO_LABELS
    limits: Labels = NO_LABELS


class ContainerRestartRule(msgspec.Struct, frozen=True, gc=False):
    """What happens when a container exits in some way."""

    action: str = ""


class Container(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A container; an init container with restart policy Always is a sidecar."""

    name: str = ""
    image: str = ""
    resources: ResourceRequirements = ResourceRequirements()
    ports: tuple[ContainerPort, ...] = ()
    restart_policy: str = ""
    restart_policy_rules: tuple[ContainerRestartRule, ...] = ()


class Toleration(msgspec.Struct, frozen=True, gc=False):
    """Which taints a pod puts up with."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class PreferredSchedulingTerm(msgspec.Struct, frozen=True, gc=False):
    """A node selector term that a pod would like, with its weight (1 to 100)."""

    weight: int
    preference: NodeSelectorTerm


class NodeAffinity(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Which nodes a pod needs, and which it would like."""

    required: NodeSelector | None = msgspec.field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: tuple[PreferredSchedulingTerm, ...] = msgspec.field(
        default=(), name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class PodAffinityTerm(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Pods to be near to, or away from, in one topology domain."""

    topology_key: str
    label_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    mismatch_label_keys: tuple[str, ...] = ()


class WeightedPodAffinityTerm(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A pod affinity term that a pod would like, with its weight (1 to 100)."""

    weight: int
    pod_affinity_term: PodAffinityTerm


class PodAffinity(msgspec.Struct, frozen=True, gc=False):
    """Required and preferred terms; the shape of podAffinity and of podAntiAffinity."""

    required: tuple[PodAffinityTerm, ...] = msgspec.field(
        default=(), name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: tuple[WeightedPodAffinityTerm, ...] = msgspec.field(
        default=(), name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(msgspec.Struct, frozen=True, gc=False, rename="camel", cache_hash=True):
    """Everything a pod says about where it wants to be."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class SchedulingGate(msgspec.Struct, frozen=True, gc=False):
    """A gate that others must remove before the pod is scheduled."""

    name: str


class TopologySpreadConstraint(msgspec.Struct, frozen=True, gc=False, rename="camel", cache_hash=True):
    """How evenly pods are to be spread over the domains of a topology key."""

    max_skew: int
    topology_key: str
    when_unsatisfiable: str = "DoNotSchedule"
    label_selector: LabelSelector | None = None
    min_domains: int | None = None
    node_affinity_policy: str = "Honor"
    node_taints_policy: str = "Ignore"
    match_label_keys: tuple[str, ...] = ()


class PodResourceClaim(msgspec.Struct, frozen=True, gc=False):
    """A claim on devices (dynamic resource allocation)."""

    name: str


class PodSchedulingGroup(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The pod group that a pod belongs to (feature gate GenericWorkload)."""

    pod_group_name: str = ""


class PodSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The fields of core/v1 PodSpec that placement depends on."""

    scheduler_name: str = "default-scheduler"
    node_name: str = ""
    priority: int = 0
    priority_class_name: str = ""
    service_account_name: str = ""
    runtime_class_name: str = ""
    restart_policy: str = "Always"
    termination_grace_period_seconds: int = 30
    preemption_policy: str = "PreemptLowerPriority"
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    overhead: Labels = NO_LABELS
    resources: ResourceRequirements | None = None
    node_selector: Labels = NO_LABELS
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    scheduling_gates: tuple[SchedulingGate, ...] = ()
    host_network: bool = False
    host_users: bool | None = None
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    volumes: tuple[Volume, ...] = ()
    resource_claims: tuple[PodResourceClaim, ...] = ()
    scheduling_group: PodSchedulingGroup | None = None

    def __post_init__(self) -> None:
        """Share what templates, and nodes, have in common; drop volumes of kinds that do not matter."""
        for field in _NAMES:
            force_setattr(self, field, intern(getattr(self, field)))
        for field in (
            "containers",
            "init_containers",
            "tolerations",
            "affinity",
            "topology_spread_constraints",
        ):
            value = getattr(self, field)
            if value:
                force_setattr(self, field, _templates[value])
        if self.volumes:
            kept = tuple([volume for volume in self.volumes if volume != Volume(volume.name)])
            force_setattr(self, "volumes", kept)


class PodCondition(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One condition of a pod's status."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None
    observed_generation: int = 0


class ActuatedResources(msgspec.Struct, frozen=True, gc=False):
    """What a running container, or pod, has got of its requests."""

    requests: Labels = NO_LABELS


class ContainerStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What the kubelet has given to a container, and what it has admitted (in-place resize)."""

    name: str
    allocated_resources: Labels = NO_LABELS
    resources: ActuatedResources | None = None

    @property
    def actuated(self) -> Labels:
        """What it has got of its requests, as far as the kubelet says."""
        return self.resources.requests if self.resources is not None else NO_LABELS


class PodStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """How far the pod has come. Of container statuses only those are kept that differ from the spec.

    Of the conditions those are kept that are read; PodScheduled while it is not so.
    """

    phase: str = ""
    conditions: tuple[PodCondition, ...] = ()
    nominated_node_name: str = ""
    start_time: datetime | None = None
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    allocated_resources: Labels = NO_LABELS
    resources: ActuatedResources | None = None

    def __post_init__(self) -> None:
        """Drop the other conditions."""
        force_setattr(self, "phase", intern(self.phase))
        if self.conditions:
            kept = tuple([condition for condition in self.conditions if _is_read(condition)])
            force_setattr(self, "conditions", kept)

    @property
    def resize_infeasible(self) -> bool:
        """Whether the pod has asked for a resize that its node can never grant."""
        for each in self.conditions:
            if each.type == "PodResizePending":
                return each.reason == "Infeasible"
        return False


class Pod(msgspec.Struct, frozen=True, gc=False):
    """core/v1 Pod."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    def __post_init__(self) -> None:
        """Drop the statuses of containers that have just what they ask for: of many pods, all."""
        meta, status = self.metadata, self.status
        force_setattr(meta, "namespace", intern(meta.namespace))
        if meta.owner_references:
            force_setattr(meta, "owner_references", _templates[meta.owner_references])
        if status.resize_infeasible:
            return  # what a status does not say is then not taken from the spec
        if status.container_statuses:
            kept = _resizing(self.spec.containers, status.container_statuses)
            force_setattr(status, "container_statuses", kept)
        if status.init_container_statuses:
            kept = _resizing(self.spec.init_containers, status.init_container_statuses)
            force_setattr(status, "init_container_statuses", kept)

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def finished(self) -> bool:
        """Whether it has run to its end, and so takes no room on its node."""
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def terminating(self) -> bool:
        """Whether its deletion has been asked for."""
        return self.metadata.deletion_timestamp is not None


_templates: SharedValues[Any, Any] = SharedValues("pod_templates", same)
"""Parts of pods that those of a template have in common."""


def _is_read(condition: PodCondition) -> bool:
    done = condition.type == _SCHEDULED and condition.status == "True"
    return condition.type in _CONDITIONS_READ and not done


def _resizing(
    containers: tuple[Container, ...], statuses: tuple[ContainerStatus, ...]
) -> tuple[ContainerStatus, ...]:
    """The statuses that say something else than the spec. Equal quantities are the same object."""
    asked = {container.name: container.resources.requests for container in containers}
    return tuple(
        [
            status
            for status in statuses
            if not {status.allocated_resources, status.actuated} <= {NO_LABELS, asked.get(status.name)}
        ]
    )


PODS = Resource("", "v1", "pods", Pod)


def pod_reference(pod: Pod) -> ObjectReference:
    """How an event names a pod."""
    meta = pod.metadata
    return ObjectReference("Pod", meta.namespace, meta.name, meta.uid, "v1", meta.resource_version)
