"""What is written to the API server for a set, one function a write; each patch is a merge patch.

Each names what it is about, so that it never hits an object that has taken the name since: the switch and the
plan by resource version (another state means deciding anew), the rest by UID. All can be done twice.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol, TypeVar

from pallet.api.meta import Object
from pallet.api.plan_name import plan_name
from pallet.api.podset import (
    PLANNED_BY,
    POD_SET_LABEL,
    SCHEDULE,
    SCHEDULE_PLANS,
    SCHEDULE_TRIGGERS,
    Assignment,
    Condition,
    SchedulePlan,
    ScheduleTrigger,
    ScheduleTriggerStatus,
)
from pallet.api.resource import Resource
from pallet.podset.model import SetKey
from pallet.podset.quiet import Quiet, rfc3339, times

T = TypeVar("T", bound=Object)

PLAN_LIMIT = 1_400_000
"""Bytes that a plan's entries may take; etcd takes 1.5 MiB for the whole request, metadata included."""

_ENTRY = len('{"pod":"","node":""},')


class Api(Protocol):
    """The part of the client that is used here."""

    async def get(self, resource: Resource[T], name: str, namespace: str = "") -> T:
        """Read one object."""
        ...

    async def create(self, resource: Resource[T], obj: Mapping[str, Any], namespace: str = "") -> T:
        """Create an object."""
        ...

    async def patch(
        self,
        resource: Resource[T],
        name: str,
        namespace: str,
        patch: Any,
        *,
        subresource: str = "",
        safe: bool = False,
    ) -> T:
        """Change an object."""
        ...

    async def replace(
        self,
        resource: Resource[T],
        name: str,
        namespace: str,
        document: Mapping[str, Any],
        *,
        subresource: str = "",
    ) -> T:
        """Write an object back that was read whole."""
        ...

    async def delete(self, resource: Resource[T], name: str, namespace: str = "", *, uid: str = "") -> None:
        """Delete an object."""
        ...


def plan_size(entries: Mapping[str, str]) -> int:
    """How many bytes the entries of a plan take, pods and nodes by name."""
    return sum(len(pod) + len(node) + _ENTRY for pod, node in entries.items())


async def switch(api: Api, trigger: ScheduleTrigger) -> ScheduleTrigger:
    """Switch a trigger to Schedule, if nobody has touched it meanwhile."""
    meta = trigger.metadata
    patch = {"metadata": {"resourceVersion": meta.resource_version}, "spec": {"state": SCHEDULE}}
    return await api.patch(SCHEDULE_TRIGGERS, meta.name, meta.namespace, patch, safe=True)


async def save_times(api: Api, trigger: ScheduleTrigger, quiet: Quiet) -> ScheduleTrigger:
    """Keep what a quiet time counts from on its trigger."""
    meta = trigger.metadata
    patch = {"metadata": {"uid": meta.uid, "annotations": times(trigger, quiet)}}
    return await api.patch(SCHEDULE_TRIGGERS, meta.name, meta.namespace, patch, safe=True)


async def write_status(api: Api, trigger: ScheduleTrigger, status: ScheduleTriggerStatus) -> ScheduleTrigger:
    """Write a trigger's status. Fields that the installed CRD does not know are dropped by the API server."""
    meta = trigger.metadata
    body = {
        "observedGeneration": status.observed_generation,
        "total": status.total,
        "gated": status.gated,
        "planned": status.planned,
        "reserved": status.reserved,
        "bound": status.bound,
        "quietUntil": _seconds(status.quiet_until),
        "conditions": [_condition(each) for each in status.conditions],
    }
    patch = {"metadata": {"uid": meta.uid}, "status": body}
    return await api.patch(
        SCHEDULE_TRIGGERS, meta.name, meta.namespace, patch, subresource="status", safe=True
    )


async def store_plan(
    api: Api, key: SetKey, plan: SchedulePlan | None, entries: tuple[Assignment, ...], signed: str
) -> SchedulePlan:
    """Create a set's plan, or give an existing one these entries; `signed` says who made it, if we did."""
    body: dict[str, Any] = {
        "metadata": {"labels": {POD_SET_LABEL: key.name}, "annotations": {PLANNED_BY: signed or None}},
        "spec": {"plan": [{"pod": each.pod, "node": each.node} for each in entries]},
    }
    name = plan_name(*key)
    if plan is not None:
        body["metadata"]["resourceVersion"] = plan.metadata.resource_version
        return await api.patch(SCHEDULE_PLANS, name, key.namespace, body, safe=True)
    body["metadata"] |= {"name": name, "namespace": key.namespace}
    head = {"apiVersion": SCHEDULE_PLANS.api_version, "kind": SchedulePlan.__name__}
    return await api.create(SCHEDULE_PLANS, head | body, key.namespace)


async def drop_plan(api: Api, plan: SchedulePlan) -> None:
    """Delete a plan, but not another one of its name."""
    meta = plan.metadata
    await api.delete(SCHEDULE_PLANS, meta.name, meta.namespace, uid=meta.uid)


def _condition(condition: Condition) -> dict[str, Any]:
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": _seconds(condition.last_transition_time),
        "observedGeneration": condition.observed_generation,
    }


def _seconds(time: datetime | None) -> str | None:
    """Write a moment as meta/v1 Time has it, in whole seconds."""
    return None if time is None else rfc3339(time.replace(microsecond=0)).replace(".000000", "")
