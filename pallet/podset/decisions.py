"""What is to be done about a set, as a list: pure, and asked for again after every step that was done.

The most important step comes first. A step that cannot be done is held back by the controller for a while,
and the next one gets its turn, so that a status that cannot be written never stops a set from being placed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pallet.api.podset import Assignment, SchedulePlan, ScheduleTrigger, ScheduleTriggerStatus
from pallet.podset.member import (
    WAITING,
    Binding,
    Invalidated,
    Planned,
    Refused,
    Replanning,
    Unmanaged,
    Unplanned,
)
from pallet.podset.model import PodSet
from pallet.podset.plan import places, planner_of, signature
from pallet.podset.status import conflict_status, is_news, status_of
from pallet.podset.triggers import Quiet, is_saved

COALESCE = timedelta(seconds=1)
"""Between two writes of what no pod waits for: status counts, times, and entries that only leave a plan."""

RESERVATION_TIMEOUT = timedelta(minutes=1)
"""How long room stays reserved for a set that does not advance."""

SWEEP = timedelta(seconds=55)
"""After this long, pods that found no place are tried again even if nothing was seen to change. As in the
original it is less than a minute: a planner may know of more than the API."""


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Forget the plan for members that are not bound: the trigger holds them back again."""

    uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeaveUnmanaged:
    """Let members go without a plan: no planner looks after the set."""

    uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Switch:
    """Switch the trigger to Schedule: its quiet time is over."""

    trigger: ScheduleTrigger
    quiet: Quiet


@dataclass(frozen=True, slots=True)
class Expire:
    """Release the reserved room and have its members re-planned: the set has not advanced."""


@dataclass(frozen=True, slots=True)
class StorePlan:
    """Write the plan. `signed` with the planner's name and a hash; empty where it is to stay a manual one."""

    entries: tuple[Assignment, ...]
    signed: str


@dataclass(frozen=True, slots=True)
class DropPlan:
    """Delete the plan: it would be empty."""

    plan: SchedulePlan


@dataclass(frozen=True, slots=True)
class TellUnused:
    """Tell which entries of a plan written by hand are not used, and why."""


@dataclass(frozen=True, slots=True)
class TellMistake:
    """Tell what is wrong with the trigger's quiet time; empty when nothing is wrong any more."""

    mistake: str


@dataclass(frozen=True, slots=True)
class MakePlan:
    """Ask the planner for places; `replan` when the place of some of the members is invalidated."""

    uids: tuple[str, ...]
    replan: bool = False


