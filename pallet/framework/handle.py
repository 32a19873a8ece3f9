"""What a plugin may use beside its arguments."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from pallet.api.core import ObjectReference
from pallet.api.pod import Pod
from pallet.cache.cache import Cache
from pallet.cache.nominator import Nominator
from pallet.client.client import Client
from pallet.framework.extender_result import Victims
from pallet.framework.instruments import Instruments
from pallet.framework.metrics import Metrics
from pallet.framework.status import Status
from pallet.framework.tasks import Tasks
from pallet.framework.waiting import WaitingPods
from pallet.informers.factory import InformerFactory


class Recorder(Protocol):
    """Writes events, behind everything else and without ever blocking."""

    def event(
        self, regarding: ObjectReference, controller: str, *, kind: str, reason: str, action: str, note: str
    ) -> None:
        """Record an event about an object. `kind` is Normal or Warning, `controller` who reports it."""
        ...


class PreemptionExtenders(Protocol):
    """Those outside the process that have to agree to a preemption."""

    def are_asked_to_preempt(self, pod: Pod) -> bool:
        """Whether any of them wants to be asked before a pod preempts others."""
        ...

    async def preempt(self, pod: Pod, candidates: Mapping[str, Victims]) -> Mapping[str, Victims] | Status:
        """Of some nodes and their victims those that all agree to, maybe with other victims; or an error."""
        ...


def _no_metrics() -> Metrics:
    return Metrics(Instruments())


def _nobody(_uids: Iterable[str]) -> None:
    """Activate nobody."""


@dataclass(frozen=True, slots=True)
class Handle:
    """The surroundings of a profile's plugins.

    `activate` has pending pods tried again at once, wherever in the queue they are; `ungate` those that a
    pre-enqueue plugin kept out of it and does no longer.
    """

    scheduler_name: str
    client: Client
    informers: InformerFactory
    cache: Cache
    recorder: Recorder
    waiting: WaitingPods
    rng: Random
    tasks: Tasks = field(default_factory=Tasks)
    metrics: Metrics = field(default_factory=_no_metrics)
    activate: Callable[[Iterable[str]], None] = _nobody
    ungate: Callable[[Iterable[str]], None] = _nobody
    extenders: PreemptionExtenders | None = None

    @property
    def nominator(self) -> Nominator:
        """The pods that are nominated to nodes."""
        return self.cache.snapshot.nominator
