"""Keeps pods back while what their decision counts by is counted, so that no scheduling cycle takes long.

The pods are gated meanwhile (see `queue`). The one that needs least is served first, and decisions on other
pods get three slices of the loop for each one spent here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

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

NAME: Final = "CountingGate"

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


class CountingGate:
    """A pre-enqueue plugin of every profile. `profiles` may be filled after this object is made.

    activate: lets pods into the queue whose counting is done
    is_gated: whether a pod is still kept out of the queue
    leads: whether this process schedules; one that does not writes no events
    """

    name = NAME

    def __init__(
        self,
        snapshot: Snapshot,
        profiles: Mapping[str, Profile],
        budget: LoopBudget,
        recorder: Recorder,
        activate: Callable[[Iterable[str]], object],
        is_gated: Callable[[str], bool],
        leads: Callable[[], bool],
    ) -> None:
        self._snapshot = snapshot
        self._profiles = profiles
        self._budget = budget
        self._recorder = recorder
        self._activate = activate
        self._is_gated = is_gated
        self._leads = leads
        self._countings: dict[str, Counting] = {}
        self._kept: dict[str, _Kept] = {}
        self._served: BoundedCache[str, bool] = BoundedCache("counted_pods", MIB)
        """Pods that were counted for lately: since then more may have come, or some of it been forgotten."""
        self._wake = anyio.Event()

    def pre_enqueue(self, info: PodInfo) -> Status:
        """Let a pod in whose counting is done, or takes no time."""
        pod = info.pod
        counting = self._counting(pod.spec.scheduler_name)
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

    async def run(self) -> NoReturn:
        """Count for those that are kept back, until cancelled."""
        while True:
            if not self._kept:
                self._wake = anyio.Event()
                await self._wake.wait()
            await self._serve()

    async def _serve(self) -> None:
        """Count for the pod that needs least, to the end or until a slice is used up."""
        self._kept = {uid: kept for uid, kept in self._kept.items() if self._is_gated(uid)}
        if not self._kept:
            return
        uid, kept = min(self._kept.items(), key=lambda item: item[1].work)
        done = False
        while not done and not self._budget.exhausted:
            done = kept.step()
        if done:
            del self._kept[uid]
            self._served[uid] = True
            self._activate((uid,))
        else:
            for _ in range(_SHARE):
                await self._budget.pause()

    def _counting(self, scheduler_name: str) -> Counting:
        counting = self._countings.get(scheduler_name)
        if counting is None:
            profile = self._profiles[scheduler_name]
            counting = self._countings[scheduler_name] = Counting(profile, self._snapshot)
        return counting