@dataclass(frozen=True, slots=True)
class SaveTimes:
    """Keep what the quiet time counts from."""

    trigger: ScheduleTrigger
    quiet: Quiet


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Write a trigger's status."""

    trigger: ScheduleTrigger
    status: ScheduleTriggerStatus


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again at this time."""

    until: datetime


Write = Switch | StorePlan | DropPlan | SaveTimes | WriteStatus
Step = TakeBack | LeaveUnmanaged | Expire | TellUnused | TellMistake | MakePlan | Wait | Write


def decide(
    pod_set: PodSet, now: datetime, reservation_timeout: timedelta = RESERVATION_TIMEOUT
) -> tuple[Step, ...]:
    """List what is to be done about a set; nothing but Waits, or nothing at all, when it is at rest."""
    quiet = pod_set.triggers.quiet(pod_set.last_joined)
    return (
        *_hold_back(pod_set),
        *_switch(pod_set, quiet, now),
        *_leave_unmanaged(pod_set),
        *_expire(pod_set, now, reservation_timeout),
        *((TellUnused(),) if pod_set.unused else ()),
        *_tell_mistake(pod_set, quiet),
        *_keep_plan(pod_set, now),
        *_make_plan(pod_set, now),
        *_save_times(pod_set, quiet, now),
        *_report(pod_set, quiet, now),
    )


def switch_time(pod_set: PodSet) -> datetime | None:
    """When the trigger is to switch by itself; None where it is not, or where no pod waits for it."""
    quiet = pod_set.triggers.quiet(pod_set.last_joined)
    return quiet.until if quiet is not None and pod_set.members.any_in(*WAITING) else None


def pending_since(pod_set: PodSet) -> datetime | None:
    """Since when the oldest pod without a node could go: since its trigger's switch, or since it joined.

    None where no pod of the set waits, or the set is held.
    """
    since = pod_set.release.let_go_since
    if since is None:
        return None
    members = pod_set.members
    oldest = min((members[uid].joined for uid in members.uids_in(*WAITING, Binding)), default=None)
    return None if oldest is None else max(oldest, since)


def _hold_back(pod_set: PodSet) -> Iterator[Step]:
    """No member of a set that is held has a place."""
    if not pod_set.let_go:
        uids = pod_set.members.uids_in(Refused, Unmanaged, Planned, Invalidated, Replanning)
        if uids:
            yield TakeBack(tuple(uids))


def _switch(pod_set: PodSet, quiet: Quiet | None, now: datetime) -> Iterator[Step]:
    """A quiet time ends for pods that wait: not for an empty set, and not for one that is bound already."""
    trigger = pod_set.trigger
    if trigger is None or quiet is None or quiet.until is None or not pod_set.members.any_in(*WAITING):
        return
    yield Switch(trigger, quiet) if now >= quiet.until else Wait(quiet.until)


def _tell_mistake(pod_set: PodSet, quiet: Quiet | None) -> Iterator[Step]:
    mistake = quiet.error if quiet is not None else ""
    if mistake != pod_set.written.mistake:
        yield TellMistake(mistake)


def _leave_unmanaged(pod_set: PodSet) -> Iterator[Step]:
    if pod_set.let_go and pod_set.ordinary:
        uids = pod_set.members.uids_in(Unplanned, Refused)
        if uids:
            yield LeaveUnmanaged(tuple(uids))


def _expire(pod_set: PodSet, now: datetime, timeout: timedelta) -> Iterator[Step]:
    """Room is reserved for a set that advances, and in place of pods that leave for as long as they may."""
    reserved = pod_set.room.reserved
    if reserved:
        until = pod_set.advanced + timeout
        leaving = (until for uid, until in pod_set.members.leaving.items() if uid in reserved)
        yield Expire() if now >= until else Wait(min((until, *leaving)))


def _keep_plan(pod_set: PodSet, now: datetime) -> Iterator[Step]:
    """The stored plan says what is so; that entries only leave it can wait a little for more of them."""
    wanted = places(pod_set)
    if not wanted:
        if pod_set.plan is not None:
            yield DropPlan(pod_set.plan.plan)
    elif wanted != pod_set.stored:
        shrinks = wanted.items() <= pod_set.stored.items()
        soon = pod_set.written.plan + COALESCE
        if shrinks and now < soon:
            yield Wait(soon)
            return
        entries = _entries(pod_set, wanted)
        yield StorePlan(entries, "" if shrinks and pod_set.manual else _signed(pod_set, entries))


def _signed(pod_set: PodSet, entries: tuple[Assignment, ...]) -> str:
    planner = pod_set.planner or (planner_of(pod_set.plan.plan) if pod_set.plan is not None else "")
    return signature(planner or "none", entries)


def _entries(pod_set: PodSet, wanted: Mapping[str, str]) -> tuple[Assignment, ...]:
    """The plan as it is stored: in the order of binding, or as it was written by hand."""
    if pod_set.manual and not pod_set.let_go:
        return tuple([Assignment(name, node) for name, node in wanted.items()])
    members = pod_set.members
    ranked = [members[uid] for uid in members.in_order()]
    first = sorted(member.name for member in ranked if not member.rank)
    names = [*first, *(member.name for member in ranked[len(first) :])]
    return tuple([Assignment(name, wanted[name]) for name in names if name in wanted])


def _make_plan(pod_set: PodSet, now: datetime) -> Iterator[Step]:
    """Plan those without a place; all that wait, where the place of one of them is invalidated."""
    if not pod_set.let_go or pod_set.ordinary:
        return
    members = pod_set.members
    if members.any_in(Invalidated):
        if now >= pod_set.replan_at:
            yield MakePlan(tuple(members.waiting()), replan=True)
            return
        yield Wait(pod_set.replan_at)
    if members.any_in(Unplanned, Refused, Unmanaged):
        due = _due(pod_set, now)
        if now < due:
            yield Wait(due)
        else:
            yield MakePlan(tuple(members.uids_in(Unplanned, Refused, Unmanaged)))


def _due(pod_set: PodSet, now: datetime) -> datetime:
    """When to ask the planner: at once for newcomers, unless it failed the last time."""
    attempt = pod_set.attempt
    if attempt is None:
        return now
    if attempt.error:
        return attempt.retry_at
    if pod_set.members.any_in(Unplanned, Unmanaged):
        return now
    return min(attempt.retry_at, attempt.at + SWEEP) if attempt.changed else attempt.at + SWEEP


def _save_times(pod_set: PodSet, quiet: Quiet | None, now: datetime) -> Iterator[Step]:
    trigger = pod_set.trigger
    if trigger is None or quiet is None or quiet.length is None or is_saved(trigger, quiet):
        return
    soon = pod_set.written.times + COALESCE
    yield SaveTimes(trigger, quiet) if now >= soon else Wait(soon)


def _report(pod_set: PodSet, quiet: Quiet | None, now: datetime) -> Iterator[Step]:
    """States at once, counts when they have settled a little."""
    trigger = pod_set.trigger
    if trigger is None:
        return
    statuses = [(trigger, status_of(pod_set, trigger, quiet, now))]
    statuses += [(rival, conflict_status(pod_set, rival, trigger, now)) for rival in pod_set.triggers.rivals]
    for reported, status in statuses:
        written = pod_set.written.reported.get(reported.metadata.uid, reported.status)
        soon = pod_set.written.status + COALESCE
        if status != written:
            yield WriteStatus(reported, status) if now >= soon or is_news(written, status) else Wait(soon)
