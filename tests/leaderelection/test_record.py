"""What is decided about a lease, and what is written into it."""

from datetime import UTC, datetime

import pytest

from pallet.api.core import Lease, LeaseSpec
from pallet.api.meta import ObjectMeta
from pallet.leaderelection.record import Action, Observation, claimed, decide, released

NOW = datetime(2026, 3, 1, 12, 30, 0, 5, UTC)


def lease(holder: str, *, renewed: str = "r1", duration: int = 15, transitions: int = 3) -> Lease:
    return Lease(
        ObjectMeta(name="scheduler", resource_version="7"),
        LeaseSpec(holder, duration, "a1", renewed, transitions),
    )


@pytest.mark.parametrize(
    ("seen", "now", "action"),
    [
        (Observation(None, 100), 100, Action.CREATE),
        (Observation(lease("me"), 100), 101, Action.RENEW),
        (Observation(lease("me"), 100), 999, Action.RENEW),
        (Observation(lease("other"), 100), 100, Action.WAIT),
        (Observation(lease("other"), 100), 114.999, Action.WAIT),
        (Observation(lease("other"), 100), 115, Action.TAKE),
        (Observation(lease("other", duration=40), 100), 115, Action.WAIT),
        (Observation(lease(""), 100), 100, Action.TAKE),
        (Observation(lease("", duration=1), 100), 100, Action.TAKE),
        (Observation(Lease(), 100), 100, Action.TAKE),
    ],
    ids=[
        "no lease",
        "ours",
        "ours, run out",
        "another's",
        "another's, nearly run out",
        "another's, run out",
        "its own duration counts",
        "released",
        "released, not run out",
        "empty",
    ],
)
def test_decide(seen: Observation, now: float, action: Action) -> None:
    assert decide(seen, now, "me") is action


@pytest.mark.parametrize(
    ("read", "at"),
    [
        (lease("other"), 100),
        (Lease(ObjectMeta(name="scheduler", resource_version="8"), lease("other").spec), 100),
        (lease("other", renewed="r2"), 110),
        (lease("third"), 110),
        (None, 110),
    ],
    ids=["the same", "only its metadata changed", "renewed", "another holder", "deleted"],
)
def test_only_a_changed_record_is_a_sign_of_life(read: Lease | None, at: float) -> None:
    seen = Observation(lease("other"), 100).then(read, 110)
    assert (seen.lease, seen.at) == (read, at)


def test_a_new_lease() -> None:
    at = "2026-03-01T12:30:00.000005Z"
    assert claimed(None, "me", 15.0, NOW) == LeaseSpec("me", 15, at, at, 0)


def test_a_renewal_keeps_when_and_how_often_it_was_acquired() -> None:
    assert claimed(lease("me"), "me", 15.0, NOW) == LeaseSpec(
        "me", 15, "a1", "2026-03-01T12:30:00.000005Z", 3
    )


@pytest.mark.parametrize("holder", ["other", ""])
def test_a_takeover_counts(holder: str) -> None:
    at = "2026-03-01T12:30:00.000005Z"
    assert claimed(lease(holder), "me", 15.0, NOW) == LeaseSpec("me", 15, at, at, 4)


def test_a_broken_duration_is_rounded_up() -> None:
    assert claimed(None, "me", 1.5, NOW).lease_duration_seconds == 2


def test_a_released_lease_has_no_holder_and_the_shortest_duration() -> None:
    at = "2026-03-01T12:30:00.000005Z"
    assert released(lease("me"), NOW) == LeaseSpec("", 1, at, at, 3)
