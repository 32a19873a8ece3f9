"""Events (events.k8s.io/v1), written behind everything else and dropped first when there are too many.

An event that repeats on the same version of an object becomes a series: its second occurrence is written as
such, further ones are counted, and the count is written every six minutes, as client-go's recorder does. A
series without a new occurrence in that time is over.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

import anyio
from msgspec.structs import replace

from pallet.api.core import EVENTS, Event, EventSeries, ObjectReference
from pallet.api.meta import ObjectMeta
from pallet.api.pod import Pod, pod_reference
from pallet.bounded_cache import MIB, register
from pallet.client.client import Client
from pallet.client.errors import AnswerLost, ApiError, Unreachable
from pallet.client.limiter import Priority
from pallet.framework.handle import Recorder
from pallet.logs import get_logger
from pallet.scheduler.workers import Workers

log = get_logger(__name__)

MAX_PENDING = 20_000
"""Events that may wait to be written; what comes on top is dropped and counted in the log."""
WRITERS = 16
"""With more, events would take the API server's time from bindings."""
SERIES_SECONDS = 360.0
SERIES_BYTES = 16 * MIB
"""Of the events of which a repetition is recognised."""
EVENT_BYTES = 2560
"""Of an event without its note and the name of its object, at most."""
MAX_NOTE = 1024
"""Bytes; the API server refuses longer notes."""
MAX_INSTANCE = 128
MAX_NAME = 253

_Key = tuple[str, str, str, str, ObjectReference]


@dataclass(slots=True)
class _Series:
    """An event, how often it was seen, and how often the API server knows that it was."""

    key: _Key
    event: Event
    seen: int = 1
    told: int = 0
    repeated: bool = False


class EventRecorder:
    """Takes events without blocking, and writes them while `run` does.

    `instance` tells this process from others: `<controller>-<instance>` is what events carry.
    """

    def __init__(self, client: Client, instance: str, rng: Random) -> None:
        self._client = client
        self._instance = instance
        self._suffix = rng.getrandbits(60)
        self._pending: deque[_Series] = deque()
        self._series: OrderedDict[_Key, _Series] = OrderedDict()
        self.name, self.bytes, self.limit = "event_series", 0, SERIES_BYTES
        self._workers: Workers[deque[_Series]] | None = None
        self._writers = 0
        self.dropped = 0
        register(self)

    def age(self) -> None:
        """Series end by themselves."""

    def event(
        self, regarding: ObjectReference, controller: str, *, kind: str, reason: str, action: str, note: str
    ) -> None:
        """Record an event about an object. `kind` is Normal or Warning, `controller` who reports it."""
        key = (controller, kind, reason, action, regarding)
        known = self._series.get(key)
        if known is not None:
            known.seen += 1
            known.repeated = True
            self._series.move_to_end(key)
            if known.seen == 2:
                self._write_later(known)
            return
        self._suffix += 1
        event = Event(
            metadata=ObjectMeta(
                name=_event_name(regarding.name, self._suffix), namespace=regarding.namespace or "default"
            ),
            event_time=_micro_time(datetime.now(UTC)),
            reporting_controller=controller,
            reporting_instance=f"{controller}-{self._instance}"[:MAX_INSTANCE],
            action=action,
            reason=reason,
            regarding=regarding,
            note=_cut(note),
            type=kind,
        )
        series = _Series(key, event)
        if self._write_later(series):
            self._series[key] = series
            self.bytes += _size(series)
            while self.bytes > self.limit:
                self.bytes -= _size(self._series.popitem(last=False)[1])

    async def run(self) -> None:
        """Write events until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_series)
            self._workers = Workers(tasks, self._write_pending)
            for _ in range(min(WRITERS, len(self._pending))):
                self._start_writer()

    def _write_later(self, series: _Series) -> bool:
        """Queue an event; False when it is dropped because there are too many."""
        if len(self._pending) >= MAX_PENDING:
            self.dropped += 1
            event = series.event
            log.v(2, "Dropped an event, too many wait", object=event.regarding.name, reason=event.reason)
            return False
        self._pending.append(series)
        self._start_writer()
        return True

    def _start_writer(self) -> None:
        """Have one more task write what is pending, unless enough do."""
        if self._workers is not None and self._writers < WRITERS:
            self._writers += 1
            self._workers.start(self._pending)

    async def _write_pending(self, pending: deque[_Series]) -> None:
        """Write until nothing is pending."""
        while pending:
            series = pending.popleft()
            try:
                await self._write(series)
            except (ApiError, Unreachable, AnswerLost) as error:
                self._forget(series)
                log.v(1, "Could not write an event", object=series.event.regarding.name, error=error)
        self._writers -= 1

    async def _write(self, series: _Series) -> None:
        """Create the event, or write how often it was seen."""
        event, count = series.event, series.seen
        if count == series.told:
            return
        if count > 1:
            last_seen = EventSeries(count, _micro_time(datetime.now(UTC)))
            event = replace(event, series=last_seen)
        meta, known = event.metadata, series.told > 0
        series.told = count
        if known:
            try:
                await self._client.amend(
                    EVENTS, meta.name, meta.namespace, {"series": event.series}, priority=Priority.EVENT
                )
            except ApiError as refused:
                if not refused.not_found:
                    raise
            else:
                return
        await self._client.post(EVENTS, event, meta.namespace, priority=Priority.EVENT)

    async def _end_series(self) -> None:
        """Write the counts of series now and then, and forget those that are over."""
        while True:
            await anyio.sleep(SERIES_SECONDS)
            for series in list(self._series.values()):
                if series.seen > max(series.told, 2):
                    self._write_later(series)
                if not series.repeated:
                    self._forget(series)
                series.repeated = False

    def _forget(self, series: _Series) -> None:
        if self._series.get(series.key) is series:
            del self._series[series.key]
            self.bytes -= _size(series)


def _size(series: _Series) -> int:
    """What a series takes: its object's name stands in the event's as well, and names are no words."""
    event = series.event
    return EVENT_BYTES + len(event.note) + 2 * len(event.regarding.name)


def _event_name(name: str, suffix: int) -> str:
    """The name of an event about an object; a long name is cut to leave room for the suffix."""
    tail = f".{suffix:x}"
    return name[: MAX_NAME - len(tail)].rstrip("-.") + tail


def pod_event(
    recorder: Recorder, pod: Pod, kind: str, reason: str, note: str, *, action: str = "Scheduling"
) -> None:
    """Record an event about a pod, which its scheduler reports."""
    recorder.event(
        pod_reference(pod), pod.spec.scheduler_name, kind=kind, reason=reason, action=action, note=note
    )


def tell_delayed(recorder: Recorder, pod: Pod, note: str) -> None:
    """Record why a pod is scheduled later than others."""
    pod_event(recorder, pod, "Normal", "SchedulingDelayed", note)


def _micro_time(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _cut(note: str) -> str:
    """A note of at most MAX_NOTE bytes, with an ellipsis where something is missing."""
    encoded = note.encode()
    if len(encoded) <= MAX_NOTE:
        return note
    return encoded[: MAX_NOTE - 4].decode(errors="ignore") + " ..."
