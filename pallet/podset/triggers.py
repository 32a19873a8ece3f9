"""ScheduleTriggers: the label that names their sets, and how they let them go.

A trigger switches to Schedule by itself when no pod has joined its set for the quiet time. It counts from the
later of two moments: when the trigger entered Planning, and when the last pod joined. Both are kept as
annotations on the trigger, in the API server's time, so that nothing but time and new pods moves the end: not
a restart, and not the deletion of the youngest pod.

Annotations can be written by anybody: a moment that lies in the future is taken as the one at which it was
first read, and kept so.

Creation times are whole seconds, cut off. A moment seen as it happened is taken as seen; one that is only
known from a whole second is taken at its end: a quiet time may end up to a second late, but never early.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pallet.api.duration import DurationError, parse_duration
from pallet.api.labels import Labels
from pallet.api.pod import Pod
from pallet.api.podset import (
    LAST_JOINED,
    PLANNING_GENERATION,
    PLANNING_SINCE,
    POD_SET_LABEL,
    QUIET_TIME_LABEL,
    SCHEDULE,
    ScheduleTrigger,
)
from pallet.podset.source import SetKey, Source

NEVER = datetime.min.replace(tzinfo=UTC)

_SECOND = timedelta(seconds=1)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Quiet:
    """A trigger's quiet time. `length` is None without a valid label, `error` says what is wrong with one."""

    since: datetime
    last_joined: datetime | None = None
    length: timedelta | None = None
    error: str = ""

    @property
    def until(self) -> datetime | None:
        """When it is over; None when it never is: without a label, or before any pod joined."""
        if self.length is None or self.last_joined is None:
            return None
        return max(self.since, self.last_joined) + self.length


def labelled(namespace: str, pod_set: str) -> SetKey:
    """The set that is named by the value of its pods' label."""
    return SetKey(Source.LABEL, namespace, pod_set)


class LabelNaming:
    """Names sets by the pods' label, among the pods of some schedulers."""

    def __init__(self, scheduler_names: Collection[str]) -> None:
        self._scheduler_names = frozenset(scheduler_names)

    def key_of(self, pod: Pod) -> SetKey | None:
        """The set a pod belongs to; None for one that is not ours or has no label."""
        name = pod.metadata.labels.get(POD_SET_LABEL)
        if not name or pod.spec.scheduler_name not in self._scheduler_names:
            return None
        return labelled(pod.metadata.namespace, name)


class Seen(NamedTuple):
    """When a trigger's generation was first seen (`at`), and when its present annotations were."""

    uid: str
    generation: int
    at: datetime
    annotations: Labels
    annotations_at: datetime


class Triggers:
    """The triggers of a set. The first by name counts, and lets the set go; the others are its rivals."""

    def __init__(self, key: SetKey) -> None:
        self._key = key
        self._triggers: dict[str, ScheduleTrigger] = {}
        self._seen: dict[str, Seen] = {}
        self.first: ScheduleTrigger | None = None

    def get(self, name: str) -> ScheduleTrigger | None:
        """A trigger of the set by name, as last seen."""
        return self._triggers.get(name)

    @property
    def rivals(self) -> list[ScheduleTrigger]:
        """The triggers that do not count, by name."""
        return [self._triggers[name] for name in sorted(self._triggers)[1:]]

    @property
    def let_go(self) -> bool:
        """Whether the trigger says Schedule."""
        return self.first is not None and self.first.spec.state == SCHEDULE

    @property
    def waits_for(self) -> str:
        """What a set that is held waits for, in words."""
        if self.first is None:
            return f'pod set "{self._key.name}" has no ScheduleTrigger in namespace "{self._key.namespace}"'
        name = self.first.metadata.name
        return f'waiting for ScheduleTrigger "{name}" to switch from Planning to Schedule'

    @property
    def let_go_since(self) -> datetime | None:
        """Since when the trigger says Schedule; None where it does not."""
        if self.first is None or not self.let_go:
            return None
        return in_state_since(self.first, self._seen[self.first.metadata.name].at)

    def quiet(self, last_joined: datetime | None) -> Quiet | None:
        """The quiet time of the trigger; None where there is no trigger, or it says Schedule."""
        if self.first is None or self.let_go:
            return None
        seen = self._seen[self.first.metadata.name]
        return quiet_of(self.first, seen.at, last_joined, read=seen.annotations_at)

    def put(self, trigger: ScheduleTrigger, now: datetime) -> None:
        """Take a new state of a trigger: keep when it was first seen, and its annotations."""
        meta = trigger.metadata
        seen = self._seen.get(meta.name)
        if seen is None or (seen.uid, seen.generation) != (meta.uid, meta.generation):
            seen = Seen(meta.uid, meta.generation, now, meta.annotations, now)
        elif seen.annotations != meta.annotations:
            seen = seen._replace(annotations=meta.annotations, annotations_at=now)
        self._seen[meta.name] = seen
        self._triggers[meta.name] = trigger
        self._elect()

    def drop(self, name: str) -> None:
        """Forget a trigger that is gone."""
        del self._triggers[name], self._seen[name]
        self._elect()

    def _elect(self) -> None:
        self.first = self._triggers[min(self._triggers)] if self._triggers else None


