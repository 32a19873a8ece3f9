"""Who owns pods: ReplicaSets, StatefulSets, ReplicationControllers; and budgets for disrupting them."""

from datetime import datetime

import msgspec

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.meta import ObjectMeta
from pallet.api.resource import Resource
from pallet.api.selectors import LabelSelector


class OwnerSpec(msgspec.Struct, frozen=True, gc=False):
    """Which pods are the owner's."""

    selector: LabelSelector | None = None


class ReplicaSet(msgspec.Struct, frozen=True, gc=False):
    """apps/v1 ReplicaSet."""

    metadata: ObjectMeta = ObjectMeta()
    spec: OwnerSpec = OwnerSpec()


class StatefulSet(msgspec.Struct, frozen=True, gc=False):
    """apps/v1 StatefulSet."""

    metadata: ObjectMeta = ObjectMeta()
    spec: OwnerSpec = OwnerSpec()


class ReplicationControllerSpec(msgspec.Struct, frozen=True, gc=False):
    """Which pods are the controller's."""

    selector: Labels = NO_LABELS


class ReplicationController(msgspec.Struct, frozen=True, gc=False):
    """core/v1 ReplicationController."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ReplicationControllerSpec = ReplicationControllerSpec()


class PodDisruptionBudgetStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """How many more pods may be disrupted, and those that are disrupted already, by name."""

    disruptions_allowed: int = 0
    disrupted_pods: dict[str, datetime] = {}


class PodDisruptionBudget(msgspec.Struct, frozen=True, gc=False):
    """policy/v1 PodDisruptionBudget."""

    metadata: ObjectMeta = ObjectMeta()
    spec: OwnerSpec = OwnerSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()


REPLICA_SETS = Resource("apps", "v1", "replicasets", ReplicaSet)
STATEFUL_SETS = Resource("apps", "v1", "statefulsets", StatefulSet)
REPLICATION_CONTROLLERS = Resource("", "v1", "replicationcontrollers", ReplicationController)
POD_DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", PodDisruptionBudget)
