"""The pods whose cycle runs, and the events that they must not miss."""

from collections.abc import Iterator

from pallet.framework.events import UNSCHEDULABLE_TIMEOUT, ClusterEvent
from pallet.framework.instruments import Family, Gauge
from pallet.scheduler.queued_pod import QueuedPod

Happened = tuple[ClusterEvent, object, object]
"""An event, and the object before and after it."""

MAX_EVENTS = 10_000
"""How many events are kept. A pod that missed older ones is told that anything may have happened."""

ANYTHING: Happened = (UNSCHEDULABLE_TIMEOUT, None, None)


class InFlight:
    """Keeps the events since the oldest listening pod was popped, for those that come back refused.

    A pod listens from its pop until its place is certain (`settle`); it stays in flight until `end`.
    """

    def __init__(self, kept: Family[Gauge]) -> None:
        self._kept = kept
        self._pods: dict[str, QueuedPod] = {}
        self._starts: dict[str, int] = {}
        self._events: list[tuple[Happened, str]] = []
        self._dropped = 0

    def __contains__(self, uid: str) -> bool:
        return uid in self._pods

    def __iter__(self) -> Iterator[QueuedPod]:
        return iter(self._pods.values())

    def __len__(self) -> int:
        return len(self._pods)

    def get(self, uid: str) -> QueuedPod | None:
        """The pod of a UID, if it is in flight."""
        return self._pods.get(uid)

    def begin(self, queued: QueuedPod) -> None:
        """A pod's cycle starts."""
        self._pods[queued.uid] = queued
        self._starts[queued.uid] = self._dropped + len(self._events)

    def record(self, event: ClusterEvent, old: object, new: object, only: str = "") -> None:
        """Something happened, perhaps of concern to `only` one pod. Without listeners nothing is kept."""
        if not self._starts:
            return
        self._events.append(((event, old, new), only))
        self._kept[event.label].inc()
        if len(self._events) > MAX_EVENTS:
            self._drop(MAX_EVENTS // 2)

    def settle(self, uid: str) -> list[Happened] | None:
        """A pod listens no more: what it missed, None where it did not listen."""
        start = self._starts.pop(uid, None)
        if start is None:
            return None
        missed = [ANYTHING] if start < self._dropped else []
        missed += [
            happened for happened, only in self._events[max(0, start - self._dropped) :] if only in ("", uid)
        ]
        # Pods stand in the order of their pops, so the first has the oldest start.
        oldest = next(iter(self._starts.values()), self._dropped + len(self._events))
        self._drop(oldest - self._dropped)
        return missed

    def end(self, uid: str) -> list[Happened] | None:
        """A pod's cycle is over: what it missed while it listened to the end, None where it did not."""
        self._pods.pop(uid, None)
        return self.settle(uid)

    def _drop(self, count: int) -> None:
        if count <= 0:
            return
        for (event, _, _), _ in self._events[:count]:
            self._kept[event.label].dec()
        del self._events[:count]
        self._dropped += count
