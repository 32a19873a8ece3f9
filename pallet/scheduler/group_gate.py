"""Keeps pods of pod groups (`spec.schedulingGroup`) out of the queue: groups are not scheduled yet."""

from typing import Final, NoReturn

import anyio

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.framework.handle import Recorder
from pallet.framework.status import SUCCESS, Status, unresolvable
from pallet.scheduler.conditions import ConditionWriter
from pallet.scheduler.queue import SchedulingQueue
from pallet.scheduler.recorder import pod_event

NOT_SUPPORTED: Final = "SchedulingGroupNotSupported"
"""The reason of the condition: `Unschedulable` would wake an autoscaler."""

NOTE: Final = (
    "the pod belongs to a pod group, which this scheduler does not schedule yet; give it to another "
    "scheduler (spec.schedulerName), leave spec.schedulingGroup out, or have the field ignored "
    "(--feature-gates=GenericWorkload=false)"
)


class GroupGate:
    """A pre-enqueue plugin of every profile. It refuses while `enabled` holds, which is set before pods come.

    `enabled`: whether the feature gate GenericWorkload is on
    """

    name = "GangScheduling"

    def __init__(self, recorder: Recorder, conditions: ConditionWriter) -> None:
        self.enabled = False
        self._recorder = recorder
        self._conditions = conditions
        self._untold: dict[str, Pod] = {}
        self._told: set[str] = set()
        self._wake = anyio.Event()

    def pre_enqueue(self, info: PodInfo) -> Status:
        """Refuse a pod of a group."""
        if not self.enabled or not info.pod.spec.scheduling_group:
            return SUCCESS
        self._untold[info.uid] = info.pod
        self._wake.set()
        return unresolvable(NOTE)

    async def run(self, queue: SchedulingQueue) -> NoReturn:
        """Tell the pods that are kept back, until cancelled; only who schedules writes."""
        while True:
            if not self._untold:
                self._wake = anyio.Event()
                await self._wake.wait()
            untold, self._untold = self._untold, {}
            self._told = {uid for uid in self._told if queue.is_gated(uid)}
            for uid, pod in untold.items():
                if queue.is_gated(uid) and uid not in self._told:
                    self._told.add(uid)
                    self._tell(pod)

    def _tell(self, pod: Pod) -> None:
        self._conditions.set(pod, NOT_SUPPORTED, NOTE)
        pod_event(self._recorder, pod, "Warning", "FailedScheduling", NOTE)
