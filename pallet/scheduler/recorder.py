"""Events (events.k8s.io/v1), written behind everything else and dropped first when there are too many.

An event that repeats within six minutes becomes a series: its second occurrence is written as such, further
ones are only counted, as client-go's recorder does.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from cachetools import TTLCache

from pallet.api.core import EVENTS, Event, EventSeries, ObjectReference
from pallet.api.meta import ObjectMeta
from pallet.api.pod import Pod
from pallet.client.client import Client
from pallet.client.errors import AnswerLost, ApiError, Unreachable
from pallet.client.limiter import Priority
from pallet.logs import get_logger

log = get_logger(__name__)

MAX_PENDING = 20_000
"""Events that may wait to be written; what comes on top is dropped and counted in the log."""
WRITERS = 16
SERIES_SECONDS = 360.0
MAX_NOTE = 1024
"""Bytes; the API server refuses longer notes."""

SeriesKey = tuple[str, str, str, str, str]


@dataclass(slots=True)
class _Written:
    """An event that was written, and how often it was seen."""

    namespace: str
    name: str
    count: int = 1


class EventRecorder:
    """Takes events without blocking, and writes them while `run` does."""

    def __init__(self, client: Client, instance: str, rng: Random) -> None:
        self._client = client
        self._instance = instance
        self._suffix = rng.getrandbits(32)
        self._send, self._receive = anyio.create_memory_object_stream[tuple[SeriesKey, Event]](MAX_PENDING)
        self._written: TTLCache[SeriesKey, _Written] = TTLCache(8192, SERIES_SECONDS)
        self.dropped = 0

    def event(
        self, regarding: ObjectReference, controller: str, *, kind: str, reason: str, action: str, note: str
    ) -> None:
        """Record an event about an object. `kind` is Normal or Warning, `controller` who reports it."""
        now = datetime.now(UTC)
        self._suffix += 1
        namespace = regarding.namespace or "default"
        event = Event(
            metadata=ObjectMeta(name=f"{regarding.name}.{self._suffix:x}", namespace=namespace),
            event_time=_micro_time(now),
            reporting_controller=controller,
            reporting_instance=self._instance,
            action=action,
            reason=reason,
            regarding=regarding,
            note=_cut(note),
            type=kind,
        )
        try:
            self._send.send_nowait(((regarding.uid, controller, kind, reason, action), event))
        except anyio.WouldBlock:
            self.dropped += 1
            log.v(2, "Dropped an event, too many are waiting", object=regarding.name, reason=reason)

    async def run(self) -> None:
        """Write events until cancelled."""
        async with anyio.create_task_group() as tasks:
            for _ in range(WRITERS):
                tasks.start_soon(self._write_all, self._receive.clone())

    async def _write_all(self, events: MemoryObjectReceiveStream[tuple[SeriesKey, Event]]) -> None:
        with events:
            async for key, event in events:
                try:
                    await self._write(key, event)
                except (ApiError, Unreachable, AnswerLost) as error:
                    log.v(1, "Could not write an event", object=event.regarding.name, error=error)

    async def _write(self, key: SeriesKey, event: Event) -> None:
        known = self._written.get(key)
        if known is None:
            self._written[key] = _Written(event.metadata.namespace, event.metadata.name)
            await self._client.create(EVENTS, event, event.metadata.namespace, priority=Priority.EVENT)
            return
        known.count += 1
        if known.count == 2:
            series = EventSeries(known.count, event.event_time)
            await self._client.patch(
                EVENTS,
                known.name,
                known.namespace,
                {"series": series, "note": event.note},
                priority=Priority.EVENT,
            )


def pod_reference(pod: Pod) -> ObjectReference:
    """How an event names a pod."""
    meta = pod.metadata
    return ObjectReference("Pod", meta.namespace, meta.name, meta.uid, "v1", meta.resource_version)


def _micro_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _cut(note: str) -> str:
    """A note of at most MAX_NOTE bytes, with an ellipsis where something is missing."""
    encoded = note.encode()
    if len(encoded) <= MAX_NOTE:
        return note
    return encoded[: MAX_NOTE - 4].decode(errors="ignore") + " ..."
