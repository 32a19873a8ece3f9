"""What is written to the API server for a set: each patch is a merge patch, and all can be done twice.

Each write names what it is about, so that it never hits an object that has taken the name since: the switch
and the plan by resource version (another state means deciding again), the rest by UID. Each failed write is
tried again after a growing delay, and none is forgotten.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pallet.api.duration import format_duration
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
from pallet.client import AnswerLost, ApiError, Backoff, Unreachable
from pallet.framework.handle import Recorder
from pallet.logs import get_logger
from pallet.podset.api import Api, UpdatingApi
from pallet.podset.decisions import DropPlan, SaveTimes, Step, StorePlan, Switch, Write, WriteStatus
from pallet.podset.events import tell
from pallet.podset.metrics import PodSetMetrics
from pallet.podset.model import PodSet
from pallet.podset.sets import PodSets
from pallet.podset.source import SetKey
from pallet.podset.triggers import Quiet, rfc3339, times

log = get_logger(__name__)

_FIRST_DELAY: Final = 0.05
_LONGEST_DELAY: Final = 30.0
"""Seconds until a failed write is tried again; the client itself has tried for some ten seconds before."""


@dataclass(slots=True)
class _Hold:
    backoff: Backoff
    until: datetime


class Writer:
    """Writes for the sets, and remembers which kinds of write have to wait after a failure."""

    def __init__(
        self,
        api: Api,
        sets: PodSets,
        recorder: Recorder,
        metrics: PodSetMetrics,
        now: Callable[[], datetime],
    ) -> None:
        self._api = UpdatingApi(api)
        self._sets = sets
        self._recorder = recorder
        self._metrics = metrics
        self._now = now
        self._holds: dict[tuple[SetKey, type[Step]], _Hold] = {}

    def held_until(self, key: SetKey, step: Step) -> datetime | None:
        """When a step may be tried again; None when it may be done now."""
        hold = self._holds.get((key, type(step)))
        return hold.until if hold is not None and self._now() < hold.until else None

    def forget(self, key: SetKey) -> None:
        """Drop what is kept of a set that is gone."""
        for held in [held for held in self._holds if held[0] == key]:
            del self._holds[held]

    async def write(self, pod_set: PodSet, step: Write) -> None:
        """Do a step. One that fails is held back; what may have changed is read again."""
        try:
            await self._do(pod_set, step)
        except (ApiError, Unreachable, AnswerLost) as error:
            pod_set.written.unstored |= isinstance(step, StorePlan)
            await self._fail(pod_set, step, error)
        else:
            pod_set.written.unstored &= not isinstance(step, StorePlan)
            self._holds.pop((pod_set.key, type(step)), None)

    async def _do(self, pod_set: PodSet, step: Write) -> None:
        match step:
            case Switch(trigger, quiet):
                self._take(pod_set, await switch(self._api, trigger))
                length = format_duration(quiet.length.total_seconds()) if quiet.length is not None else "0s"
                tell(self._recorder, pod_set, "Switched", f"no pod joined for {length}: switched to Schedule")
            case SaveTimes(trigger, quiet):
                pod_set.written.times = self._now()
                self._take(pod_set, await save_times(self._api, trigger, quiet))
            case WriteStatus(trigger, status):
                pod_set.written.status = self._now()
                self._take(pod_set, await write_status(self._api, trigger, status))
                pod_set.written.reported[trigger.metadata.uid] = status
            case StorePlan():
                await self._store(pod_set, step)
            case DropPlan(plan):
                await drop_plan(self._api, plan)
                self._sets.drop_plan(plan)

    async def _store(self, pod_set: PodSet, step: StorePlan) -> None:
        nodes = {each.pod: each.node for each in step.entries}
        grows = not nodes.keys() <= pod_set.stored.keys()
        pod_set.written.on_its_way, pod_set.written.plan = nodes, self._now()
        try:
            known = pod_set.plan.plan if pod_set.plan else None
            stored = await store_plan(self._api, pod_set.key, known, step.entries, step.signed)
            self._sets.put_plan(stored)
        finally:
            pod_set.written.on_its_way = None
        if grows:
            note = f"SchedulePlan {pod_set.key.plan_name} gives {len(nodes)} pods their nodes"
            tell(self._recorder, pod_set, "Planned", note)
            took = pod_set.since_switch.to_plan(self._now())
            if took is not None:
                self._metrics.trigger_to_plan_seconds.observe(took.total_seconds())

    def _take(self, pod_set: PodSet, trigger: ScheduleTrigger) -> None:
        """Take the answer to a write, unless the trigger was seen to go meanwhile."""
        known = pod_set.triggers.get(trigger.metadata.name)
        if known is not None and known.metadata.uid == trigger.metadata.uid:
            self._sets.put_trigger(trigger, self._now())

    async def _fail(self, pod_set: PodSet, step: Write, error: Exception) -> None:
        log.warning("Could not write", pod_set=pod_set.key, error=error)
        if _may_be_stale(error):
            try:
                await self._read_again(pod_set, step)
            except (ApiError, Unreachable) as unread:
                log.warning("Could not read again", pod_set=pod_set.key, error=unread)
        hold = self._holds.setdefault(
            (pod_set.key, type(step)),
            _Hold(Backoff(_FIRST_DELAY, _LONGEST_DELAY, jitter=0.5), self._now()),
        )
        now = self._now()
        hold.until = now + timedelta(seconds=hold.backoff.delay(now.timestamp()))

    async def _read_again(self, pod_set: PodSet, step: Write) -> None:
        """Learn what the API has, rather than waiting for the watch to tell."""
        match step:
            case StorePlan() | DropPlan():
                await self._read_plan(pod_set)
            case Switch(trigger) | SaveTimes(trigger) | WriteStatus(trigger):
                await self._read_trigger(pod_set, trigger)

    async def _read_plan(self, pod_set: PodSet) -> None:
        try:
            plan = await self._api.get(SCHEDULE_PLANS, pod_set.key.plan_name, pod_set.key.namespace)
        except ApiError as error:
            if not error.not_found:
                raise
            if pod_set.plan is not None:
                self._sets.drop_plan(pod_set.plan.plan)
        else:
            self._sets.put_plan(plan, pod_set.key)

    async def _read_trigger(self, pod_set: PodSet, trigger: ScheduleTrigger) -> None:
        meta = trigger.metadata
        try:
            self._take(pod_set, await self._api.get(SCHEDULE_TRIGGERS, meta.name, meta.namespace))
        except ApiError as error:
            if not error.not_found:
                raise
            self._sets.drop_trigger(trigger)


def _may_be_stale(error: Exception) -> bool:
    """Whether what the API has may differ from what is known here."""
    if isinstance(error, ApiError):
        return error.conflict or error.already_exists or error.not_found
    return isinstance(error, AnswerLost)


async def switch(api: Api, trigger: ScheduleTrigger) -> ScheduleTrigger:
    """Switch a trigger to Schedule, if it has not changed meanwhile."""
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
    name = key.plan_name
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
