"""Preempting: what is written about the victims, and when the preemptor may be tried again.

The decision is made within a cycle, the writes are made in a task. Until they are done the preemptor is kept
out of the queue, so that it does not preempt once more.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import anyio

from pallet.api.pod import PODS, Pod, pod_reference
from pallet.bounded_cache import MIB, BoundedCache
from pallet.client.client import STRATEGIC_MERGE_PATCH
from pallet.client.errors import AnswerLost, ApiError, Unreachable
from pallet.framework.handle import Handle
from pallet.informers.informer import Handler
from pallet.logs import get_logger
from pallet.plugins.preemption.importance import DISRUPTION_TARGET, PREEMPTED, terminating_by_preemption

log = get_logger(__name__)

DELETED_BYTES: Final = 8 * MIB
"""Of the names of victims that were deleted and are still seen; of more the oldest are forgotten."""

PATIENCE_SECONDS: Final = 1.0
"""How long a preemptor that an event helped meanwhile waits to see its victims gone; some take longer."""

_FAILURES: Final = (ApiError, AnswerLost, Unreachable)


class Executor:
    """The preemptions that are running. Messages are kube-scheduler's."""

    def __init__(self, plugin: str, handle: Handle) -> None:
        self._plugin = plugin
        self._handle = handle
        self._running: set[str] = set()
        self._deleted: BoundedCache[str, bool] = BoundedCache("preemption_victims", DELETED_BYTES)
        self._unseen: dict[str, anyio.Event] = {}
        pods = handle.informers.informer(PODS)
        self._pods = pods.store
        pods.add_handler(Handler(on_delete=self._see_gone))

    def is_running(self, preemptor: Pod) -> bool:
        """Whether a pod's victims are being deleted."""
        return preemptor.metadata.uid in self._running

    def is_preempted(self, pod: Pod) -> bool:
        """Whether a pod was preempted and still terminates, though the API may not show that yet."""
        return pod.metadata.uid in self._deleted or terminating_by_preemption(pod)

    def start(self, preemptor: Pod, node_name: str, victims: Sequence[Pod]) -> None:
        """Have the victims deleted, except those that terminate already."""
        running = [victim for victim in victims if not victim.terminating]
        if running:
            self._handle.metrics.preemption_victims.observe(len(victims))
            self._running.add(preemptor.metadata.uid)
            self._handle.tasks.start(self._prepare_candidate, preemptor, node_name, running)

    async def _prepare_candidate(self, preemptor: Pod, node_name: str, victims: Sequence[Pod]) -> None:
        """Delete the victims, and clear the nominations to the node of pods that yield to the preemptor.

        The last one is deleted after the others, as in kube-scheduler: that these are gone is seen while the
        preemptor is still kept out, and so it is not tried again before there is room.
        """
        uid = preemptor.metadata.uid
        failed = False

        async def attempt(write: Any, pod: Pod, *more: Any) -> None:
            nonlocal failed
            try:
                await write(pod, *more)
            except _FAILURES as error:
                failed = True
                log.error("Could not preempt", preemptor=preemptor.key, pod=pod.key, error=error)  # noqa: TRY400  # expected

        try:
            async with anyio.create_task_group() as tasks:
                for info in self._handle.nominator.on(node_name):
                    if info.pod.spec.priority < preemptor.spec.priority:
                        tasks.start_soon(attempt, self._clear_nomination, info.pod)
                for victim in victims[:-1]:
                    tasks.start_soon(attempt, self._preempt_pod, victim, preemptor, node_name)
            if not failed:
                await attempt(self._preempt_pod, victims[-1], preemptor, node_name)
        finally:
            self._running.discard(uid)
        if failed:  # without room no event will come that helps
            self._handle.activate((uid,))
            return
        # An event that helps the preemptor may have come while it was kept out. But as long as victims are
        # seen, most likely a cycle would only find that it has to wait for them.
        with anyio.move_on_after(PATIENCE_SECONDS):
            for victim in victims:
                await self._seen_gone(victim)
        self._handle.ungate((uid,))

    async def _seen_gone(self, victim: Pod) -> None:
        """Wait until the informer no longer shows a victim that was deleted."""
        uid, shown = victim.metadata.uid, self._pods.get(victim.key)
        there = shown is not None and shown.metadata.uid == uid
        if there and uid in self._deleted:  # else it only waited for permission
            await self._unseen.setdefault(uid, anyio.Event()).wait()

    def _see_gone(self, pod: Pod) -> None:
        self._deleted.pop(pod.metadata.uid)
        seen = self._unseen.pop(pod.metadata.uid, None)
        if seen is not None:
            seen.set()

    async def _clear_nomination(self, pod: Pod) -> None:
        """Take back the nomination of a pod that yields to the preemptor."""
        if pod.status.nominated_node_name:
            await self._patch(pod, {"nominatedNodeName": None})

    async def _preempt_pod(self, victim: Pod, preemptor: Pod, node_name: str) -> None:
        note = f"Preempted by pod {preemptor.metadata.uid} on node {node_name}"
        waiting = self._handle.waiting.get(victim.metadata.uid)
        if waiting is not None and waiting.preempt(self._plugin):
            note += " (in kube-scheduler memory)."
        elif not await self._delete(victim, preemptor):
            return
        log.v(2, "Preempted pod", preemptor=preemptor.key, pod=victim.key, node=node_name)
        self._handle.recorder.event(
            pod_reference(victim),
            preemptor.spec.scheduler_name,
            kind="Normal",
            reason="Preempted",
            action="Preempting",
            note=note,
        )

    async def _delete(self, victim: Pod, preemptor: Pod) -> bool:
        """Write on a victim why it is preempted, and delete it; False when it was gone before."""
        words = f"{preemptor.spec.scheduler_name}: preempting to accommodate a higher priority pod"
        meta = victim.metadata
        try:
            if (condition := _condition(victim, words)) is not None:
                await self._patch(victim, {"conditions": [condition]})
            await self._handle.client.delete(PODS, meta.name, meta.namespace, uid=meta.uid)
            self._deleted[meta.uid] = True
        except ApiError as refused:
            if refused.not_found or refused.conflict:  # gone, or another one took its name
                return False
            raise
        return True

    async def _patch(self, pod: Pod, status: dict[str, Any]) -> None:
        await self._handle.client.amend(
            PODS,
            pod.metadata.name,
            pod.metadata.namespace,
            {"metadata": {"uid": pod.metadata.uid}, "status": status},
            subresource="status",
            content_type=STRATEGIC_MERGE_PATCH,
            safe=True,
        )


def _condition(victim: Pod, message: str) -> dict[str, Any] | None:
    """The condition DisruptionTarget that a victim is to carry; None where it does already."""
    current = next((each for each in victim.status.conditions if each.type == DISRUPTION_TARGET), None)
    held = current is not None and current.status == "True"
    if held and current is not None and (current.reason, current.message) == (PREEMPTED, message):
        return None
    since = current.last_transition_time if held and current is not None else None
    return {
        "type": DISRUPTION_TARGET,
        "status": "True",
        "reason": PREEMPTED,
        "message": message,
        "observedGeneration": victim.metadata.generation,
        "lastProbeTime": None,
        "lastTransitionTime": since or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
