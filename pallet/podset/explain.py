"""Telling pods why they are held back: a condition and an event, once, behind everything else."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

import anyio

from pallet.api.pod import Pod
from pallet.client import AnswerLost, ApiError, Unreachable
from pallet.podset.gate import Gate, Why
from pallet.podset.writes import Api, set_unscheduled

log = logging.getLogger(__name__)

_WRITERS: Final = 4

_EVENT: Final = {
    Why.AWAITING_TRIGGER: ("Normal", "AwaitingTrigger"),
    Why.PLANNER_FAILED: ("Warning", "FailedScheduling"),
    Why.REFUSED: ("Warning", "FailedScheduling"),
}
"""What is told, as the type and the reason of an event. Being planned takes milliseconds: not told."""


class Tell(Protocol):
    """Records an event about a pod or a trigger."""

    def __call__(self, obj: object, *, kind: str, reason: str, action: str, note: str) -> None:
        """Record it; `kind` is Normal or Warning."""
        ...


class Explainer:
    """Writes the condition PodScheduled=False on gated pods.

    Of a pod that is asked for several times only the newest state counts, and the gate is looked at again just
    before the write. A write that fails is not repeated for the same state of the pod: what is said here is a
    courtesy.
    """

    def __init__(
        self, api: Api, verdict: Callable[[Pod], Gate], tell: Tell, now: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._verdict = verdict
        self._tell = tell
        self._now = now
        self._wanted: dict[str, Pod] = {}
        self._told: dict[str, str] = {}
        self._tried: dict[str, tuple[str, str]] = {}
        self._wake = anyio.Event()

    def explain(self, pod: Pod, gate: Gate) -> None:
        """Have a pod told why its gate is closed, unless it says so already.

        A pod with scheduling gates keeps the condition that the API server gave it.
        """
        uid = pod.metadata.uid
        said = any(
            each.type == "PodScheduled"
            and each.status == "False"
            and gate.why is not None
            and (each.reason, each.message) == (gate.why.value, gate.message)
            for each in pod.status.conditions
        )
        tried = self._tried.get(uid) == (pod.metadata.resource_version, gate.message)
        if gate.why not in _EVENT or said or tried or pod.spec.scheduling_gates:
            self._wanted.pop(uid, None)
        else:
            self._wanted[uid] = pod
            self._wake.set()

    def forget(self, uid: str) -> None:
        """Drop what is kept of a pod that is not held back any more."""
        self._wanted.pop(uid, None)
        self._told.pop(uid, None)
        self._tried.pop(uid, None)

    async def run(self) -> None:
        """Write until cancelled."""
        async with anyio.create_task_group() as tasks:
            for _ in range(_WRITERS):
                tasks.start_soon(self._write)

    async def _write(self) -> None:
        while True:
            while not self._wanted:
                self._wake = anyio.Event() if self._wake.is_set() else self._wake
                await self._wake.wait()
            uid = next(iter(self._wanted))
            await self._write_one(self._wanted.pop(uid))

    async def _write_one(self, pod: Pod) -> None:
        gate, uid = self._verdict(pod), pod.metadata.uid
        if gate.why not in _EVENT or gate.why is None:
            return
        self._tried[uid] = (pod.metadata.resource_version, gate.message)
        if self._told.get(uid) != gate.message:
            self._told[uid] = gate.message
            kind, reason = _EVENT[gate.why]
            self._tell(pod, kind=kind, reason=reason, action="Scheduling", note=gate.message)
        try:
            await set_unscheduled(self._api, pod, gate.why.value, gate.message, self._now())
        except ApiError as error:
            if not (error.conflict or error.not_found):
                log.warning("pod %s is not told why it waits: %s", pod.key, error)
        except (Unreachable, AnswerLost) as error:
            log.warning("pod %s is not told why it waits: %s", pod.key, error)
