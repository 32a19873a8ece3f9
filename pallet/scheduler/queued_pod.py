"""A pod in the queue, with the history that decides when it is tried again."""

from dataclasses import dataclass, field

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.runtime.pod_limits import large_part


@dataclass(slots=True, eq=False)
class QueuedPod:
    """A pending pod. Times are seconds of the queue's clock.

    `attempts` counts its scheduling cycles, `refusals` those that ended in a refusal, and `failures` those in
    a row that ended in an error. `entered_at` is when it was first let into the active queue, `popped_at`
    when its last cycle began. `refused_by` names the plugins that refused it last, `pending` those of them
    that wait for something, `gated_by` the one that keeps it out of the active queue, `blamed` those for
    which the metrics count it. `flushed` tells that only time, and no event, brought it back; `flushed_at` is
    when that was last.
    """

    pod: Pod
    queued_at: float
    attempts: int = 0
    refusals: int = 0
    failures: int = 0
    entered_at: float | None = None
    popped_at: float = 0.0
    retry_at: float = 0.0
    refused_by: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()
    gated_by: str = ""
    blamed: frozenset[str] = frozenset()
    flushed: bool = False
    flushed_at: float = 0.0
    _info: PodInfo | None = field(default=None, init=False)
    _large: bool | None = field(default=None, init=False)

    @property
    def info(self) -> PodInfo:
        """The pod with what placement derives from it; derived when first asked for."""
        if self._info is None:
            self._info = PodInfo(self.pod)
        return self._info

    @property
    def large(self) -> bool:
        """Whether it is one of those that are scheduled one at a time."""
        if self._large is None:
            self._large = large_part(self.info) is not None
        return self._large

    @property
    def uid(self) -> str:
        """The pod's UID, by which the queue knows it."""
        return self.pod.metadata.uid

    def renew(self, pod: Pod) -> None:
        """Take a newer version of the pod."""
        self.pod, self._info, self._large = pod, None, None
