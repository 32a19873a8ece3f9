"""What a plugin may use beside its arguments."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from pallet.api.core import ObjectReference
from pallet.cache.cache import Cache
from pallet.client.client import Client
from pallet.framework.instruments import Instruments
from pallet.framework.metrics import Metrics
from pallet.framework.nominator import Nominator
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
    nominator: Nominator = field(default_factory=Nominator)
    tasks: Tasks = field(default_factory=Tasks)
    metrics: Metrics = field(default_factory=_no_metrics)
    activate: Callable[[Iterable[str]], None] = _nobody
    ungate: Callable[[Iterable[str]], None] = _nobody
