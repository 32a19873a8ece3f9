"""A queue with a clock that stands until it is moved, and a probe that decides what it is told."""

from msgspec.structs import replace

from pallet.api.pod import Pod
from pallet.cache.nominator import Nominator
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.instruments import Instruments
from pallet.framework.metrics import Metrics
from pallet.scheduler.queue import SchedulingQueue
from pallet.scheduler.queued_pod import QueuedPod
from tests.builders import SCHEDULER, make_pod
from tests.scheduler.probe import Probe, a_profile

START = 1000.0
"""The beginning of a window of back-offs."""

NODES_HELP = EventInterest(ClusterEvent(EventResource.NODE, Action.ADD))


class QueueWorld:
    """`probe` registers that new nodes help; `other` says nothing, so anything does."""

    def __init__(self) -> None:
        self.now = START
        self.probe = Probe()
        self.probe.interests = [NODES_HELP]
        self.metrics = Metrics(Instruments())
        self.queue = SchedulingQueue(
            {SCHEDULER: a_profile(self.probe)}, Nominator(), self.metrics, lambda: self.now
        )
        self.wakes = 0
        self.queue.wake = self._woken

    def _woken(self) -> None:
        self.wakes += 1

    def add(self, name: str, priority: int = 0) -> Pod:
        pod = make_pod(name, priority=priority)
        self.queue.add(pod)
        return pod

    def popped(self, name: str = "a") -> QueuedPod:
        """A pod in flight."""
        self.add(name)
        return self.pop()

    def pop(self) -> QueuedPod:
        queued = self.queue.pop()
        assert queued is not None
        return queued

    def drain(self) -> list[str]:
        """Pop all there are, and be done with them."""
        names = []
        while (queued := self.queue.pop()) is not None:
            names.append(queued.pod.metadata.name)
            self.queue.done(queued.uid)
        return names

    def refused(self, name: str = "a", *plugins: str) -> QueuedPod:
        """A pod that was popped and refused by plugins, the probe by default."""
        queued = self.popped(name)
        self.queue.refuse(queued, frozenset(plugins or (self.probe.name,)))
        return queued

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds
        self.queue.flush()

    def places(self, uid: str) -> list[str]:
        """Where a pod is."""
        queue = self.queue
        places = {
            "active": uid in queue._active,
            "backoff": uid in queue._backoff,
            "error backoff": uid in queue._error_backoff,
            "unschedulable": queue._unschedulable.get(uid) is not None,
            "gated": uid in queue._gated,
            "in flight": queue.is_in_flight(uid),
        }
        return [place for place, is_there in places.items() if is_there]

    def place(self, queued: QueuedPod | Pod) -> str:
        """The one place where a pod is; empty for none."""
        uid = queued.uid if isinstance(queued, QueuedPod) else queued.metadata.uid
        places = self.places(uid)
        assert len(places) <= 1, places
        return places[0] if places else ""


def relabelled(pod: Pod, **labels: str) -> Pod:
    """A newer version of a pod with other labels."""
    meta = pod.metadata
    newer = replace(
        meta, labels=type(meta.labels)(labels), resource_version=str(int(meta.resource_version) + 1)
    )
    return replace(pod, metadata=newer)


def hinting(answer: Hint | Exception, heard: list[object]) -> EventInterest:
    """An interest in new nodes whose hint says this, after writing down what it was given."""

    def hint(info: PodInfo, old: object, new: object) -> Hint:
        heard.append((info.pod.metadata.name, old, new))
        if isinstance(answer, Exception):
            raise answer
        return answer

    return EventInterest(NODES_HELP.event, hint)
