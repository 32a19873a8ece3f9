"""The shared informer: one local copy of a collection, and everybody who wants to hear of its changes.

What it promises:

- Handlers hear of each object in the order of its changes, and all handlers in the order they were added.
  They are called synchronously; between the change of the store and the last handler nothing else happens.
- Every add is followed by a delete, unless the object lives; a delete missed by the watch is made up for at
  the next list. `on_delete` and the `old` of `on_update` give the state the handlers heard of last.
- An object that was deleted and created again under the same name is a delete and an add, never an update,
  even where the watch showed one change.
- An object is told again only when it has changed: duplicates and older states are dropped.
- States between two watches may be skipped; the newest is always told, so the store equals the API at rest.
- A handler that is added late first hears an add of every object there is.
- An exception in a handler is logged with the object's key; the other handlers and the informer go on.
- A missing permission or an unreachable server stops nothing: it is logged, stands in `last_error`, and is
  tried again.

What it does not promise: an order between objects of different informers, and how far behind the API it is.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import anyio

from pallet.api.meta import Object, key_of
from pallet.api.resource import Resource
from pallet.client.backoff import Backoff
from pallet.client.client import Client
from pallet.informers.reflector import EVERYTHING, SILENCE, Reflector, Scope
from pallet.informers.store import Store
from pallet.informers.versions import is_older
from pallet.loop_budget import LoopBudget

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Object)


def _ignore(*_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Handler(Generic[T]):
    """Whom to tell; what is left out is not told. The functions must not block, and must not await."""

    on_add: Callable[[T], object] = _ignore
    on_update: Callable[[T, T], object] = _ignore
    on_delete: Callable[[T], object] = _ignore


class SharedInformer(Generic[T]):
    """The objects of a collection, as of the last event. See the module for what it promises.

    `backoff` and `silence` (in seconds) are for tests that cannot wait.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource[T],
        budget: LoopBudget,
        scope: Scope = EVERYTHING,
        *,
        backoff: Backoff | None = None,
        silence: float = SILENCE,
    ) -> None:
        self.resource = resource
        self.store: Store[T] = Store()
        self.synced = anyio.Event()
        self._reflector = Reflector(client, resource, self, budget, scope, backoff=backoff, silence=silence)
        self._budget = budget
        self._handlers: tuple[Handler[T], ...] = ()

    @property
    def last_error(self) -> Exception | None:
        """Why the collection cannot be read at the moment; None while all is well."""
        return self._reflector.last_error

    def set_transform(self, transform: Callable[[T], T]) -> None:
        """Apply a function to each object as it is read, to drop unread fields.

        To be called before the informer is started, as in client-go.
        """
        self._reflector.transform = transform

    def add_handler(self, handler: Handler[T]) -> None:
        """Tell a handler of everything from now on, beginning with an add of each object that is there."""
        self._handlers = (*self._handlers, handler)
        for obj in self.store.list():
            _call(handler.on_add, obj)

    async def run(self) -> None:
        """Keep the copy up to date until cancelled."""
        await self._reflector.run()

    @property
    def last_change(self) -> str:
        """The version of the last change that this has seen."""
        return self._reflector.last_change

    def has(self, version: str) -> bool:
        """Whether the copy has all changes up to a version."""
        return self._reflector.has(version)

    async def catch_up(self) -> None:
        """Return when the copy has all that the API had when this was called."""
        await self._reflector.catch_up()

    async def replace(self, objects: Iterable[T]) -> None:
        """Take a whole list: what is not in it is gone. For the reflector."""
        missing = set(self.store.keys())
        for obj in objects:
            if self._budget.exhausted:
                await self._budget.pause()
            key = key_of(obj)
            missing.discard(key)
            self._put(key, obj)
        for key in missing:
            if self._budget.exhausted:
                await self._budget.pause()
            self._remove(key)
        self.synced.set()

    def put(self, obj: T) -> None:
        """Take an object that was added or changed. For the reflector."""
        key = key_of(obj)
        known = self.store.get(key)
        if known is None or not is_older(obj, known):
            self._put(key, obj)

    def remove(self, obj: Object) -> None:
        """Take the last state of a deleted object, or what is known of it. For the reflector."""
        key = key_of(obj)
        known = self.store.get(key)
        if known is not None and not is_older(obj, known):
            self._remove(key)

    def _put(self, key: str, obj: T) -> None:
        """Store an object and tell what this means."""
        known = self.store.get(key)
        if known is not None and known.metadata.uid != obj.metadata.uid:
            self._remove(key)
            known = None
        elif known is not None and known.metadata.resource_version == obj.metadata.resource_version:
            return
        self.store.put(obj)
        for handler in self._handlers:
            if known is None:
                _call(handler.on_add, obj)
            else:
                _call(handler.on_update, known, obj)

    def _remove(self, key: str) -> None:
        """Drop an object and tell its last state."""
        known = self.store.remove(key)
        if known is not None:
            for handler in self._handlers:
                _call(handler.on_delete, known)


def _call(function: Callable[..., object], *objects: Any) -> None:
    """Call a handler; its exception is its own affair."""
    try:
        function(*objects)
    except Exception:
        log.exception("a handler of %s %s failed", type(objects[-1]).__name__, key_of(objects[-1]))
