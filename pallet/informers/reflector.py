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

The watch asks for bookmarks, which bring the version forward about once a minute: silence for longer than
`SILENCE` means a dead connection. After failures it waits as client-go does: from 0.8 s, doubling to 30 s,
with jitter, anew after two good minutes.
"""

import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import anyio
import anyio.lowlevel
import msgspec

from pallet.api.meta import Object, WatchEvent, key_of
from pallet.api.resource import Resource
from pallet.client.backoff import Backoff
from pallet.client.client import PAGE_SIZE, Client
from pallet.client.errors import ApiError, Unreachable
from pallet.informers.decoding import decode_event, decode_page
from pallet.informers.lines import LineSplitter
from pallet.informers.versions import precedes

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Object)
T_contra = TypeVar("T_contra", bound=Object, contravariant=True)

SILENCE: Final = 150.0
"""Seconds without a byte after which a watch counts as dead: two bookmarks missed."""

WATCH_TIMEOUT: Final = (300, 600)
"""Seconds after which the server ends a watch, drawn at random so that not all come back at once."""

SHORT_WATCH: Final = 1.0
"""A watch that ends without an event in fewer seconds than this is a failure, lest it be repeated at once."""

STALE_LISTS: Final = 3
"""Lists older than what was seen before that are refused in a row."""

SLICE: Final = 0.01
"""Seconds of work before others on the event loop have their turn."""

INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"


class Sink(Protocol[T_contra]):
    """Who takes what the reflector reads."""

    async def replace(self, objects: Iterable[T_contra]) -> None:
        """Take a whole list: what is not in it is gone."""

    def put(self, obj: T_contra) -> None:
        """Take an object that was added or changed."""

    def remove(self, obj: T_contra) -> None:
        """Take the last state of a deleted object."""


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


class Slice:
    """Lets others have their turn in the middle of long work."""

    def __init__(self) -> None:
        self._since = anyio.current_time()

    async def breathe(self) -> None:
        """Yield to the event loop if this slice of work has been long enough."""
        if anyio.current_time() - self._since > SLICE:
            await anyio.lowlevel.checkpoint()
            self._since = anyio.current_time()


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

    def take(self, event: WatchEvent[T]) -> bool:
        """Take an event; tell whether it was the last one of the list."""
        if event.type == "BOOKMARK":
            self.version = event.object.metadata.resource_version
            return INITIAL_EVENTS_END in event.object.metadata.annotations
        if event.type == "DELETED":
            self._objects.pop(key_of(event.object), None)
        else:
            self._objects[key_of(event.object)] = event.object
        return False


class Reflector(Generic[T]):
    """Feeds one sink with one collection. See the module for how."""

    def __init__(
        self,
        client: Client,
        resource: Resource[T],
        sink: Sink[T],
        scope: Scope = EVERYTHING,
        *,
        backoff: Backoff | None = None,
        silence: float = SILENCE,
    ) -> None:
        self.last_error: Exception | None = None
        self._client = client
        self._resource = resource
        self._sink = sink
        self._scope = scope
        self._backoff = backoff or Backoff()
        self._silence = silence
        self._version = ""  # to go on from; empty when a list is needed
        self._newest = ""  # of the last list or event that was believed
        self._stale_lists = 0
        self._streams = True

    async def run(self) -> None:
        """List and watch until cancelled; whatever fails is logged and tried again."""
        while True:
            try:
                if self._version or self._streams:
                    await self._watch()
                else:
                    await self._list_pages()
            except (ApiError, Unreachable, StaleListError, msgspec.DecodeError) as error:
                await self._recover(error)

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
        self.last_error = error
        delay = max(self._backoff.delay(anyio.current_time()), retry_after or 0.0)
        log.warning("%s: %s; trying again in %.1f s", self._resource, error, delay)
        await anyio.sleep(delay)

    async def _list_pages(self) -> None:
        """Read the collection page by page and hand it over."""
        path = self._resource.path(self._scope.namespace)
        query = {**self._scope.query(), "limit": PAGE_SIZE}
        objects: list[T] = []
        part = Slice()
        while True:
            body = await self._client.request(
                "GET", path, query=query, tries=1, verb="list", subject=str(self._resource)
            )
            page = decode_page(self._resource, body)
            objects += page.items
            await part.breathe()
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
        self._version = self._newest = version
        self.last_error = None

    async def _watch(self) -> None:
        """Follow the changes from the last version on; without one, begin with a streamed list."""
        started, heard = anyio.current_time(), False
        async with self._client.stream(
            self._resource.path(self._scope.namespace),
            query=self._watch_query(),
            silence=self._silence,
            verb="watch" if self._version else "list",
            subject=str(self._resource),
        ) as read:
            initial: _Initial[T] | None = None
            if self._version:
                self.last_error = None
            else:
                initial = _Initial()
            lines = LineSplitter()
            part = Slice()
            while chunk := await read():
                heard = True
                for line in lines.feed(chunk):
                    event = self._decode(line)
                    if event is None:
                        continue
                    if initial is None:
                        self._apply(event)
                    elif initial.take(event):
                        await self._take_list(initial.objects, initial.version)
                        initial = None
                    await part.breathe()
        if not heard and anyio.current_time() - started < SHORT_WATCH:
            raise Unreachable(self._client.address, "the server ends watches at once")

    def _watch_query(self) -> dict[str, str | int]:
        """Give the parameters of a watch."""
        query = self._scope.query()
        query |= {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": random.randint(*WATCH_TIMEOUT),  # noqa: S311  # nothing secret
        }
        if self._version:
            return {**query, "resourceVersion": self._version}
        return {**query, "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}

    def _apply(self, event: WatchEvent[T]) -> None:
        """Hand one event over, and go on from its version."""
        if event.type in ("ADDED", "MODIFIED"):
            self._sink.put(event.object)
        elif event.type == "DELETED":
            self._sink.remove(event.object)
        self._version = self._newest = event.object.metadata.resource_version

    def _decode(self, line: bytes) -> WatchEvent[T] | None:
        """Read an event. Raise ApiError for an ERROR event, after which a list is needed."""
        try:
            return decode_event(self._resource, line)
        except ApiError:
            self._version = ""
            raise
