"""The pods that were refused and wait for an event that helps."""

from collections.abc import Iterator

from pallet.scheduler.queued_pod import QueuedPod

NOBODY = ""
"""Stands for the plugin where none is to blame; every event helps these pods."""


class Unschedulable:
    """Pods by UID, and by the plugins that refused them, so that an event reaches only those it may help."""

    def __init__(self) -> None:
        self._pods: dict[str, QueuedPod] = {}
        self._refused_by: dict[tuple[str, str], dict[str, QueuedPod]] = {}

    def __len__(self) -> int:
        return len(self._pods)

    def __iter__(self) -> Iterator[QueuedPod]:
        return iter(tuple(self._pods.values()))

    def get(self, uid: str) -> QueuedPod | None:
        """The pod of a UID."""
        return self._pods.get(uid)

    def by_plugin(self) -> Iterator[tuple[str, str, dict[str, QueuedPod]]]:
        """Scheduler name, plugin, and the pods that it refused."""
        for (scheduler_name, plugin), pods in self._refused_by.items():
            yield scheduler_name, plugin, pods

    def add(self, queued: QueuedPod) -> None:
        """A refused pod begins to wait."""
        self._pods[queued.uid] = queued
        for key in _keys(queued):
            self._refused_by.setdefault(key, {})[queued.uid] = queued

    def remove(self, uid: str) -> QueuedPod | None:
        """Take a pod out; None where it is not here."""
        queued = self._pods.pop(uid, None)
        if queued is not None:
            for key in _keys(queued):
                del self._refused_by[key][uid]
                if not self._refused_by[key]:
                    del self._refused_by[key]
        return queued


def _keys(queued: QueuedPod) -> list[tuple[str, str]]:
    scheduler_name = queued.pod.spec.scheduler_name
    return [(scheduler_name, plugin) for plugin in queued.refused_by or (NOBODY,)]
