"""A pod in the queue, with the history that decides when it is tried again."""

from dataclasses import dataclass, field

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import ClusterEvent


@dataclass(slots=True)
class QueuedPod:
    """A pending pod. Times are seconds of the queue's clock.

    `attempts` counts its scheduling cycles, `failures` those in a row that ended in an error and not in a
    refusal. `refused_by` names the plugins that refused it last, `gated_by` the one that keeps it out of the
    active queue. `flushed` tells that only time, and no event, brought it back.
    """

    info: PodInfo
    added_at: float
    queued_at: float
    attempts: int = 0
    failures: int = 0
    first_attempt_at: float | None = None
    retry_at: float = 0.0
    refused_by: frozenset[str] = frozenset()
    gated_by: str = ""
    flushed: bool = False

    @property
    def pod(self) -> Pod:
        """The pod."""
        return self.info.pod

    @property
    def uid(self) -> str:
        """The pod's UID, by which the queue knows it."""
        return self.info.uid


@dataclass(slots=True)
class InFlight:
    """The events since the oldest running cycle began, for pods that fail: they may have missed one."""

    events: list[tuple[ClusterEvent, object, object]] = field(default_factory=list)
    starts: dict[str, int] = field(default_factory=dict)
    dropped: int = 0

    def begin(self, uid: str) -> None:
        """A pod's cycle starts."""
        self.starts[uid] = self.dropped + len(self.events)

    def record(self, event: ClusterEvent, old: object, new: object) -> None:
        """Something happened; nobody needs to know when no cycle runs."""
        if self.starts:
            self.events.append((event, old, new))

    def end(self, uid: str) -> list[tuple[ClusterEvent, object, object]]:
        """A pod's cycle is over: what happened meanwhile. Events that no other cycle needs are dropped."""
        start = self.starts.pop(uid, None)
        if start is None:
            return []
        missed = self.events[start - self.dropped :]
        oldest = next(iter(self.starts.values()), self.dropped + len(self.events))
        del self.events[: oldest - self.dropped]
        self.dropped = oldest
        return missed
