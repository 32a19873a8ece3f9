"""Keeps pods back while what their decision counts by is counted, so that no scheduling cycle takes long.

The pods are gated meanwhile (see `queue`). The one that needs least is served first, and decisions on other
pods get three slices of the loop for each one spent here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

import anyio

from pallet.bounded_cache import MIB, BoundedCache
from pallet.cache.pod_info import PodInfo
from pallet.cache.selection import PodSelection
from pallet.cache.snapshot import Snapshot
from pallet.framework.handle import Recorder
from pallet.framework.status import SUCCESS, Status, unschedulable
from pallet.loop_budget import LoopBudget
from pallet.runtime.counting import FEW, Counting
from pallet.runtime.profile import Profile
from pallet.scheduler.recorder import tell_delayed

LONG: Final = 500_000
"""Comparisons that take longer than half a second, so that an event tells of them."""

_MOST_IN_A_CYCLE: Final = 10 * FEW
"""A pod that was served is let in with so many comparisons left: with more, it is served again."""

_SHARE: Final = 3
"""Slices that others get for each one spent here."""


@dataclass(slots=True)
class _Kept:
    """A pod that is kept back, and how much is to be done for it."""

    info: PodInfo
    counting: Counting
    counted: Sequence[PodSelection]
    work: int

    def step(self) -> bool:
        """Count a little more. True when it is done."""
        return self.counting.step(self.info, self.counted)


class Queue(Protocol):
    """The scheduling queue."""

    def activate(self, uids: Iterable[str]) -> object:
        """Let pods into the queue."""
        ...

    def is_gated(self, uid: str) -> bool:
        """Whether a pod is still kept out of the queue."""
        ...


class CountingGates:
    """The gates of all profiles, with what they keep back.

    leads: whether this process schedules; one that does not writes no events
    """

    def __init__(
        self, snapshot: Snapshot, budget: LoopBudget, recorder: Recorder, leads: Callable[[], bool]
    ) -> None:
        self._snapshot = snapshot
        self._budget = budget
        self._recorder = recorder
        self._leads = leads
        self._kept: dict[str, _Kept] = {}
        self._served: BoundedCache[str, bool] = BoundedCache("counted_pods", MIB)
        """Pods that were counted for lately: since then more may have come, or some of it been forgotten."""
        self._wake = anyio.Event()

    def gate(self, profile: Profile) -> "CountingGate":
        """The gate of a profile."""
        return CountingGate(self, Counting(profile, self._snapshot))

    def admit(self, info: PodInfo, counting: Counting) -> Status:
        """Let a pod in whose counting is done, or takes no time."""
        pod = info.pod
        counted = counting.counted(info)
        work = counting.work(info, counted)
        served = self._served.get(pod.metadata.uid)
        if work <= FEW or (served and work <= _MOST_IN_A_CYCLE):
            return SUCCESS
        if work > LONG and not served and pod.metadata.uid not in self._kept and self._leads():
            note = (
                "The pod is scheduled after its affinity and spreading have been compared with the placed "
                f"pods, beside other work: {work:,} comparisons are to be made"
            )
            tell_delayed(self._recorder, pod, note)
        self._kept[pod.metadata.uid] = _Kept(info, counting, counted, work)
        self._wake.set()
        return unschedulable("what the pod's affinity and spreading count by is being counted")

    async def run(self, queue: Queue) -> NoReturn:
        """Count for those that are kept back, until cancelled."""
        while True:
            if not self._kept:
                self._wake = anyio.Event()
                await self._wake.wait()
            await self._serve(queue)

    async def _serve(self, queue: Queue) -> None:
        """Count for the pod that needs least, to the end or until a slice is used up."""
        self._kept = {uid: kept for uid, kept in self._kept.items() if queue.is_gated(uid)}
        if not self._kept:
            return
        uid, kept = min(self._kept.items(), key=lambda item: item[1].work)
        done = False
        while not done and not self._budget.exhausted:
            done = kept.step()
        if done:
            del self._kept[uid]
            self._served[uid] = True
            queue.activate((uid,))
        else:
            for _ in range(_SHARE):
                await self._budget.pause()


class CountingGate:
    """The pre-enqueue plugin of one profile."""

    name = "CountingGate"

    def __init__(self, gates: CountingGates, counting: Counting) -> None:
        self._gates = gates
        self._counting = counting

    def pre_enqueue(self, info: PodInfo) -> Status:
        """Let a pod in whose counting is done, or takes no time."""
        return self._gates.admit(info, self._counting)