class SinceSwitch:
    """How long a set took, once it was seen to be let go: each time is given once for each switch.

    last_bound: when a member was last seen with a node
    """

    def __init__(self) -> None:
        self._switched: datetime | None = None
        self._planned = False
        self.last_bound: datetime | None = None

    def begin(self, switched: datetime | None) -> None:
        """The set was seen to be let go; None where it was seen to be held again."""
        self._switched, self._planned = switched, False

    def to_plan(self, now: datetime) -> timedelta | None:
        """The time until the plan is stored."""
        if self._switched is None or self._planned:
            return None
        self._planned = True
        return now - self._switched

    def to_last_bind(self) -> timedelta | None:
        """The time until the last member was bound, now that all are; None where none was bound since."""
        since, self._switched = self._switched, None
        if since is None or self.last_bound is None or self.last_bound < since:
            return None
        return self.last_bound - since


def quiet_of(
    trigger: ScheduleTrigger, seen: datetime, last_joined: datetime | None, *, read: datetime
) -> Quiet:
    """Give the quiet time of a trigger in Planning.

    `seen` is when this process first saw the trigger's present generation, `read` when it first read its
    present annotations, `last_joined` the last join that it knows of.
    """
    saved = _bounded(trigger, LAST_JOINED, read)
    joined = max((time for time in (saved, last_joined) if time is not None), default=None)
    length, error = _length(trigger)
    return Quiet(_planning_since(trigger, seen, read), joined, length, error)


def is_saved(trigger: ScheduleTrigger, quiet: Quiet) -> bool:
    """Whether the trigger's annotations say all that is needed to go on counting after a restart."""
    return (
        _moment(trigger, LAST_JOINED) == quiet.last_joined
        and _moment(trigger, PLANNING_SINCE) == quiet.since
        and _speaks_of_present(trigger)
    )


def times(trigger: ScheduleTrigger, quiet: Quiet) -> dict[str, str]:
    """Give the annotations that keep a quiet time."""
    kept = {PLANNING_SINCE: rfc3339(quiet.since), PLANNING_GENERATION: str(trigger.metadata.generation)}
    if quiet.last_joined is not None:
        kept[LAST_JOINED] = rfc3339(quiet.last_joined)
    return kept


def joined_at(pod: Pod, seen: datetime) -> datetime:
    """When a pod that carried the label from its creation joined, given when it was first seen."""
    return _sharpened(pod.metadata.creation_timestamp, seen)


def rfc3339(time: datetime) -> str:
    """Write a moment as Kubernetes does, to the microsecond."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _planning_since(trigger: ScheduleTrigger, seen: datetime, read: datetime) -> datetime:
    """When the trigger entered Planning.

    A generation other than the annotated one is another stay in Planning: the spec has only the state.
    The first generation began with the object, a later one when the spec was last written.
    """
    saved = _bounded(trigger, PLANNING_SINCE, read)
    if saved is not None and _speaks_of_present(trigger):
        return saved
    return in_state_since(trigger, seen)


def in_state_since(trigger: ScheduleTrigger, seen: datetime) -> datetime:
    """When a trigger entered the state that it has, given when this generation of it was first seen."""
    meta = trigger.metadata
    if meta.generation <= 1:
        return _sharpened(meta.creation_timestamp, seen)
    writes = (entry.time for entry in meta.managed_fields if "f:spec" in entry.fields)
    return _sharpened(max((time for time in writes if time is not None), default=None), seen)


def _speaks_of_present(trigger: ScheduleTrigger) -> bool:
    return trigger.metadata.annotations.get(PLANNING_GENERATION) == str(trigger.metadata.generation)


def _sharpened(second: datetime | None, seen: datetime) -> datetime:
    """Give the moment within a whole second, as far as it was seen."""
    return seen if second is None else min(max(seen, second), second + _SECOND)


def _length(trigger: ScheduleTrigger) -> tuple[timedelta | None, str]:
    text = trigger.metadata.labels.get(QUIET_TIME_LABEL)
    if text is None:
        return None, ""
    try:
        seconds = parse_duration(text)
    except DurationError as error:
        return None, f"label {QUIET_TIME_LABEL}: {error}"
    if seconds < 0:
        return None, f"label {QUIET_TIME_LABEL}: {text!r} is negative; write a duration such as 2m0s"
    return timedelta(seconds=seconds), ""


def _bounded(trigger: ScheduleTrigger, annotation: str, read: datetime) -> datetime | None:
    """Read an annotation as a moment between the beginning of time and that of reading it."""
    moment = _moment(trigger, annotation)
    return None if moment is None else min(max(moment, _BEGINNING), read)


def _moment(trigger: ScheduleTrigger, annotation: str) -> datetime | None:
    """Read an annotation; None where it is missing or no moment."""
    try:
        moment = datetime.fromisoformat(trigger.metadata.annotations.get(annotation, ""))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
