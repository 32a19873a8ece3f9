"""The condition PodScheduled of pending pods, written behind the bindings, the newest of each pod only."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio

from pallet.api.pod import PODS, Pod, PodCondition
from pallet.client.client import STRATEGIC_MERGE_PATCH, Client
from pallet.client.errors import AnswerLost, ApiError, Unreachable
from pallet.client.limiter import Priority
from pallet.logs import get_logger

log = get_logger(__name__)

POD_SCHEDULED = "PodScheduled"
UNSCHEDULABLE = "Unschedulable"
SCHEDULER_ERROR = "SchedulerError"
AWAITING_TRIGGER = "AwaitingTrigger"
"""Ours, for pods that wait for their trigger: `Unschedulable` would wake an autoscaler."""

WRITERS = 8


@dataclass(frozen=True, slots=True)
class _Wanted:
    pod: Pod
    reason: str
    message: str


class ConditionWriter:
    """Takes conditions without blocking, and writes them while `run` does.

    What a pod carries already is not written again. A pod that is waiting to be written and gets another
    condition is written once.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._wanted: OrderedDict[str, _Wanted] = OrderedDict()
        self._last: dict[str, tuple[str, str]] = {}
        self._wake = anyio.Event()

    def set(self, pod: Pod, reason: str, message: str) -> None:
        """Have a pod carry PodScheduled=False with a reason and a message."""
        uid = pod.metadata.uid
        if self._carried(pod) == (reason, message):
            self._wanted.pop(uid, None)
            return
        self._wanted[uid] = _Wanted(pod, reason, message)
        self._wake.set()

    def forget(self, pod: Pod) -> None:
        """A pod is bound or gone: nothing is to be written any more."""
        self._wanted.pop(pod.metadata.uid, None)
        self._last.pop(pod.metadata.uid, None)

    async def run(self) -> None:
        """Write conditions until cancelled."""
        async with anyio.create_task_group() as tasks:
            for _ in range(WRITERS):
                tasks.start_soon(self._write_all)

    async def _write_all(self) -> None:
        while True:
            if not self._wanted:
                self._wake = anyio.Event() if self._wake.is_set() else self._wake
                await self._wake.wait()
                continue
            uid, wanted = self._wanted.popitem(last=False)
            self._last[uid] = (wanted.reason, wanted.message)
            try:
                await self._write(wanted)
            except (ApiError, Unreachable, AnswerLost) as error:
                self._last.pop(uid, None)
                log.v(1, "Could not write a pod's condition", pod=wanted.pod.key, error=error)

    async def _write(self, wanted: _Wanted) -> None:
        pod = wanted.pod
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        current = _condition(pod)
        since = current.last_transition_time if current and current.status == "False" else None
        condition = {
            "type": POD_SCHEDULED,
            "status": "False",
            "reason": wanted.reason,
            "message": wanted.message,
            "observedGeneration": pod.metadata.generation,
            "lastProbeTime": None,
            "lastTransitionTime": since or now,
        }
        await self._client.patch(
            PODS,
            pod.metadata.name,
            pod.metadata.namespace,
            {"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}},
            subresource="status",
            content_type=STRATEGIC_MERGE_PATCH,
            safe=True,
            priority=Priority.NORMAL,
        )

    def _carried(self, pod: Pod) -> tuple[str, str] | None:
        """What a pod carries, or will once what was written is seen."""
        if pod.metadata.uid in self._last:
            return self._last[pod.metadata.uid]
        current = _condition(pod)
        return (current.reason, current.message) if current and current.status == "False" else None


def _condition(pod: Pod) -> PodCondition | None:
    return next((each for each in pod.status.conditions if each.type == POD_SCHEDULED), None)
