"""The project's own objects: ScheduleTrigger and SchedulePlan, as ciena/pallet defined them."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from pallet.api.meta import ObjectMeta
from pallet.api.resource import Resource

GROUP = "planner.ciena.io"
POD_SET_LABEL = f"{GROUP}/pod-set"
QUIET_TIME_LABEL = f"{GROUP}/quiet-time"
DEFAULT_PLANNER_LABEL = f"{GROUP}/default"

PLANNING_SINCE = f"{GROUP}/planning-since"
"""Annotation of a trigger: when it entered Planning, in the API server's time."""
PLANNING_GENERATION = f"{GROUP}/planning-generation"
"""Annotation of a trigger: the generation that PLANNING_SINCE speaks of; of another one it says nothing."""
LAST_JOINED = f"{GROUP}/last-joined"
"""Annotation of a trigger: when the last pod joined its set, in the API server's time."""
PLANNED_BY = f"{GROUP}/planned-by"
"""Annotation of a plan that the scheduler wrote: the planner, and a hash of the entries."""

PLANNING = "Planning"
SCHEDULE = "Schedule"


class ScheduleTriggerSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Whether the pods of the set wait (Planning) or go (Schedule)."""

    state: Literal["Planning", "Schedule"]


class Condition(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """One condition of a status (meta/v1 Condition)."""

    type: str
    status: str
    reason: str
    message: str = ""
    last_transition_time: datetime | None = None
    observed_generation: int = 0


class ScheduleTriggerStatus(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """How far the set has come: counts of its pods, and when its quiet time ends."""

    observed_generation: int = 0
    total: int = 0
    gated: int = 0
    planned: int = 0
    reserved: int = 0
    bound: int = 0
    quiet_until: datetime | None = None
    conditions: tuple[Condition, ...] = ()


class ManagedFields(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """Who last wrote which fields, and when (meta/v1 ManagedFieldsEntry); times are in whole seconds."""

    time: datetime | None = None
    subresource: str = ""
    fields: dict[str, Any] = msgspec.field(default_factory=dict, name="fieldsV1")


class TriggerMeta(ObjectMeta, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """Metadata with who wrote what: it tells when a trigger entered its state, even if nobody was looking."""

    managed_fields: tuple[ManagedFields, ...] = ()


class ScheduleTrigger(msgspec.Struct, frozen=True, gc=False):
    """planner.ciena.io/v1alpha1 ScheduleTrigger: the gate of one set of pods."""

    spec: ScheduleTriggerSpec
    metadata: TriggerMeta = TriggerMeta()
    status: ScheduleTriggerStatus = ScheduleTriggerStatus()

    @property
    def pod_set(self) -> str:
        """The set it gates, from its label; empty when it gates none."""
        return self.metadata.labels.get(POD_SET_LABEL, "")


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """One pod's place, both by name."""

    pod: str
    node: str


class SchedulePlanSpec(msgspec.Struct, frozen=True, gc=False):
    """Where each pod of the set goes."""

    plan: tuple[Assignment, ...] = ()


class SchedulePlan(msgspec.Struct, frozen=True, gc=False):
    """planner.ciena.io/v1alpha1 SchedulePlan: the stored plan of one set."""

    metadata: ObjectMeta = ObjectMeta()
    spec: SchedulePlanSpec = SchedulePlanSpec()

    @property
    def pod_set(self) -> str:
        """The set it places, from its label."""
        return self.metadata.labels.get(POD_SET_LABEL, "")


SCHEDULE_TRIGGERS = Resource(GROUP, "v1alpha1", "scheduletriggers", ScheduleTrigger)
SCHEDULE_PLANS = Resource(GROUP, "v1alpha1", "scheduleplans", SchedulePlan)
