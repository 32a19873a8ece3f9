"""The gates of members, as the plugin sees them: what it asks of the sets, and what it tells them."""

from collections.abc import Callable, Sequence
from datetime import datetime

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Fork, Snapshot
from pallet.framework.status import Status
from pallet.podset.member import Gate
from pallet.podset.sets import PodSets
from pallet.podset.source import SetKey
from pallet.podset.termination import fits_after_termination, invalidation
from pallet.podset.workqueue import Workqueue


class Gates:
    """Answers for the gates, and marks the sets that are to be looked at because of what happened to a pod.

    now: the API server's time
    """

    def __init__(self, sets: PodSets, workqueue: Workqueue[SetKey], now: Callable[[], datetime]) -> None:
        self.sets = sets
        self.workqueue = workqueue
        self._now = now

    def verdict(self, pod: Pod) -> Gate:
        """Answer whether a pod may be scheduled now, and where to."""
        return self.sets.verdict(pod)

    def blocked(
        self,
        info: PodInfo,
        node: str,
        refusals: Sequence[Status],
        snapshot: Snapshot,
        fits: Callable[[Fork], bool],
    ) -> str:
        """Record that a pod's planned node was refused, and return what will be done about it, in words.

        Pods that are being deleted are waited for. For anything else the rest of the set is re-planned, or
        only this pod where the plan is manual. `fits` says whether the node takes the pod on a fork.
        """
        if fits_after_termination(fits, snapshot, info, node, self._now()) is not None:
            return f'waiting for pods to leave node "{node}", where this pod is planned'
        touched = self.sets.invalidate(info.uid, invalidation(info.pod, node, refusals))
        self.workqueue.touch(touched)
        manual = any(pod_set.manual for pod_set in map(self.sets.get, touched) if pod_set)
        planned = "another is planned for this pod" if manual else "the pod set is re-planned"
        return f'planned node "{node}" does not fit any more, {planned}'

    def begin(self, pod: Pod) -> None:
        """Record that the binding of a planned pod begins: what its set has reserved is firm."""
        self.sets.note_start(pod)

    def look_at(self, pod: Pod) -> None:
        """Look at a pod's set again soon: its binding did not come about."""
        key = self.sets.key_of(pod)
        if key is not None:
            self.workqueue.touch({key: True})
