"""The condition PodScheduled of pending pods, and the nodes nominated for them.

They are written behind the bindings, the newest of each pod only.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import anyio

from pallet.api.pod import PODS, Pod, PodCondition
from pallet.bounded_cache import MIB, BoundedCache
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
TRIES = 5
"""How often a condition is written again because its pod changes all the time."""
WRITTEN_BYTES = 8 * MIB
"""Of conditions that were written and are not seen yet; of more the oldest may be written twice."""


_Carried = tuple[str, str, str]
"""Reason, message and nominated node."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    pod: Pod
    reason: str
    message: str
    nominated: str | None


class ConditionWriter:
    """Takes conditions without blocking, and writes them while `run` does.

    What a pod carries already is not written again. A pod that is waiting to be written and gets another
    condition is written once. A condition is written only over the version of the pod that it speaks of, or
    over a newer one that is still without a node: never after a binding.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._wanted: OrderedDict[str, _Wanted] = OrderedDict()
        self._last: BoundedCache[str, _Carried] = BoundedCache("written_conditions", WRITTEN_BYTES)
        self._wake = anyio.Event()

    def set(self, pod: Pod, reason: str, message: str, nominated: str | None = None) -> None:
        """Have a pod carry PodScheduled=False with a reason and a message, and a nominated node.

        The empty name takes a nomination away, None leaves it as it is.
        """
        uid = pod.metadata.uid
        waiting = self._wanted.get(uid)
        if nominated is None and waiting is not None:
            nominated = waiting.nominated
        carried = self._carried(pod)
        if carried == (reason, message, carried[2] if nominated is None else nominated):
            self._wanted.pop(uid, None)
            return
        self._wanted[uid] = _Wanted(pod, reason, message, nominated)
        self._wake.set()

    def nominate(self, pod: Pod, node_name: str) -> None:
        """Have a pod show the node that it is about to be bound to, its condition left as it is."""
        reason, message, nominated = self._carried(pod)
        if nominated != node_name:
            self._wanted[pod.metadata.uid] = _Wanted(pod, reason, message, node_name)
            self._wake.set()

    def forget(self, pod: Pod) -> None:
        """A pod is bound or gone: nothing is to be written any more."""
        self._wanted.pop(pod.metadata.uid, None)
        self._last.pop(pod.metadata.uid)

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
            node = wanted.pod.status.nominated_node_name if wanted.nominated is None else wanted.nominated
            self._last[uid] = (wanted.reason, wanted.message, node)
            try:
                await self._write(wanted)
            except (ApiError, Unreachable, AnswerLost) as error:
                self._last.pop(uid)
                log.v(1, "Could not write a pod's condition", pod=wanted.pod.key, error=error)

    async def _write(self, wanted: _Wanted) -> None:
        """Write a condition; where the pod has changed meanwhile, look whether it is still worth it."""
        for _ in range(TRIES):
            try:
                await self._patch(wanted)
            except ApiError as refused:
                if not refused.conflict:
                    raise
                meta = wanted.pod.metadata
                pod = await self._client.get(PODS, meta.name, meta.namespace)
                if pod.metadata.uid != meta.uid or pod.spec.node_name or meta.uid in self._wanted:
                    return
                wanted = replace(wanted, pod=pod)
            else:
                return

    async def _patch(self, wanted: _Wanted) -> None:
        pod = wanted.pod
        status: dict[str, Any] = {"conditions": [_written(wanted)]} if wanted.reason else {}
        if wanted.nominated not in (None, pod.status.nominated_node_name):
            status["nominatedNodeName"] = wanted.nominated or None
        version = {"uid": pod.metadata.uid, "resourceVersion": pod.metadata.resource_version}
        await self._client.amend(
            PODS,
            pod.metadata.name,
            pod.metadata.namespace,
            {"metadata": version, "status": status},
            subresource="status",
            content_type=STRATEGIC_MERGE_PATCH,
            safe=True,
            priority=Priority.NORMAL,
        )

    def _carried(self, pod: Pod) -> _Carried:
        """What a pod carries, or will once what was written is seen."""
        uid = pod.metadata.uid
        current = _condition(pod)
        said = (current.reason, current.message) if current and current.status == "False" else ("", "")
        last = self._last.get(uid)
        if last is None or last[:2] == said:  # what is written at once is seen at once
            self._last.pop(uid)
            return (*said, pod.status.nominated_node_name)
        return last


def _written(wanted: _Wanted) -> dict[str, Any]:
    """The condition as the API takes it. Its time changes with its status only."""
    current = _condition(wanted.pod)
    since = current.last_transition_time if current and current.status == "False" else None
    return {
        "type": POD_SCHEDULED,
        "status": "False",
        "reason": wanted.reason,
        "message": wanted.message,
        "observedGeneration": wanted.pod.metadata.generation,
        "lastProbeTime": None,
        "lastTransitionTime": since or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _condition(pod: Pod) -> PodCondition | None:
    return next((each for each in pod.status.conditions if each.type == POD_SCHEDULED), None)
