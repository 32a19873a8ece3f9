"""The reflector: lists a collection, then follows its changes, for ever.

    start ──> LIST ──────────────── objects, version ───────────────> WATCH <──┐
               ^ │ streaming list refused (400, 422): pages from now on │  │   │ ended, silent or broken:
               │ └── error: back off, LIST                              │  └───┘ go on from the last version
               └────── version too old, or too large; ERROR event ──────┘

A list is streamed (`sendInitialEvents`): the events of a watch, the last of which says that the list is
complete, and the watch goes on over the same connection. A server without that gives pages. Both are read as
of the newest version, never from an old cache. A list that is nevertheless older than what was seen before
comes from a server that lags: it is asked for again, and believed after `STALE_LISTS` times, since after a
restore of etcd the older state is the truth.

Who has to know that nothing is missing (a new leader, say) has it `catch_up`.

After a broken connection the server is asked for its version: a watch from a version that it has yet to reach
(etcd was restored meanwhile) would be silent, so a list is read then.

The watch asks for bookmarks, which bring the version forward about once a minute: silence for longer than
`SILENCE` means a dead connection, after which a list is read. After failures it waits as client-go does:
from 0.8 s, doubling to 30 s, with jitter, and from 0.8 s again after two good minutes.
"""

import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

import anyio
import msgspec

from pallet.api.meta import Object, ObjectList, WatchEvent, key_of
from pallet.api.resource import Resource
from pallet.client.answers import UnreadableError, list_of, read
from pallet.client.backoff import Backoff
from pallet.client.client import PAGE_SIZE, Client
from pallet.client.errors import ApiError, Unreachable, Unreadable
from pallet.client.requester import TRIES
from pallet.informers.decoding import Partial, decode_event, decode_page
from pallet.informers.lines import LineSplitter
from pallet.informers.versions import precedes
from pallet.loop_budget import LoopBudget

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Object)
T_contra = TypeVar("T_contra", bound=Object, contravariant=True)

SILENCE: Final = 90.0
"""Seconds without a byte after which a watch counts as dead: a bookmark is promised every minute."""

PROBE_SECONDS: Final = 3
"""How long a watch lasts that is to tell how far it is: its bookmark comes 2 s before its end."""

PROBE_SILENCE: Final = 6.0
"""Seconds without a byte after which such a watch counts as dead."""

WATCH_TIMEOUT: Final = (300, 600)
"""Seconds after which the server ends a watch, drawn at random so that not all come back at once."""

SHORT_WATCH: Final = 1.0
"""A watch that ends without an event in fewer seconds than this is a failure: it is not repeated at once."""

STALE_LISTS: Final = 3
"""Lists older than what was seen before that are refused in a row."""

_UNDECODED: Final = msgspec.json.Decoder(ObjectList[msgspec.Raw])

_WHOLE: Final = frozenset(("ADDED", "MODIFIED"))

INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"


class Sink(Protocol[T_contra]):
    """Who takes what the reflector reads."""

    async def replace(self, objects: Iterable[T_contra]) -> None:
        """Take a whole list: what is not in it is gone."""

    def put(self, obj: T_contra) -> None:
        """Take an object that was added or changed."""

    def remove(self, obj: Object) -> None:
        """Take the last state of a deleted object, or what is known of it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part of a collection is meant; empty means all."""

    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""

    def query(self) -> dict[str, str | int]:
        """Give the selectors as parameters of a request."""
        selectors = {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}
        return {name: value for name, value in selectors.items() if value}


EVERYTHING: Final = Scope()


class StaleListError(Exception):
    """A list was older than what had been seen before."""


class _Initial(Generic[T]):
    """The objects of a streamed list, until it is complete."""

    def __init__(self) -> None:
        self._objects: dict[str, T] = {}
        self.version = ""

    @property
    def objects(self) -> Iterable[T]:
        """What the list holds."""
        return self._objects.values()

    def take(self, event: WatchEvent[T] | WatchEvent[Partial]) -> bool:
        """Take an event; tell whether it was the last one of the list."""
        obj = event.object
        if event.type == "BOOKMARK":
            self.version = obj.metadata.resource_version
            return INITIAL_EVENTS_END in obj.metadata.annotations
        if event.type == "DELETED":
            self._objects.pop(key_of(obj), None)
        elif not isinstance(obj, Partial):
            self._objects[key_of(obj)] = obj
        return False


