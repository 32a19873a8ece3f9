from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pallet.api.podset import (
    LAST_JOINED,
    PLANNING_GENERATION,
    PLANNING_SINCE,
    ManagedFields,
    ScheduleTrigger,
)
from pallet.podset.triggers import Quiet, is_saved, joined_at, quiet_of, rfc3339, times
from tests.builders import at, make_pod, make_trigger


def saved(generation: int, since: float, joined: float | None = None) -> dict[str, str]:
    kept = {PLANNING_SINCE: rfc3339(at(since)), PLANNING_GENERATION: str(generation)}
    return kept if joined is None else kept | {LAST_JOINED: rfc3339(at(joined))}


def written(trigger: ScheduleTrigger, *moments: float) -> ScheduleTrigger:
    """The trigger, its spec last written at these moments, its metadata much later."""
    fields = [ManagedFields(at(moment), fields={"f:spec": {"f:state": {}}}) for moment in moments]
    fields.append(ManagedFields(at(9000), fields={"f:metadata": {}}))
    meta = msgspec.structs.replace(trigger.metadata, managed_fields=tuple(fields))
    return msgspec.structs.replace(trigger, metadata=meta)


@pytest.mark.parametrize(
    ("joined", "since", "until"),
    [
        pytest.param(None, 0, None, id="a set without pods never fires"),
        pytest.param(5, 0, 125, id="counts from the last join"),
        pytest.param(5, 30, 150, id="counts from the later entry into Planning"),
    ],
)
def test_the_end_of_the_quiet_time(joined: float | None, since: float, until: float | None) -> None:
    quiet = Quiet(at(since), None if joined is None else at(joined), timedelta(minutes=2))
    assert quiet.until == (None if until is None else at(until))


@pytest.mark.parametrize(
    ("trigger", "seen", "since"),
    [
        pytest.param(make_trigger(created=10), 10.4, 10.4, id="new and seen at once: as seen"),
        pytest.param(make_trigger(created=10), 500, 11, id="new but seen late: the end of its second"),
        pytest.param(make_trigger(created=10), 9, 10, id="a clock that is behind: not before its creation"),
        pytest.param(
            make_trigger(generation=3, annotations=saved(3, 40.25)),
            500,
            40.25,
            id="kept: a restart changes nothing",
        ),
        pytest.param(
            make_trigger(generation=3, annotations=saved(1, 40)),
            500,
            500,
            id="kept of an earlier stay: re-armed",
        ),
        pytest.param(
            written(make_trigger(generation=3), 70, 60), 500, 71, id="switched back while nobody looked"
        ),
        pytest.param(
            make_trigger(generation=3, annotations={PLANNING_SINCE: "soon", PLANNING_GENERATION: "3"}),
            500,
            500,
            id="an annotation that is no moment",
        ),
    ],
)
def test_when_a_trigger_entered_planning(trigger: ScheduleTrigger, seen: float, since: float) -> None:
    assert quiet_of(trigger, at(seen), None, read=at(seen)).since == at(since)


@pytest.mark.parametrize(
    ("known", "kept", "joined"),
    [
        pytest.param(30, None, 30, id="seen by this process"),
        pytest.param(None, 50, 50, id="kept: its pod may be deleted by now"),
        pytest.param(30, 50, 50, id="both: the later"),
        pytest.param(70, 50, 70, id="both, the other way round"),
    ],
)
def test_the_last_join(known: float | None, kept: float | None, joined: float) -> None:
    trigger = make_trigger(annotations=saved(1, 0, kept))
    last_joined = None if known is None else at(known)
    assert quiet_of(trigger, at(0), last_joined, read=at(60)).last_joined == at(joined)


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00", "2031-01-01T00:00:00Z"]
)
@pytest.mark.parametrize("annotation", [LAST_JOINED, PLANNING_SINCE])
def test_a_moment_in_the_future_is_taken_as_that_of_reading_it(annotation: str, text: str) -> None:
    kept = saved(1, 0, 0) | {annotation: text}
    trigger = make_trigger(quiet="10s", annotations=kept)
    quiet = quiet_of(trigger, at(0), at(3), read=at(5))
    assert quiet.until == at(15)
    assert not is_saved(trigger, quiet), "it is corrected"


def test_a_moment_before_all_others_can_be_written_back() -> None:
    trigger = make_trigger(quiet="10s", annotations=saved(1, 0) | {LAST_JOINED: "0001-01-01T00:00:00+14:00"})
    quiet = quiet_of(trigger, at(0), None, read=at(5))
    assert times(trigger, quiet)[LAST_JOINED] == "1970-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("label", "seconds", "error"),
    [
        (None, None, ""),
        ("2m0s", 120, ""),
        ("0s", 0, ""),
        ("soon", None, "label planner.ciena.io/quiet-time: 'soon' is not a duration"),
        ("-5s", None, "label planner.ciena.io/quiet-time: '-5s' is negative"),
    ],
)
def test_the_label(label: str | None, seconds: float | None, error: str) -> None:
    quiet = quiet_of(make_trigger(quiet=label), at(0), at(1), read=at(1))
    assert quiet.length == (None if seconds is None else timedelta(seconds=seconds))
    assert quiet.error.startswith(error)
    assert bool(quiet.error) == bool(error)


@pytest.mark.parametrize(
    ("created", "seen", "joined"),
    [
        pytest.param(10, 10.4, 10.4, id="seen as it was created"),
        pytest.param(10, 700, 11, id="seen after a restart: never earlier than it was"),
        pytest.param(10, 9.5, 10, id="a clock that is behind"),
    ],
)
def test_when_a_pod_joined(created: float, seen: float, joined: float) -> None:
    assert joined_at(make_pod("web-0", created=created), at(seen)) == at(joined)


def test_what_is_kept_is_found_again() -> None:
    quiet = Quiet(at(3.25), at(7.5), timedelta(seconds=10))
    trigger = make_trigger(quiet="10s", generation=4, annotations=saved(4, 3.25, 7.5))
    assert times(trigger, quiet) == saved(4, 3.25, 7.5)
    assert is_saved(trigger, quiet)
    assert quiet_of(trigger, at(900), None, read=at(900)) == quiet


@pytest.mark.parametrize(
    "annotations",
    [
        pytest.param({}, id="nothing"),
        pytest.param(saved(4, 3.25), id="without the last join"),
        pytest.param(saved(3, 3.25, 7.5), id="of another generation"),
        pytest.param(saved(4, 3.25, 7), id="an earlier join"),
    ],
)
def test_what_is_not_kept_yet(annotations: dict[str, str]) -> None:
    quiet = Quiet(at(3.25), at(7.5), timedelta(seconds=10))
    assert not is_saved(make_trigger(generation=4, annotations=annotations), quiet)


def test_moments_are_written_in_utc() -> None:
    moment = datetime(2030, 1, 1, 1, 0, 0, 250000, tzinfo=UTC).astimezone()
    assert rfc3339(moment) == "2030-01-01T01:00:00.250000Z"
