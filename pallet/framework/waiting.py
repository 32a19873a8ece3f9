"""Pods that a permit plugin holds back after they were given a place."""

from collections.abc import Iterator, Mapping

import anyio

from pallet.api.pod import Pod
from pallet.framework.status import SUCCESS, Status, error, unschedulable


class WaitingPod:
    """A placed pod whose binding waits until every plugin that asked for it allows it, or one refuses."""

    def __init__(self, pod: Pod, node_name: str, timeouts: Mapping[str, float]) -> None:
        self.pod = pod
        self.node_name = node_name
        self._pending = dict(timeouts)
        self._decided = anyio.Event()
        self._status = SUCCESS

    @property
    def pending(self) -> tuple[str, ...]:
        """The plugins that have not allowed it yet."""
        return tuple(self._pending)

    def allow(self, plugin: str) -> None:
        """A plugin lets the pod go."""
        self._pending.pop(plugin, None)
        if not self._pending:
            self._decided.set()

    def reject(self, plugin: str, reason: str) -> None:
        """A plugin refuses the pod after all; nothing happens when it is decided already."""
        if not self._decided.is_set():
            self._status = unschedulable(reason).by(plugin)
            self._decided.set()

    def preempt(self, plugin: str) -> bool:
        """A plugin wants the pod's place for another; False when the pod is decided about already.

        That is no refusal: the pod is tried again after a back-off.
        """
        if self._decided.is_set():
            return False
        self._status = error("waiting on permit for pod: preempted").by(plugin)
        self._decided.set()
        return True

    async def wait(self) -> Status:
        """The outcome; a refusal when the time-out of a plugin has passed that has not allowed the pod."""
        started = anyio.current_time()
        while not self._decided.is_set():
            plugin, seconds = min(self._pending.items(), key=lambda item: item[1])
            with anyio.CancelScope(deadline=started + seconds) as time_out:
                await self._decided.wait()
            if time_out.cancelled_caught and plugin in self._pending:
                self.reject(plugin, f"rejected due to timeout after waiting {seconds:g}s at plugin {plugin}")
        return self._status


class WaitingPods:
    """All pods that wait at Permit, by UID."""

    def __init__(self) -> None:
        self._pods: dict[str, WaitingPod] = {}

    def __iter__(self) -> Iterator[WaitingPod]:
        return iter(tuple(self._pods.values()))

    def get(self, uid: str) -> WaitingPod | None:
        """The waiting pod of a UID."""
        return self._pods.get(uid)

    def add(self, waiting: WaitingPod) -> None:
        """A pod begins to wait."""
        self._pods[waiting.pod.metadata.uid] = waiting

    def remove(self, uid: str) -> None:
        """A pod waits no longer."""
        self._pods.pop(uid, None)