class Reflector(Generic[T]):
    """Feeds one sink with one collection. See the module for how."""

    def __init__(
        self,
        client: Client,
        resource: Resource[T],
        sink: Sink[T],
        budget: LoopBudget,
        scope: Scope = EVERYTHING,
        *,
        backoff: Backoff | None = None,
        silence: float = SILENCE,
    ) -> None:
        self.last_error: Exception | None = None
        self.transform: Callable[[T], T] = _same
        """Applied to each object as it is read: a list is complete only after its last object."""
        self._client = client
        self._resource = resource
        self._read_event = partial(decode_event, resource)
        self._sink = sink
        self._budget = budget
        self._scope = scope
        self._backoff = backoff or Backoff()
        self._silence = silence
        self._version = ""  # to go on from; empty when a list is needed
        self._newest = ""  # of the last list or event that was believed
        self._changed = ""  # of the last list, or of the last event that changed something
        self._stale_lists = 0
        self._streams = True
        self._broken = False
        self._target = ""  # how far the sink has to come, while a caller waits for that
        self._advanced = anyio.Event()
        self._watching: anyio.CancelScope | None = None
        self._heard_at = 0.0

    async def run(self) -> None:
        """List and watch until cancelled; whatever fails is logged and tried again."""
        while True:
            try:
                if self._version and self._broken:
                    await self._compare_versions()
                if self._version or self._streams:
                    with anyio.CancelScope() as self._watching:
                        await self._watch()
                else:
                    await self._list_pages()
            except (ApiError, Unreachable, StaleListError) as error:
                await self._recover(error)

    @property
    def last_change(self) -> str:
        """The version of the last change that the sink was told; a bookmark is none."""
        return self._changed

    def has(self, version: str) -> bool:
        """Whether the sink has all changes up to a version."""
        return bool(self._version) and not precedes(self._version, version)

    async def catch_up(self) -> None:
        """Return when the sink has all that the API had when this was called.

        That is seen by an event or a list, or by the bookmark of a short watch, which takes the place of the
        one at work: that one may have gone silent. Where the short one does not tell, a list is read. Where
        versions are no numbers, it cannot be seen.
        """
        target = await self._server_version()
        while precedes(self._version or "0", target):
            if not self._target and self._version and self._watching is not None:
                self._watching.cancel()
            if precedes(self._target or "0", target):
                self._target = target
            await self._advanced.wait()

    async def _recover(self, error: Exception) -> None:
        """Decide how to go on after a failure, and wait before doing so."""
        retry_after = None
        if isinstance(error, ApiError):
            retry_after = error.retry_after
            if not self._version and self._streams and error.code in (400, 422):
                log.info("%s: streaming lists are refused, reading pages: %s", self._resource, error)
                self._streams = False
                return
            if error.expired or error.too_large_resource_version:
                self._version = ""
        elif anyio.current_time() - self._heard_at >= self._patience:
            self._version = ""  # it kept no promise, so that what it brought before is in doubt too
        self._broken = True
        self.last_error = error
        delay = max(self._backoff.delay(anyio.current_time()), retry_after or 0.0)
        log.warning("%s: %s; trying again in %.1f s", self._resource, error, delay)
        await anyio.sleep(delay)

    @property
    def _patience(self) -> float:
        """Seconds of silence after which a watch counts as dead."""
        return min(self._silence, PROBE_SILENCE) if self._target else self._silence

    async def _compare_versions(self) -> None:
        """Ask for a list if the server has not come as far as we have.

        A watch from a version to come is accepted, but silent, until that version is reached.
        """
        version = await self._server_version(tries=1)
        if precedes(version, self._version):
            log.warning(
                "%s: the server went back from version %s to %s", self._resource, self._version, version
            )
            self._version = ""
        self._broken = False

    async def _server_version(self, tries: int = TRIES) -> str:
        """Ask how far the server is: the version of a consistent list."""
        path, query = self._resource.path(self._scope.namespace), {"limit": 1}
        page = await self._client.request(
            "GET",
            path,
            list_of(_UNDECODED.decode),
            query=query,
            tries=tries,
            verb="list",
            subject=str(self._resource),
        )
        return page.metadata.resource_version

    async def _list_pages(self) -> None:
        """Read the collection page by page and hand it over."""
        path = self._resource.path(self._scope.namespace)
        query = {**self._scope.query(), "limit": PAGE_SIZE}
        read_page = list_of(partial(decode_page, self._resource))
        objects: list[T] = []
        while True:
            page = await self._client.request(
                "GET", path, read_page, query=query, tries=1, verb="list", subject=str(self._resource)
            )
            objects += map(self.transform, page.items)
            await self._breathe()
            if not page.metadata.continue_:
                break
            query["continue"] = page.metadata.continue_
        await self._take_list(objects, page.metadata.resource_version)

    async def _take_list(self, objects: Iterable[T], version: str) -> None:
        """Believe a list, unless it is older than what was seen before."""
        if precedes(version, self._newest) and self._stale_lists < STALE_LISTS:
            self._stale_lists += 1
            raise StaleListError(f"the list is of version {version}, but {self._newest} was seen before")
        self._stale_lists = 0
        await self._sink.replace(objects)
        self._changed = version
        self._advance(version)
        self.last_error = None

    def _advance(self, version: str) -> None:
        """Go on from a version, and tell those who wait for it."""
        self._version = self._newest = version
        if self._target and not precedes(version, self._target):
            self._target = ""
            advanced, self._advanced = self._advanced, anyio.Event()
            advanced.set()

    async def _watch(self) -> None:
        """Follow the changes from the last version on; without one, begin with a streamed list."""
        started, heard = anyio.current_time(), False
        self._heard_at = started
        probes = bool(self._version and self._target)
        async with self._client.stream(
            self._resource.path(self._scope.namespace),
            query=self._watch_query(),
            silence=self._patience,
            verb="watch" if self._version else "list",
            subject=str(self._resource),
        ) as read:
            initial: _Initial[T] | None = None
            if self._version:
                self.last_error = None
            else:
                initial = _Initial()
            lines = LineSplitter()
            while chunk := await read():
                heard, self._heard_at = True, anyio.current_time()
                for line in lines.feed(chunk):
                    await self._breathe()
                    event = self._decode(line)
                    if event is None:
                        continue
                    await self._breathe()  # the object may be large
                    if initial is None:
                        self._apply(event)
                    elif initial.take(event):
                        await self._take_list(initial.objects, initial.version)
                        initial = None
        if initial is not None:
            raise Unreachable(self._client.address, "the server ended a list before it was complete")
        if probes and self._target:
            log.warning("%s: a watch does not reach version %s, reading a list", self._resource, self._target)
            self._version = ""
        elif not heard and anyio.current_time() - started < SHORT_WATCH:
            raise Unreachable(self._client.address, "the server ends watches at once")

    async def _breathe(self) -> None:
        """Let others run if the slice is used up."""
        if self._budget.exhausted:
            await self._budget.pause()

    def _watch_query(self) -> dict[str, str | int]:
        """Give the parameters of a watch."""
        query = self._scope.query()
        query |= {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": random.randint(*WATCH_TIMEOUT),  # noqa: S311  # nothing secret
        }
        if self._version and self._target:
            query["timeoutSeconds"] = PROBE_SECONDS
        if self._version:
            return {**query, "resourceVersion": self._version}
        return {**query, "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}

    def _apply(self, event: WatchEvent[T] | WatchEvent[Partial]) -> None:
        """Hand one event over, and go on from its version."""
        obj = event.object
        if event.type == "DELETED":
            self._sink.remove(obj)
        elif event.type != "BOOKMARK" and not isinstance(obj, Partial):
            self._sink.put(obj)
        version = obj.metadata.resource_version
        if not precedes(version, self._version):
            if event.type != "BOOKMARK":
                self._changed = version
            self._advance(version)

    def _decode(self, line: bytes) -> WatchEvent[T] | WatchEvent[Partial] | None:
        """Read an event. After an ERROR event, or what is no event, a list is needed."""
        try:
            event = read(self._read_event, line)
        except UnreadableError as error:
            self._version = ""
            raise Unreadable(self._client.address, str(error)) from error
        except ApiError:
            self._version = ""
            raise
        if event is None or event.type not in _WHOLE or isinstance(event.object, Partial):
            return event
        return WatchEvent(event.type, self.transform(event.object))


def _same(obj: T) -> T:
    return obj
