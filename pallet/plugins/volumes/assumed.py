"""Objects as the API shows them, or as they will be once our own writes are seen."""

from collections.abc import Callable
from typing import Generic, TypeVar

from pallet.api.meta import Object, key_of
from pallet.informers.informer import Handler, SharedInformer

T = TypeVar("T", bound=Object)


class OutOfSyncError(Exception):
    """An object was to be assumed that is no longer what the API shows."""


class AssumeCache(Generic[T]):
    """A collection with assumed objects in front of it.

    An assumed object hides the version that it was made of, and no other: whatever the informer hears of the
    object afterwards wins. Whenever `get` gives something else than before, `changed` is called with the key
    and the object (None when it is gone).
    """

    def __init__(
        self, informer: SharedInformer[T], changed: Callable[[str, T | None], None] = lambda *_: None
    ) -> None:
        self._store = informer.store
        self._assumed: dict[str, T] = {}
        self._changed = changed
        informer.add_handler(Handler(self._heard, lambda _, new: self._heard(new), self._heard))

    def get(self, key: str) -> T | None:
        """The object as assumed, or else as the API shows it."""
        return self._assumed.get(key) or self._store.get(key)

    def from_api(self, key: str) -> T | None:
        """The object as the API shows it."""
        return self._store.get(key)

    def assume(self, obj: T) -> None:
        """Take an object for what the API will show. Raise OutOfSyncError where it has moved on."""
        key, stored = key_of(obj), self._store.get(key_of(obj))
        if stored is None:
            raise OutOfSyncError(f'"{key}" not found')
        if stored.metadata.resource_version != obj.metadata.resource_version:
            versions = stored.metadata.resource_version, obj.metadata.resource_version
            raise OutOfSyncError('"{}" is out of sync (stored: {}, assume: {})'.format(key, *versions))
        self._assumed[key] = obj
        self._changed(key, obj)

    def restore(self, obj: T) -> None:
        """Assume an object no longer; nothing happens to one that was written, for its version is newer."""
        key = key_of(obj)
        assumed = self._assumed.get(key)
        if assumed and assumed.metadata.resource_version == obj.metadata.resource_version:
            del self._assumed[key]
            self._changed(key, self._store.get(key))

    def _heard(self, obj: T) -> None:
        """The informer has news: they are in the store already."""
        key = key_of(obj)
        self._assumed.pop(key, None)
        self._changed(key, self._store.get(key))
