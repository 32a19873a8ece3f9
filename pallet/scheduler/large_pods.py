"""Lets large pods into the queue one at a time, so that their decisions leave the loop to others.

A decision is one step on the event loop. That of a large pod takes up to some 65 ms; after it, other work
goes on for many times as long before the next large pod has its turn. Which pods are large is said in
`pallet.runtime.pod_limits`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn

import anyio

from pallet.bounded_cache import MIB, BoundedCache
from pallet.cache.pod_info import PodInfo
from pallet.framework.handle import Recorder
from pallet.framework.status import SUCCESS, Status, unschedulable
from pallet.runtime.pod_limits import Part, large_part
from pallet.scheduler.queue import SchedulingQueue
from pallet.scheduler.recorder import tell_delayed

if TYPE_CHECKING:
    from pallet.api.pod import Pod

NAME: Final = "LargePods"

PAUSE_SECONDS: Final = 0.1
"""After the decision on a pod twice as long as an ordinary one, others have twice this time."""

_LOOK_SECONDS: Final = 0.05
"""How often to look whether the pod whose turn it is has been popped."""


class LargePods:
    """A pre-enqueue plugin of every profile. Of those that wait, the highest priority has the next turn.

    leads: whether this process schedules; one that does not writes no events
    """

    name = NAME

    def __init__(self, recorder: Recorder, leads: Callable[[], bool]) -> None:
        self._recorder = recorder
        self._leads = leads
        self._kept: dict[str, tuple[Pod, Part]] = {}
        self._turn = ""
        self._told: BoundedCache[str, bool] = BoundedCache("large_pods_told", MIB)
        self._wake = anyio.Event()

    def pre_enqueue(self, info: PodInfo) -> Status:
        """Let an ordinary pod in, and the large one whose turn it is."""
        pod, uid = info.pod, info.uid
        if uid == self._turn:
            return SUCCESS
        part = large_part(info)
        if part is None or part.length > part.limit.most:
            return SUCCESS  # one that is too large is refused in no time
        if self._leads() and not self._told.get(uid):
            self._told[uid] = True
            note = (
                f"The pod has {part.length:,} {part.what}: with more than {part.limit.ordinary:,}, pods are "
                "scheduled one at a time, beside other work"
            )
            tell_delayed(self._recorder, pod, note)
        self._kept[uid] = pod, part
        self._wake.set()
        return unschedulable("large pods are scheduled one at a time")

    async def run(self, queue: SchedulingQueue) -> NoReturn:
        """Give them their turns, until cancelled."""
        while True:
            if not self._kept:
                self._wake = anyio.Event()
                await self._wake.wait()
            self._kept = {uid: kept for uid, kept in self._kept.items() if queue.is_gated(uid)}
            if self._kept:
                uid, (_, part) = max(self._kept.items(), key=lambda item: item[1][0].spec.priority)
                del self._kept[uid]
                await self._serve(queue, uid, PAUSE_SECONDS * part.times_as_costly)

    async def _serve(self, queue: SchedulingQueue, uid: str, pause: float) -> None:
        """Let a pod in, and wait until it was popped and others had their time."""
        self._turn = uid
        queue.activate((uid,))
        while queue.is_active(uid):  # noqa: ASYNC110 - the queue has no event for a pod that leaves it
            await anyio.sleep(_LOOK_SECONDS)
        self._turn = ""
        await anyio.sleep(pause)
