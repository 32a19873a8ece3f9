"""Objects as the API server would show them, from the few fields that a test is about."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta, OwnerReference
from pallet.api.node import ContainerImage, Node, NodeSpec, NodeStatus, Taint
from pallet.api.pod import (
    Affinity,
    Container,
    ContainerPort,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    ResourceRequirements,
    SchedulingGate,
    Toleration,
    TopologySpreadConstraint,
)
from pallet.api.podset import POD_SET_LABEL
from pallet.api.volumes import Volume

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
"""When things begin in tests."""

HOSTNAME = "kubernetes.io/hostname"


def at(seconds: float) -> datetime:
    """A moment after the beginning."""
    return EPOCH + timedelta(seconds=seconds)


def make_node(
    name: str,
    *,
    cpu: str = "4",
    pods: int = 110,
    taints: Iterable[Taint] = (),
    cordoned: bool = False,
    labels: Mapping[str, str] | None = None,
    offers: Mapping[str, str] | None = None,
    images: Mapping[str, int] | None = None,
    uid: str = "",
) -> Node:
    """A node with its hostname label. `offers` adds to what is allocatable; `images` are sizes by name."""
    return Node(
        ObjectMeta(name=name, uid=uid or f"uid-{name}", labels=Labels({HOSTNAME: name} | dict(labels or {}))),
        NodeSpec(unschedulable=cordoned, taints=tuple(taints)),
        NodeStatus(
            Labels({"cpu": cpu, "memory": "16Gi", "pods": str(pods)} | dict(offers or {})),
            tuple(ContainerImage((image,), size) for image, size in (images or {}).items()),
        ),
    )


def make_pod(
    name: str,
    *,
    pod_set: str = "",
    namespace: str = "default",
    uid: str = "",
    created: float = 0,
    version: int = 1,
    scheduler: str = "default-scheduler",
    node: str = "",
    cpu: str = "1",
    priority: int = 0,
    phase: str = "Pending",
    deleted: float | None = None,
    gates: Iterable[str] = (),
    conditions: Iterable[PodCondition] = (),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    finalizers: Iterable[str] = (),
    requests: Mapping[str, str] | None = None,
    affinity: Affinity | None = None,
    tolerations: Iterable[Toleration] = (),
    node_selector: Mapping[str, str] | None = None,
    ports: Iterable[ContainerPort] = (),
    images: Iterable[str] = ("image",),
    volumes: Iterable[Volume] = (),
    spread: Iterable[TopologySpreadConstraint] = (),
    owner: OwnerReference | None = None,
    nominated: str = "",
    started: float | None = None,
    preempts: bool = True,
) -> Pod:
    """A pod of a set (of none for an empty name). `created`, `deleted` and `started` are seconds after the
    beginning.

    `requests` stands in for `cpu`; there is a container for each image, the first has the requests and ports.
    """
    own = {POD_SET_LABEL: pod_set} if pod_set else {}
    asked = ResourceRequirements(Labels({"cpu": cpu} if requests is None else requests))
    first, *others = images
    return Pod(
        ObjectMeta(
            name=name,
            namespace=namespace,
            uid=uid or f"uid-{name}",
            resource_version=str(version),
            creation_timestamp=at(created).replace(microsecond=0),
            deletion_timestamp=None if deleted is None else at(deleted),
            labels=Labels(own | dict(labels or {})),
            annotations=Labels(annotations or {}),
            owner_references=(owner,) if owner else (),
            finalizers=tuple(finalizers),
        ),
        PodSpec(
            scheduler_name=scheduler,
            node_name=node,
            priority=priority,
            containers=(
                Container("main", first, asked, tuple(ports)),
                *(Container(f"beside-{number}", image) for number, image in enumerate(others)),
            ),
            affinity=affinity,
            tolerations=tuple(tolerations),
            node_selector=Labels(node_selector or {}),
            scheduling_gates=tuple(map(SchedulingGate, gates)),
            volumes=tuple(volumes),
            topology_spread_constraints=tuple(spread),
            preemption_policy="PreemptLowerPriority" if preempts else "Never",
        ),
        PodStatus(phase, tuple(conditions), nominated, None if started is None else at(started)),
    )
