"""Doing the steps that write: each failure is tried again after a growing delay, and none is forgotten."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from pallet.api.duration import format_duration
from pallet.api.plan_name import plan_name
from pallet.api.podset import SCHEDULE_PLANS, SCHEDULE_TRIGGERS, ScheduleTrigger
from pallet.client import AnswerLost, ApiError, Backoff, Unreachable
from pallet.podset import writes
from pallet.podset.decisions import DropPlan, MakePlan, Release, SaveTimes, Step, StorePlan, Switch, TakeBack, WriteStatus
from pallet.podset.metrics import PodSetMetrics
from pallet.podset.model import PodSet, SetKey
from pallet.podset.recorder import Recorder
from pallet.podset.sets import PodSets
from pallet.podset.writes import Api

log = logging.getLogger(__name__)

_FIRST_DELAY: Final = 0.05
_LONGEST_DELAY: Final = 30.0
"""Seconds until a failed write is tried again; the client itself has tried for some ten seconds before."""

Write = Switch | StorePlan | DropPlan | SaveTimes | WriteStatus


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
        rng: Random,
    ) -> None:
        self._api = api
        self._sets = sets
        self._recorder = recorder
        self._metrics = metrics
        self._now = now
        self._rng = rng
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
        """Do a step. One that fails is held back; what it is about is read again where it may have changed."""
        try:
            await self._do(pod_set, step)
        except (ApiError, Unreachable, AnswerLost) as error:
            await self._fail(pod_set, step, error)
        else:
            self._holds.pop((pod_set.key, type(step)), None)

    async def _do(self, pod_set: PodSet, step: Write) -> None:
        match step:
            case Switch(trigger, quiet):
                self._take(pod_set, await writes.switch(self._api, trigger))
                note = f"no pod joined for {format_duration(quiet.length.total_seconds())}" if quiet.length else ""
                self._tell(trigger, "Switched", "Switch", f"Switched to Schedule: {note}")
            case SaveTimes(trigger, quiet):
                pod_set.times_written = self._now()
                self._take(pod_set, await writes.save_times(self._api, trigger, quiet))
            case WriteStatus(trigger, status):
                pod_set.status_written = self._now()
                self._take(pod_set, await writes.write_status(self._api, trigger, status))
                pod_set.statuses[trigger.metadata.uid] = status
            case StorePlan():
                await self._store(pod_set, step)
            case DropPlan(plan):
                await writes.drop_plan(self._api, plan)
                self._sets.drop_plan(plan)
