"""What a plugin may use beside its arguments."""

from dataclasses import dataclass
from random import Random
from typing import Protocol

from pallet.api.core import ObjectReference
from pallet.cache.cache import Cache
from pallet.client.client import Client
from pallet.framework.waiting import WaitingPods
from pallet.informers.factory import InformerFactory


class Recorder(Protocol):
    """Writes events, behind everything else and without ever blocking."""

    def event(
        self, regarding: ObjectReference, controller: str, *, kind: str, reason: str, action: str, note: str
    ) -> None:
        """Record an event about an object. `kind` is Normal or Warning, `controller` who reports it."""
        ...


@dataclass(frozen=True, slots=True)
class Handle:
    """The surroundings of a profile's plugins."""

    scheduler_name: str
    client: Client
    informers: InformerFactory
    cache: Cache
    recorder: Recorder
    waiting: WaitingPods
    rng: Random
